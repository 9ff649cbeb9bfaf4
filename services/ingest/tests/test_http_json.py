"""The connector kind `http-json`: location of values in responses, and errors in them."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import pytest
from flexmodel.errors import Invalid
from ingest.connectors.connector_kind import FetchRequest
from ingest.connectors.fetched_series import FetchedSeries, FetchError
from ingest.connectors.http_client import HttpClient, ResponseLimits
from ingest.connectors.http_json import HttpJson, HttpJsonSettings
from ingest.connectors.loaded_connector import parse_settings, split_secrets
from ingest.data.repository import Sensor

NOW = datetime(2026, 2, 3, 12, tzinfo=UTC)
SENSOR = Sensor(1, "prices", "EUR/MWh", timedelta(hours=1), "Europe/Amsterdam", None)
KIND = HttpJson()
PRICE = {"price": {"values": "values", "unit": "EUR/MWh"}}
ITEMS = {
    "url": "https://example.org/",
    "items": "data",
    "times": "t",
    "series": {"price": {"values": "p", "unit": "EUR/MWh"}},
}
LISTS = {"url": "https://example.org/", "times": "times", "series": PRICE}
EVEN = {"url": "https://example.org/", "start": "from", "resolution": "PT15M", "series": PRICE}


def settings(base: dict[str, Any], **more: object) -> HttpJsonSettings:
    read = parse_settings(KIND, {**base, **more})
    assert isinstance(read, HttpJsonSettings)
    return read


async def fetch(
    read: HttpJsonSettings, body: bytes | object, asked: list[httpx.Request] | None = None
) -> Sequence[FetchedSeries]:
    def answer(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(request)
        return httpx.Response(200, content=body if isinstance(body, bytes) else json.dumps(body).encode())

    http = HttpClient(httpx.MockTransport(answer), ResponseLimits(seconds=1, max_bytes=100_000))
    window = (datetime(2026, 2, 2, 23, tzinfo=UTC), datetime(2026, 2, 4, 23, tzinfo=UTC))
    return await KIND.fetch(read, FetchRequest(dict.fromkeys(read.series, SENSOR), *window, NOW, http))


async def values(read: HttpJsonSettings, body: bytes | object) -> dict[str, float]:
    """Return the known values by time, to the minute."""
    [fetched] = await fetch(read, body)
    times = fetched.starts.astype("datetime64[m]").astype(str).tolist()
    return {time: value for time, value in zip(times, fetched.values.tolist(), strict=True) if value == value}


async def test_a_list_of_items() -> None:
    body = {
        "data": [
            {"t": "2026-02-03T00:00Z", "p": 1},
            {"t": "2026-02-03T02:00+01:00", "p": "2.5"},
            {"t": "2026-02-03T02:00Z"},
        ]
    }
    assert await values(settings(ITEMS), body) == {"2026-02-03T00:00": 1.0, "2026-02-03T01:00": 2.5}


async def test_lists_beside_one_another() -> None:
    body = {"times": ["2026-02-03T00:00Z", "2026-02-03T01:00Z"], "values": [1, None]}
    assert await values(settings(LISTS), body) == {"2026-02-03T00:00": 1.0}


async def test_evenly_spaced_values() -> None:
    body = {"from": "2026-02-03T00:00Z", "values": [1, None, 3]}
    assert await values(settings(EVEN), body) == {"2026-02-03T00:00": 1.0, "2026-02-03T00:30": 3.0}


async def test_times_as_numbers() -> None:
    body = {"times": [1770076800, 1770080400.0], "values": [1, 2]}
    assert await values(settings(LISTS), body) == {"2026-02-03T00:00": 1.0, "2026-02-03T01:00": 2.0}
    body = {"times": [1770076800000], "values": [1]}
    assert await values(settings(LISTS, epoch="ms"), body) == {"2026-02-03T00:00": 1.0}


async def test_local_times_on_the_day_that_has_an_hour_twice() -> None:
    clock = [f"2026-10-25T{hour:02}:30" for hour in (1, 2, 2, 3)]
    found = await values(settings(LISTS, timezone="Europe/Amsterdam"), {"times": clock, "values": [1, 2, 3, 4]})
    assert list(found) == ["2026-10-24T23:30", "2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:30"]


async def test_the_same_with_the_latest_first() -> None:
    clock = [f"2026-10-25T{hour:02}:30" for hour in (3, 2, 2, 1)]
    found = await values(settings(LISTS, timezone="Europe/Amsterdam"), {"times": clock, "values": [4, 3, 2, 1]})
    assert {time: found[time] for time in sorted(found)} == {
        "2026-10-24T23:30": 1,
        "2026-10-25T00:30": 2,
        "2026-10-25T01:30": 3,
        "2026-10-25T02:30": 4,
    }


async def test_when_they_were_known() -> None:
    meta = {"made": "2026-02-03T06:00Z"}
    body = {"data": [{"t": "2026-02-03T00:00Z", "p": 1}], "meta": meta}
    [fetched] = await fetch(settings(ITEMS, believed="meta.made"), body)
    assert fetched.belief_time == datetime(2026, 2, 3, 6, tzinfo=UTC)
    [fetched] = await fetch(settings(ITEMS), body)
    assert fetched.belief_time == NOW
    meta["made"] = "2027-01-01T00:00Z"  # nobody knows tomorrow what we know today
    [fetched] = await fetch(settings(ITEMS, believed="meta.made"), body)
    assert fetched.belief_time == NOW


async def test_several_series_of_one_answer() -> None:
    several = {name: {"values": name, "unit": "EUR/MWh"} for name in ("buy", "sell")}
    found = await fetch(settings(ITEMS, series=several), {"data": [{"t": "2026-02-03T00:00Z", "buy": 2, "sell": 1}]})
    assert {each.series: each.values.tolist() for each in found} == {"buy": [2.0], "sell": [1.0]}


async def test_what_is_put_into_the_request() -> None:
    asked: list[httpx.Request] = []
    read = settings(
        ITEMS,
        url="https://example.org/{start:%Y/%m/%d}?from={start}&to={end:s}&ms={end:ms}&key={token}",
        method="POST",
        headers={"Authorization": "Bearer {token}"},
        body={"range": ["{start}", "{end:%d.%m.%Y}"], "count": 3},
        token="a&b c",
        timezone="Europe/Amsterdam",
    )
    await fetch(read, {"data": []}, asked)
    [request] = asked
    assert request.url.path == "/2026/02/03"
    assert dict(request.url.params) == {
        "from": "2026-02-02T23:00:00Z", "to": "1770246000", "ms": "1770246000000", "key": "a&b c",
    }  # fmt: skip
    assert request.headers["authorization"] == "Bearer a&b c"
    assert json.loads(request.content) == {"range": ["2026-02-02T23:00:00Z", "05.02.2026"], "count": 3}


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "not JSON"),
        (b"<html>", "not JSON"),
        ('{"data": "é"}'.encode("latin-1"), "not JSON in UTF-8"),
        ('{"data": []}'.encode("utf-16"), "not JSON in UTF-8"),
        (b"[" * 50_000, "not JSON"),
        ({}, "has nothing but a list"),
        ([], "has nothing but a list"),
        ({"data": {"t": 1}}, "has something but a list"),
        ({"data": [{"p": 1}]}, "should be there is not"),
        ({"data": [{"t": "soon", "p": 1}]}, "'soon' is not a time"),
        ({"data": [{"t": "2026-03-29T02:30", "p": 1}]}, "leaves out"),
        ({"data": [{"t": "0001-01-01T00:00", "p": 1}]}, "not a time|no time between"),
        ({"data": [{"t": 9e17, "p": 1}]}, "no time between 1970 and 2200"),
        ({"data": [{"t": 1e13, "p": 1}]}, "no time between 1970 and 2200"),
        ({"data": [{"t": True, "p": 1}]}, "'True' is not a number"),
        ({"data": [{"t": 1, "p": "a lot"}]}, "'a lot' is not a number"),
        ({"data": [{"t": 1, "p": "1_000"}]}, "is not a number"),
        ({"data": [{"t": 1, "p": True}]}, "'True' is not a number"),
        ({"data": [{"t": 1, "p": {"x": 1}}]}, "is not a number"),
        ({"data": [{"t": 1, "p": "1e999"}]}, "is not a number"),
        (b'{"data": [{"t": 1, "p": Infinity}]}', "is not a number"),
        (b'{"data": [{"t": 1, "p": 1' + b"0" * 400 + b"}]}", "too large|not a number"),
    ],
)
async def test_answers_that_make_no_sense(body: bytes, sentence: str) -> None:
    with pytest.raises(FetchError, match=sentence):
        await fetch(settings(ITEMS, timezone="Europe/Amsterdam"), body)


async def test_not_a_number_is_a_gap() -> None:
    assert await values(settings(ITEMS), b'{"data": [{"t": 1, "p": NaN}, {"t": 3601, "p": 2}]}') == {
        "1970-01-01T01:00": 2.0
    }


async def test_a_byte_order_mark_does_no_harm() -> None:
    assert await values(settings(LISTS), b'\xef\xbb\xbf{"times": [0], "values": [2]}') == {"1970-01-01T00:00": 2.0}


async def test_lists_that_do_not_match_are_not_put_together() -> None:
    with pytest.raises(FetchError, match=r"2 times and 1 values.*`items`"):
        await fetch(settings(LISTS), {"times": ["2026-02-03T00:00Z", "2026-02-03T01:00Z"], "values": [1]})


async def test_an_endless_row_of_even_values_is_refused() -> None:
    with pytest.raises(FetchError, match="too far into the future"):
        await fetch(settings(EVEN, resolution="P300D"), {"from": "2026-02-03T00:00Z", "values": [1] * 1000})


@pytest.mark.parametrize(
    ("wrong", "field", "sentence"),
    [
        ({"url": "ftp://example.org"}, "url", "does not begin with"),
        ({"url": "example.org"}, "url", "does not begin with"),
        ({"url": "https://example.org/{day}"}, "url", "braces"),
        ({"url": "https://example.org/{start.__class__}"}, "url", "braces"),
        ({"url": "https://example.org/{start:xx}"}, "url", "is none of"),
        ({"url": "https://me:pw@example.org/"}, "url", "a password in it"),
        ({"url": "https://example.org/?api_key=123"}, "url", "looks like a secret"),
        ({"url": "https://example.org/?key={token}"}, "config", "no token"),
        ({"headers": {"X-Api-Key": "123"}}, "headers", "looks like a secret"),
        ({"body": {"login": [{"user": "me", "password": "123"}]}}, "body", "looks like a secret"),
        ({"headers": {"A b": "c"}}, "headers", "cannot be a header"),
        ({"headers": {"Accept": "a\r\nHost: b"}}, "headers", "cannot be a header"),
        ({"times": "data[*"}, "times", "no JMESPath"),
        ({"times": "a" * 600}, "times", "longer than 500"),
        ({"start": "from"}, "config", "either `times`"),
        ({"series": {}}, "series", "at least 1"),
        ({"series": {"price": {"values": "p", "unit": "EUR/yak"}}}, "series.price.unit", "cannot be handled"),
        ({"timezone": "Europe/Nowhere"}, "timezone", "no time zone named"),
        ({"past": "P400D"}, "past", "366 days"),
        ({"past": "PT0S", "ahead": "PT0S"}, "config", "no time to ask for"),
        ({"zone": "NL"}, "zone", "no such setting"),
    ],
)
def test_settings_that_make_no_sense(wrong: dict[str, object], field: str, sentence: str) -> None:
    with pytest.raises(Invalid) as caught:
        settings(ITEMS, **wrong)
    assert sentence in caught.value.fields[field][0]


def test_the_window_of_a_run() -> None:
    read = settings(ITEMS, timezone="Europe/Amsterdam")
    start, end = KIND.window(read, NOW, None)
    assert (start, end) == (datetime(2026, 2, 1, 23, tzinfo=UTC), datetime(2026, 2, 4, 23, tzinfo=UTC))
    assert KIND.window(read, NOW, NOW - timedelta(days=3))[0] == NOW - timedelta(days=3)
    assert KIND.window(read, NOW, NOW - timedelta(days=300))[0] == NOW - timedelta(days=7)


def test_secrets_are_kept_apart() -> None:
    read = settings(ITEMS, headers={"X-Api-Key": "{token}"}, token="hush")
    seen, hidden = split_secrets(KIND, read)
    assert hidden == {"token": "hush"}
    assert "hush" not in str(seen) + repr(read)
    assert parse_settings(KIND, {**seen, **hidden}) == read
    assert np.all([name != "token" for name in seen])
