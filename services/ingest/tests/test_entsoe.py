"""Responses of ENTSO-E, made by hand: good, empty, odd and bad ones."""

import zipfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from xml.sax.saxutils import escape

import httpx
import numpy as np
import pytest
from ingest.connectors.connector_kind import FetchRequest
from ingest.connectors.entsoe import document
from ingest.connectors.entsoe.connector import Entsoe, EntsoeSettings, compute_belief_times, market_day
from ingest.connectors.entsoe.zones import CODES, check_sign, eic_of
from ingest.connectors.fetched_series import FetchedSeries, FetchError
from ingest.connectors.http_client import HttpClient, ResponseLimits
from ingest.connectors.series_writer import build_beliefs
from ingest.data.repository import Sensor
from pydantic import ValidationError

NOW = datetime(2026, 2, 3, 12, 58, tzinfo=UTC)
TOKEN = "a-secret-token"
KIND = Entsoe()
SETTINGS = EntsoeSettings(zone="NL", token=TOKEN)

Points = Mapping[int, float | str]


def period(start: str, end: str, resolution: str, points: Points, tag: str = "price.amount") -> str:
    listed = "".join(
        f"<Point><position>{place}</position><{tag}>{value}</{tag}></Point>" for place, value in points.items()
    )
    return (
        f"<Period><timeInterval><start>{start}</start><end>{end}</end></timeInterval>"
        f"<resolution>{resolution}</resolution>{listed}</Period>"
    )


def series(*periods: str, curve: str | None = "A03", sequence: int | None = None, **more: str) -> str:
    fields = {"contract_MarketAgreement.type": "A01", "currency_Unit.name": "EUR", "price_Measure_Unit.name": "MWH"}
    fields |= {"curveType": curve} if curve else {}
    if sequence is not None:
        fields["classificationSequence_AttributeInstanceComponent.position"] = str(sequence)
    fields |= {name.replace("__", "."): value for name, value in more.items()}
    listed = "".join(f"<{tag}>{text}</{tag}>" for tag, text in fields.items())
    return f"<TimeSeries>{listed}{''.join(periods)}</TimeSeries>"


def publication(*content: str, created: str = "2026-02-03T12:57:00Z") -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<Publication_MarketDocument xmlns="urn:iec62325.351:tc57wg16:451-3:publicationdocument:7:3">'
        f"<mRID>1</mRID><type>A44</type><createdDateTime>{created}</createdDateTime>{''.join(content)}"
        "</Publication_MarketDocument>"
    ).encode()


def acknowledgement(text: str, code: str = "999") -> bytes:
    return (
        '<Acknowledgement_MarketDocument xmlns="urn:iec62325.351:tc57wg16:451-1:acknowledgementdocument:7:0">'
        f"<mRID>1</mRID><Reason><code>{code}</code><text>{escape(text)}</text></Reason></Acknowledgement_MarketDocument>"
    ).encode()


NO_ROWS = acknowledgement("No matching data found for Data item ENERGY_PRICES [12.1.D] (10YNL----------L)")
FEBRUARY_4 = ("2026-02-03T23:00Z", "2026-02-04T23:00Z")


def sensor(minutes: int = 60, unit: str = "EUR/MWh") -> Sensor:
    return Sensor(1, "prices", unit, timedelta(minutes=minutes), "Europe/Amsterdam", None)


async def fetch(
    answer: Callable[[httpx.Request], httpx.Response],
    *wanted: str,
    start: datetime = datetime(2026, 2, 3, 23, tzinfo=UTC),
    now: datetime = NOW,
    settings: EntsoeSettings = SETTINGS,
) -> Sequence[FetchedSeries]:
    """Fetch series from a server whose response is made from the request."""
    names = wanted or ("day-ahead-price",)
    http = HttpClient(httpx.MockTransport(answer), ResponseLimits(seconds=1, max_bytes=1_000_000))
    request = FetchRequest({name: sensor() for name in names}, start, start + timedelta(days=1), now, http)
    return await KIND.fetch(settings, request)


def saying(body: bytes, status: int = 200) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(status, content=body)


async def prices(
    body: bytes,
    to: Sensor | None = None,
    start: datetime = datetime(2026, 2, 3, 23, tzinfo=UTC),
    now: datetime = NOW,
    settings: EntsoeSettings = SETTINGS,
) -> dict[datetime, float]:
    """Return the events of the beliefs built from a response."""
    fetched = await fetch(saying(body), start=start, now=now, settings=settings)
    beliefs = build_beliefs([(each, 1) for each in fetched], to or sensor())
    starts = beliefs.event_start.astype("datetime64[s]").tolist()
    return dict(zip([start.replace(tzinfo=UTC) for start in starts], beliefs.values.tolist(), strict=True))


async def test_what_is_asked() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, content=publication(series(period(*FEBRUARY_4, "PT60M", {1: 5}))))

    [fetched] = await fetch(answer)
    assert dict(asked[0].url.params) == {
        "documentType": "A44",
        "contract_MarketAgreement.type": "A01",
        "in_Domain": "10YNL----------L",
        "out_Domain": "10YNL----------L",
        "periodStart": "202602032300",
        "periodEnd": "202602042300",
        "securityToken": TOKEN,
    }
    assert asked[0].url.host == "web-api.tp.entsoe.eu"
    assert fetched.unit == "EUR/MWh"


async def test_repeated_prices_are_left_out_of_the_answer() -> None:
    found = await prices(publication(series(period(*FEBRUARY_4, "PT60M", {1: 5, 3: 7, 24: -1}))))
    values = list(found.values())
    assert values == [5, 5] + [7] * 21 + [-1]
    assert next(iter(found)) == datetime(2026, 2, 3, 23, tzinfo=UTC)


@pytest.mark.parametrize("curve", ["A01", None])
async def test_in_other_curves_gaps_are_gaps(curve: str | None) -> None:
    found = await prices(publication(series(period(*FEBRUARY_4, "PT60M", {1: 5, 3: 7}), curve=curve)))
    assert list(found.values()) == [5, 7]


async def test_quarters_become_hours_and_hours_become_quarters() -> None:
    quarters = publication(series(period(*FEBRUARY_4, "PT15M", dict(enumerate(range(96), 1)))))
    assert list((await prices(quarters)).values()) == [4 * hour + 1.5 for hour in range(24)]
    assert len(await prices(quarters, sensor(15))) == 96
    hours = publication(series(period(*FEBRUARY_4, "PT60M", dict(enumerate(range(24), 1)))))
    assert list((await prices(hours, sensor(15))).values()) == [float(quarter // 4) for quarter in range(96)]


async def test_in_the_sensors_unit() -> None:
    body = publication(series(period(*FEBRUARY_4, "PT60M", {1: 85.5})))
    assert set((await prices(body, sensor(unit="cEUR/kWh"))).values()) == {8.55}


async def test_another_currency_is_refused_in_words() -> None:
    body = publication(series(period(*FEBRUARY_4, "PT60M", {1: 85.5}), currency_Unit__name="PLN"))
    with pytest.raises(FetchError, match="got incompatible unit: PLN/MWh"):
        await prices(body)
    assert set((await prices(body, sensor(unit="PLN/MWh"))).values()) == {85.5}


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [("2026-03-28T23:00Z", "2026-03-29T22:00Z", 23), ("2026-10-24T22:00Z", "2026-10-25T23:00Z", 25)],
)
@pytest.mark.parametrize("minutes", [15, 60])
async def test_days_on_which_the_clock_changes(start: str, end: str, hours: int, minutes: int) -> None:
    count = hours * 60 // minutes
    body = publication(series(period(start, end, f"PT{minutes}M", dict(enumerate(range(count), 1)))))
    found = await prices(body, sensor(minutes), start=datetime.fromisoformat(start))
    assert list(found.values()) == list(range(count))
    assert list(found)[-1] == datetime.fromisoformat(end) - timedelta(minutes=minutes)
    assert len(await prices(body, start=datetime.fromisoformat(start))) == hours
    daily = await prices(body, sensor(24 * 60), start=datetime.fromisoformat(start))
    assert daily == {datetime.fromisoformat(start): (count - 1) / 2}


async def test_several_series_and_periods() -> None:
    february_5 = ("2026-02-04T23:00Z", "2026-02-05T23:00Z")
    one, two = period(*FEBRUARY_4, "PT60M", {1: 5}), period(*february_5, "PT60M", {1: 6})
    for body in (publication(series(one, two)), publication(series(one), series(two))):
        assert list((await prices(body)).values()) == [5] * 24 + [6] * 24


async def test_of_several_auctions_the_coupled_one_counts() -> None:
    other = series(period(*FEBRUARY_4, "PT15M", {1: 99}), sequence=2)
    coupled = series(period(*FEBRUARY_4, "PT15M", {1: 5}), sequence=1)
    for body in (publication(other, coupled), publication(coupled, other)):
        assert set((await prices(body)).values()) == {5}
    second = EntsoeSettings(zone="DE_LU", token=TOKEN, sequence=2)
    assert set((await prices(publication(other, coupled), settings=second)).values()) == {99}


async def test_only_another_auction_is_as_good_as_nothing() -> None:
    with pytest.raises(FetchError, match="no day-ahead-price"):
        await prices(
            publication(series(period(*FEBRUARY_4, "PT15M", {1: 99}), sequence=2)), now=NOW + timedelta(days=1)
        )


async def test_the_finer_of_two_series_counts() -> None:
    hours, quarters = (series(period(*FEBRUARY_4, f"PT{m}M", {1: m})) for m in (60, 15))
    for body in (publication(hours, quarters), publication(quarters, hours)):
        assert set((await prices(body)).values()) == {15}


@pytest.mark.parametrize("status", [200, 400])
async def test_before_they_are_out_no_prices_are_no_error(status: int) -> None:
    assert await fetch(saying(NO_ROWS, status)) == []


@pytest.mark.parametrize("status", [200, 400])
async def test_when_they_should_be_out_it_is_one(status: int) -> None:
    with pytest.raises(FetchError, match=r"no day-ahead-price of NL from 2026-02-03T23:00:00.*should be out"):
        await fetch(saying(NO_ROWS, status), now=datetime(2026, 2, 3, 17, 1, tzinfo=UTC))


async def test_other_refusals_are_told_in_the_words_of_the_platform() -> None:
    body = acknowledgement("The amount of requested data exceeds allowed limit.")
    for status in (200, 400):
        with pytest.raises(FetchError, match="The amount of requested data exceeds allowed limit"):
            await fetch(saying(body, status))


async def test_a_wrong_token_is_told_without_it() -> None:
    with pytest.raises(FetchError, match="check the token") as caught:
        await fetch(saying(b"<html><body>Unauthorized</body></html>", 401))
    assert TOKEN not in str(caught.value)


async def test_what_came_is_not_lost_when_something_else_is_missing() -> None:
    load = series(
        period(*FEBRUARY_4, "PT60M", {1: 9000}, "quantity"), quantity_Measure_Unit__name="MAW", currency_Unit__name=""
    )

    def answer(request: httpx.Request) -> httpx.Response:
        is_load = request.url.params["documentType"] == "A65"
        return httpx.Response(200, content=publication(load) if is_load else NO_ROWS)

    with pytest.raises(FetchError, match="no solar-forecast of NL") as caught:
        await fetch(answer, "solar-forecast", "load-forecast", now=NOW + timedelta(days=1))
    [fetched] = caught.value.partial
    assert fetched.source is not None
    assert (fetched.series, fetched.unit, fetched.source.type) == ("load-forecast", "MW", "forecaster")


async def test_a_series_that_is_refused_does_not_keep_the_others_out() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.params["documentType"] == "A69":
            return httpx.Response(400, content=acknowledgement("Not for this area."))
        return httpx.Response(200, content=publication(series(period(*FEBRUARY_4, "PT60M", {1: 50}))))

    with pytest.raises(FetchError, match="Not for this area") as caught:
        await fetch(answer, "solar-forecast", "day-ahead-price")
    assert [each.series for each in caught.value.partial] == ["day-ahead-price"]


async def test_generation_is_told_from_what_pumps_consume() -> None:
    unit: dict[str, Any] = {"quantity_Measure_Unit__name": "MAW", "currency_Unit__name": ""}
    made = series(period(*FEBRUARY_4, "PT60M", {1: 9000}, "quantity"), inBiddingZone_Domain__mRID="x", **unit)
    used = series(period(*FEBRUARY_4, "PT60M", {1: 70}, "quantity"), outBiddingZone_Domain__mRID="x", **unit)
    [fetched] = await fetch(saying(publication(made, used)), "generation-forecast")
    assert set(fetched.values) == {9000}


async def test_documents_in_a_zip_file() -> None:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("one.xml", publication(series(period(*FEBRUARY_4, "PT60M", {1: 5}))))
        archive.writestr("two.xml", NO_ROWS)
    assert set((await prices(packed.getvalue())).values()) == {5}


async def test_a_zip_bomb_and_a_broken_zip_file_are_refused() -> None:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("one.xml", bytes(5_000_000))
    with pytest.raises(FetchError, match="holds more than 1 MB"):
        await prices(packed.getvalue())
    with pytest.raises(FetchError, match="cannot be read"):
        await prices(packed.getvalue()[:100])


ENTITIES = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
BOMB = f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e0 "ha">{ENTITIES}]><a>&e9;</a>'.encode()
OUTSIDE = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'


@pytest.mark.parametrize(
    "body", [BOMB, OUTSIDE, b"", b"{}", b"<a>", b"\xff\xfe<", b'<?xml version="1.0" encoding="no-such"?><a/>']
)
async def test_xml_that_is_bad_or_none(body: bytes) -> None:
    with pytest.raises(FetchError, match="not the XML that was expected"):
        await prices(body)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (series(period(*FEBRUARY_4, "PT60M", {25: 5})), "position 25 of 24"),
        (series(period(*FEBRUARY_4, "PT60M", {0: 5})), "position 0 of 24"),
        (series(period(*FEBRUARY_4, "PT7H", {1: 5})), "cannot be cut into parts of 7:00:00"),
        (series(period(FEBRUARY_4[1], FEBRUARY_4[0], "PT60M", {1: 5})), "cannot be cut"),
        (series(period(*FEBRUARY_4, "P1M", {1: 5})), "says no resolution"),
        (series(period(*FEBRUARY_4, "", {1: 5})), "says no resolution"),
        (series(period("2026-02-03T23:00Z", "9999-02-03T23:00Z", "PT1M", {1: 5})), "more than 500000 values"),
        (series(period("soon", "later", "PT60M", {1: 5})), "says no start"),
        (series(period(*FEBRUARY_4, "PT60M", {1: "much"})), "no position or no value"),
        (series(period(*FEBRUARY_4, "PT60M", {1: "1e999"})), "not between -1e100 and 1e100"),
        (series(period(*FEBRUARY_4, "PT60M", {1: 5}), price_Measure_Unit__name="BTU"), "unit 'BTU'"),
    ],
)
async def test_documents_that_make_no_sense(content: str, sentence: str) -> None:
    with pytest.raises(FetchError, match=sentence):
        await prices(publication(content))


def test_a_document_in_a_thousand_pieces_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_PERIODS", 3)
    whole = [series(period(*FEBRUARY_4, "PT60M", {1: 50}))]
    assert len(document.parse_documents(publication(*whole * 3), 1_000_000)) == 3
    with pytest.raises(FetchError, match="or 3 periods"):
        document.parse_documents(publication(*whole * 4), 1_000_000)


def test_when_prices_were_known() -> None:
    starts = np.array(["2026-02-03T22:45", "2026-02-03T23:00"], dtype="datetime64[us]")
    early, late = datetime(2026, 2, 2, 12, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
    assert compute_belief_times(starts, early).tolist() == [early.replace(tzinfo=None)] * 2
    assert compute_belief_times(starts, late).astype("datetime64[m]").astype(str).tolist() == [
        "2026-02-02T17:00",
        "2026-02-03T17:00",
    ]


def test_the_windows_of_runs_are_days_of_the_market() -> None:
    now = datetime(2026, 3, 28, 23, 30, tzinfo=UTC)  # it is the 29th in Brussels, which has 23 hours
    assert KIND.window(SETTINGS, now, None) == (market_day(now), market_day(now, 2))
    assert market_day(now) == datetime(2026, 3, 28, 23, tzinfo=UTC)
    assert market_day(now, 1) == datetime(2026, 3, 29, 22, tzinfo=UTC)
    missed = KIND.window(SETTINGS, now, now - timedelta(days=3))
    assert missed[0] == datetime(2026, 3, 25, 23, tzinfo=UTC)
    long_ago = KIND.window(SETTINGS, now, now - timedelta(days=300))
    assert now - long_ago[0] < timedelta(days=9)


def test_zones_by_name_and_by_code() -> None:
    assert all(check_sign(code) == code[-1] for code in CODES.values())
    assert eic_of("nl") == eic_of("10YNL----------L") == "10YNL----------L"
    assert eic_of("de-lu") == eic_of("DE") == "10Y1001A1001A82H"
    assert eic_of("10Y1001A1001A63L") == "10Y1001A1001A63L"
    for wrong in ("XX", "", "10YNL----------M", "10YNL---------L", "' or 1=1"):
        with pytest.raises(ValidationError, match="EIC code"):
            EntsoeSettings(zone=wrong, token=TOKEN)


def test_nothing_is_told_from_other_refusals_by_its_words() -> None:
    assert document.says_no_data(NO_ROWS)
    assert not document.says_no_data(acknowledgement("Delivered time interval is not valid"))
    assert not document.says_no_data(b"<html>")
