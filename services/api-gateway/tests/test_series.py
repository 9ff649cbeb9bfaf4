"""Reading series below `/api/v1`: windows, steps, beliefs, formats; of one sensor and of many; in pieces."""

import csv
import io
import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import psutil
import pytest
from api_gateway.series import chunks, request, responses, tables
from api_gateway.series.schemas import SeriesQuery
from flexcore.permissions import resources
from flexcore.permissions.policy import ResourceType
from flexcore.permissions.resources import ResourceRow
from flexstore import sources
from flexstore.series import BeliefBatch, to_datetime64, write_beliefs
from gateway_house import AddBeliefs, AddSite, House, JsonBody, JsonObject, Person, QueryParam
from nanoarrow import ArrayStream
from starlette.types import Message

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURS = {"start": START.isoformat(), "duration": "PT2H"}
CSV, PARQUET, ARROW = (name for name in responses.FORMATS if name != responses.JSON)


async def ask(
    toy: Person, path: str, status: int = 200, /, accept: str = "*/*", **params: QueryParam
) -> httpx.Response:
    params = {name.replace("_", "-"): value for name, value in params.items()}
    answer = await toy.client.get(f"/api/v1{path}", params=params, headers={"Accept": accept})
    assert answer.status_code == status, answer.text
    return answer


async def fields(toy: Person, path: str, status: int = 422, /, **params: QueryParam) -> JsonBody:
    answer = await ask(toy, path, status, accept="*/*", **params)
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()["fields"]


async def sensor_of(toy: Person, asset: int, name: str, unit: str, resolution: str, zone: str = "UTC") -> int:
    body = {"name": name, "unit": unit, "event_resolution": resolution, "generic_asset_id": asset, "timezone": zone}
    sensor: int = (await toy.post("/sensors", body))["id"]
    return sensor


@pytest.fixture
async def power(toy: Person, add_site: AddSite, know: AddBeliefs) -> int:
    """Two hours of quarters in kW, one of them unknown."""
    power: int = (await add_site())[3]
    await know(power, [1.5, -2, float("nan"), 4, 5, 6, 7, 8], 15)
    return power


async def believe(house: House, sensor: int, at: datetime, values: dict[float, float], event: datetime = START) -> int:
    """Store a distribution of values of one event."""
    async with house.store.transaction() as con:
        source: int = await sources.ensure(con, "oracle", "forecaster")
        starts, chances = np.full(len(values), to_datetime64(event)), np.array(list(values))
        await write_beliefs(
            con, BeliefBatch(sensor, starts, to_datetime64(at), np.array(list(values.values())), source, chances)
        )
    return source


# --- JSON


async def test_values_are_told_in_steps(toy: Person, power: int) -> None:
    path = f"/sensors/{power}/data"
    assert (await ask(toy, path, **HOURS)).json() == {
        "sensor": power, "name": "power", "unit": "kW", "start": "2026-03-02T00:00:00+00:00",
        "end": "2026-03-02T02:00:00+00:00", "resolution": "PT15M",
        "values": [1.5, -2.0, None, 4.0, 5.0, 6.0, 7.0, 8.0],
    }  # fmt: skip
    local = (
        await ask(toy, path, start="2026-03-02T01:00+01:00", end="2026-03-02T02:00+01:00", timezone="Asia/Tokyo")
    ).json()
    assert (local["start"], local["end"]) == ("2026-03-02T09:00:00+09:00", "2026-03-02T10:00:00+09:00")
    assert local["values"] == [1.5, -2.0, None, 4.0]
    for more, expected in (
        ({"unit": "W"}, [1500, -2000, None, 4000, 5000, 6000, 7000, 8000]),
        ({"resolution": "PT1H"}, [pytest.approx(3.5 / 3), 6.5]),
        ({"resolution": "PT1H", "unit": "MWh"}, [pytest.approx(0.0035 / 3), 0.0065]),
        ({"resolution": "PT40M"}, [pytest.approx(-0.25), pytest.approx((4 * 15 + 5 * 15 + 6 * 5) / 35), 7.25]),
        ({"resolution": "PT5M", "duration": "PT30M"}, [1.5, 1.5, 1.5, -2, -2, -2]),
        ({"duration": "PT0H"}, []),
        ({"start": "2030-01-01T00:00Z"}, [None] * 8),
    ):
        found = (await ask(toy, path, **(HOURS | more))).json()["values"]
        assert len(found) == len(expected), more
        if "PT40M" not in more.values():
            assert found == expected, more


async def test_amounts_add_up(toy: Person, add_site: AddSite, know: AddBeliefs) -> None:
    building, *_ = await add_site()
    meter = await sensor_of(toy, building, "meter", "kWh", "PT15M")
    await know(meter, [1, 2, 3, 4], 15)
    hour = {"start": START.isoformat(), "duration": "PT1H", "resolution": "PT1H"}
    assert (await ask(toy, f"/sensors/{meter}/data", **hour)).json()["values"] == [10]
    assert (await ask(toy, f"/sensors/{meter}/data", **hour, unit="kW")).json()["values"] == [10]
    assert (await ask(toy, f"/sensors/{meter}/data", **HOURS, unit="kW")).json()["values"][:4] == [4, 8, 12, 16]


async def test_instantaneous_sensors_tell_events_where_they_are(toy: Person, add_site: AddSite, house: House) -> None:
    building, *_ = await add_site()
    soc = await sensor_of(toy, building, "soc", "kWh", "PT0M", "Europe/Amsterdam")
    for minute, value in ((0, 20.0), (7, 21.0), (60, 22.0)):
        await believe(house, soc, START, {0.5: value}, START + timedelta(minutes=minute))
    found = (await ask(toy, f"/sensors/{soc}/data", **HOURS, unit="MWh")).json()
    assert (found["resolution"], found["unit"]) == ("PT0H", "MWh")
    assert found["events"] == [
        {"event-start": "2026-03-02T01:00:00+01:00", "value": 0.02},
        {"event-start": "2026-03-02T01:07:00+01:00", "value": 0.021},
        {"event-start": "2026-03-02T02:00:00+01:00", "value": 0.022},
    ]
    stepped = (await ask(toy, f"/sensors/{soc}/data", **HOURS, resolution="PT30M")).json()
    assert stepped["values"] == [20.0, None, 22.0, None]


async def test_who_said_what_when(toy: Person, house: House, power: int, know: AddBeliefs) -> None:
    path, event = f"/sensors/{power}/data", {"start": START.isoformat(), "duration": "PT15M"}
    [meter] = [row["id"] for row in await house.fetch("select id from source")]
    oracle = await believe(house, power, START - 2 * HOUR, {0.1: 1, 0.5: 2, 0.9: 3})
    later = await know(power, [9], 15, at=START + HOUR, source="other")
    for more, expected in (
        ({}, 9),
        ({"prior": START.isoformat()}, 1.5),
        ({"horizon": "PT1H"}, 2),
        ({"source": oracle}, 2),
        ({"source": [oracle, meter]}, 1.5),
        ({"source-type": ["forecaster", "nobody"]}, 2),
        ({"source-account": toy.account_id}, None),
    ):
        assert (await ask(toy, path, **event, **more)).json()["values"] == [expected], more
    spread = (await ask(toy, path, **event, beliefs="latest", prior=(START - HOUR).isoformat(), unit="W")).json()
    told = {"event-start": "2026-03-02T00:00:00+00:00", "belief-time": "2026-03-01T22:00:00+00:00", "source": oracle}
    assert spread["beliefs"] == [
        told | {"cumulative-probability": chance, "value": value}
        for chance, value in ((0.1, 1e3), (0.5, 2e3), (0.9, 3e3))
    ]
    everything = (await ask(toy, path, **event, beliefs="all")).json()["beliefs"]
    assert [(one["source"], one["value"]) for one in everything] == [
        (oracle, 1.0), (oracle, 2.0), (oracle, 3.0), (meter, 1.5), (later, 9.0),
    ]  # fmt: skip


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"duration": None}, "duration", "Give either a duration or an end."),
    ({"end": START.isoformat()}, "duration", "Give either a duration or an end."),
    ({"duration": None, "end": "2026-03-01T00:00Z"}, "end", "before the start"),
    ({"start": None}, "start", "required"),
    ({"start": "2026-03-02T00:00:00"}, "start", "Not a valid aware datetime."),
    ({"duration": "-PT1H"}, "duration", "negative"),
    ({"duration": "P1000Y"}, "duration", "400 years"),
    ({"start": "0001-01-01T00:00Z"}, "start", "before"),
    ({"start": "9999-12-31T00:00Z"}, "duration", "must not end after"),
    ({"duration": None, "end": "9999-12-31T23:59Z"}, "end", "must not end after"),
    ({"start": "9998-12-30T00:00Z", "resolution": "P20D"}, "resolution", "must not end after"),
    ({"horizon": "-P999999D"}, "horizon", "400 years"),
    ({"duration": "P300Y", "resolution": "PT1S"}, "duration", "At most 10000000"),
    ({"resolution": "P1M"}, "resolution", "differ in length"),
    ({"resolution": "-PT1H"}, "resolution", "negative"),
    ({"resolution": "P3000D"}, "resolution", "too many events"),
    ({"resolution": "PT1H", "beliefs": "all"}, "resolution", "as they are"),
    ({"beliefs": "some"}, "beliefs", "latest"),
    ({"unit": "EUR"}, "unit", "The 'kW' of sensor {} cannot be converted to 'EUR'."),
    ({"unit": "florps"}, "unit", "cannot be converted to 'florps'"),
    ({"timezone": "Mars/Olympus"}, "timezone", "no time zone named"),
    ({"horizon": "P1Y"}, "horizon", "differ in length"),
    ({"prior": "x"}, "prior", "Not a valid datetime."),
    ({"source": [1, 999]}, "source", "No data source found with id 999."),
    ({"source-account": 999}, "source-account", "No account found with id 999."),
    ({"source": "me"}, "source", "integer"),
    ({"foo": 1}, "foo", ""),
]


async def test_wrong_questions_name_the_parameter(toy: Person, power: int, subtests: pytest.Subtests) -> None:
    for change, name, said in WRONG:
        with subtests.test(change=change):
            params = {key: value for key, value in (HOURS | change).items() if value is not None}
            wrong = await fields(toy, f"/sensors/{power}/data", **params)
            assert list(wrong) == [name]
            assert said.format(power) in str(wrong[name])
    assert (await ask(toy, "/sensors/999/data", 404, **HOURS)).json()["detail"] == "Sensor 999 not found"
    refusal = await ask(toy, f"/sensors/{power}/data", 406, "image/png", **HOURS)
    assert all(name in refusal.json()["detail"] for name in responses.FORMATS)


# --- tables


def rows_of(media_type: str, content: bytes) -> list[dict[str, Any]]:
    """Return the rows of a table by Polars; those of CSV without the unit."""
    if media_type == CSV:
        types = {"event_start": pl.Datetime("us", "UTC"), "belief_time": pl.Datetime("us", "UTC")}
        frame = pl.read_csv(content, schema_overrides=types).drop("unit")
    elif media_type == PARQUET:
        frame = pl.read_parquet(content)
    else:
        frame = pl.read_ipc_stream(content)
    moments = [name for name in tables.MOMENTS if name in frame.columns]
    return frame.with_columns(pl.col(moments).dt.convert_time_zone("UTC")).to_dicts()


@pytest.mark.parametrize("media_type", [CSV, PARQUET, ARROW])
async def test_a_table_has_a_row_per_known_event(toy: Person, power: int, media_type: str) -> None:
    path = f"/sensors/{power}/data"
    answer = await ask(toy, path, accept=media_type, **HOURS, unit="W")
    assert answer.headers["content-type"].partition(";")[0] == media_type
    assert answer.headers["vary"] == "Authorization, Accept"
    suffix = responses.FORMATS[media_type].suffix
    name = f"sensor-{power}_20260302T000000Z_20260302T020000Z.{suffix}"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    quarters = {0: 1500, 1: -2000, 3: 4000, 4: 5000, 5: 6000, 6: 7000, 7: 8000}
    assert rows_of(media_type, answer.content) == [
        {"sensor": power, "event_start": START + number * HOUR / 4, "event_value": value}
        for number, value in quarters.items()
    ]
    hours = await ask(toy, path, accept=media_type, start=START.isoformat(), duration="PT3H", resolution="PT1H")
    assert [row["event_start"] for row in rows_of(media_type, hours.content)] == [START, START + HOUR]
    nothing = await ask(toy, path, accept=media_type, start="2030-01-01T00:00Z", duration="P1D")
    assert rows_of(media_type, nothing.content) == []


@pytest.mark.parametrize("media_type", [CSV, PARQUET, ARROW])
async def test_a_table_of_beliefs(toy: Person, house: House, power: int, media_type: str) -> None:
    oracle = await believe(house, power, START - 2 * HOUR, {0.1: 1, 0.9: 3})
    asked: dict[str, QueryParam] = {**HOURS, "beliefs": "all", "source": oracle}
    answer = await ask(toy, f"/sensors/{power}/data", accept=media_type, **asked)
    told = {"sensor": power, "event_start": START, "belief_time": START - 2 * HOUR, "source": oracle}
    assert rows_of(media_type, answer.content) == [
        told | {"cumulative_probability": 0.1, "event_value": 1.0},
        told | {"cumulative_probability": 0.9, "event_value": 3.0},
    ]


async def test_files_say_what_their_numbers_are(toy: Person, power: int, add_site: AddSite) -> None:
    _, price, _, _ = await add_site("other site")
    one = {"start": "2026-03-02T01:00+01:00", "duration": "PT15M", "timezone": "Europe/Amsterdam", "unit": "MW"}
    text = (await ask(toy, f"/sensors/{power}/data", accept=CSV, **one)).text
    assert text == f"sensor,event_start,event_value,unit\n{power},2026-03-02T01:00:00+01:00,0.0015,MW\n"
    parquet = (await ask(toy, f"/sensors/{power}/data", accept=PARQUET, **one)).content
    metadata = pl.read_parquet_metadata(parquet)
    assert metadata["unit"] == "MW"
    assert json.loads(metadata["sensors"]) == {
        str(power): {"name": "power", "unit": "MW", "resolution": "PT15M", "timezone": "UTC"}
    }
    assert pl.read_parquet_schema(parquet)["event_start"] == pl.Datetime("us", "Europe/Amsterdam")
    both: dict[str, QueryParam] = {"start": START.isoformat(), "duration": "PT1H", "sensor": [power, price]}
    arrow = (await ask(toy, "/data", accept=ARROW, **both)).content
    described = dict(ArrayStream.from_readable(arrow).schema.metadata)
    assert b"unit" not in described
    assert {one["unit"] for one in json.loads(described[b"sensors"]).values()} == {"kW", "EUR/MWh"}


# --- many sensors


async def test_many_sensors_in_the_order_asked_for(toy: Person, add_site: AddSite, know: AddBeliefs) -> None:
    building, price, _, power = await add_site()
    soc = await sensor_of(toy, building, "soc", "kWh", "PT0M")
    await know(price, [50, 60], 60)
    await know(power, [1, 2, 3, 4], 15)
    await know(soc, [5], 15)
    hour = {"start": START.isoformat(), "duration": "PT1H"}
    body = (await ask(toy, "/data", **hour, sensor=[power, soc, price, power])).json()
    told = [(one["sensor"], one["unit"], one.get("values") or one["events"]) for one in body["series"]]
    event = {"event-start": "2026-03-02T00:00:00+00:00", "value": 5.0}
    quarters = (power, "kW", [1.0, 2.0, 3.0, 4.0])
    assert told == [quarters, (soc, "kWh", [event]), (price, "EUR/MWh", [50.0]), quarters]
    table = (await ask(toy, "/data", accept=CSV, **hour, sensor=[price, power])).text
    assert [(row["sensor"], row["event_value"], row["unit"]) for row in csv.DictReader(io.StringIO(table))] == [
        (str(price), "50.0", "EUR/MWh"), *((str(power), f"{value}.0", "kW") for value in (1, 2, 3, 4)),
    ]  # fmt: skip
    wrong = await fields(toy, "/data", **hour, sensor=[power, price], unit="MW")
    assert wrong == {"unit": [f"The 'EUR/MWh' of sensor {price} cannot be converted to 'MW'."]}
    assert list(await fields(toy, "/data", **hour)) == ["sensor"]
    assert list(await fields(toy, "/data", **hour, sensor=[1] * 1001)) == ["sensor"]


async def test_the_latest_values(toy: Person, add_site: AddSite, know: AddBeliefs) -> None:
    _, price, _, power = await add_site()
    source = await know(power, [1, 2, 3, 4], 15, at=START - HOUR)
    at = {"at": (START + timedelta(minutes=40)).isoformat()}
    latest = {
        "sensor": power, "name": "power", "unit": "W", "value": 3000.0, "event-start": "2026-03-02T01:30:00+01:00",
        "event-end": "2026-03-02T01:45:00+01:00", "belief-time": "2026-03-02T00:00:00+01:00", "source": source,
    }  # fmt: skip
    told = {"unit": "W", "timezone": "Europe/Amsterdam"}
    assert (await ask(toy, f"/sensors/{power}/data/latest", **at, **told)).json() == latest
    assert (await ask(toy, f"/sensors/{power}/data/latest")).json()["value"] == 4.0
    both = (await ask(toy, "/data/latest", sensor=[price, power])).json()["latest"]
    assert [(one["sensor"], one["value"], one["unit"]) for one in both] == [
        (price, None, "EUR/MWh"),
        (power, 4.0, "kW"),
    ]
    assert both[0]["event-start"] is both[0]["belief-time"] is both[0]["source"] is None
    before = {"prior": (START - 2 * HOUR).isoformat()}
    assert (await ask(toy, f"/sensors/{power}/data/latest", **before)).json()["value"] is None
    assert list(await fields(toy, f"/sensors/{power}/data/latest", unit="EUR")) == ["unit"]


# --- pieces


@pytest.fixture
async def patchy(toy: Person, add_site: AddSite, house: House) -> list[int]:
    """Sensors of quarters, hours and moments with many gaps, and with some values stored twice."""
    building, *_ = await add_site()
    random = np.random.default_rng(7)
    made = []
    for name, minutes in (("quarters", 15), ("hours", 60), ("moments", 0)):
        sensor = await sensor_of(toy, building, name, "kWh", f"PT{minutes}M")
        made.append(sensor)
        ticks = np.sort(random.choice(60, 30, replace=False)) * (minutes or 5)
        ticks += 0 if minutes else random.integers(0, 2, 30)  # off the grid, some of them
        starts = to_datetime64(START) + ticks * np.timedelta64(1, "m")
        async with house.store.transaction() as con:
            source = await sources.ensure(con, "someone", "user")
            for believed in (0, 1):
                some = random.random(len(starts)) < 0.7
                when = to_datetime64(START + believed * HOUR)
                await write_beliefs(
                    con, BeliefBatch(sensor, starts[some], when, random.random(some.sum()).round(3), source)
                )
    return made


@pytest.mark.parametrize("media_type", list(responses.FORMATS))
async def test_series_are_the_same_in_pieces_of_any_size(
    toy: Person, patchy: list[int], media_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = {"start": (START - 3 * HOUR + timedelta(minutes=20)).isoformat(), "duration": "P4DT7H10M"}
    resolutions: tuple[JsonObject, ...] = ({}, {"resolution": "PT45M"}, {"resolution": "PT5M"}, {"resolution": "P1D"})
    questions: list[dict[str, Any]] = [*resolutions, {"beliefs": "latest"}, {"beliefs": "all"}]

    async def told() -> list[Any]:
        found: list[Any] = []
        for more in questions:
            for sensors in ([patchy[0]], patchy):
                answer = await ask(toy, "/data", accept=media_type, **window, **more, sensor=sensors)
                found.append(answer.json() if media_type == responses.JSON else rows_of(media_type, answer.content))
        return found

    whole = await told()
    assert len(str(whole)) > 10_000
    for size in (2, 40):
        monkeypatch.setattr(chunks, "CHUNK_SIZE", size)
        monkeypatch.setattr(tables, "ROWS", size)
        assert await told() == whole


async def load_sensors(house: House, *sensor_ids: int) -> list[ResourceRow]:
    async with house.store.connection() as con:
        return [await resources.get(con, ResourceType.SENSOR, id) for id in sensor_ids]


async def test_a_slow_client_holds_no_connection(
    house: House, toy: Person, patchy: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_SIZE", 5)
    monkeypatch.setattr(tables, "ROWS", 5)
    rows = await load_sensors(house, *sorted(patchy))
    query = SeriesQuery(start=START.isoformat(), duration="P20D")
    for format in responses.FORMATS.values():
        asked = request.parse_request(rows, query, several=True, table=format.is_table, most_values=10**6)
        answer = await responses.series_response(house.store, asked, format)
        parts = answer.body_iterator
        number = 0
        async for _ in parts:
            number += 1
            assert house.store.in_use == 0
        assert number > 1, format


def left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_nothing_is_left_of_what_a_client_did_not_take(
    house: House, toy: Person, power: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rows = await load_sensors(house, power)
    asked = request.parse_request(rows, SeriesQuery(**HOURS), several=False, table=True, most_values=100)
    answer = await responses.series_response(house.store, asked, responses.FORMATS[PARQUET])
    assert len(left_in(tmp_path)) == 1

    async def gone(message: Message) -> None:
        if message.get("body"):
            raise OSError("the client is gone")

    with pytest.raises(OSError, match="gone"):
        await answer.stream_response(gone)
    assert left_in(tmp_path) == []


async def test_a_million_values_take_no_more_memory(house: House, toy: Person, add_site: AddSite) -> None:
    count = 1_000_000
    sensor = await sensor_of(toy, (await add_site())[0], "long", "kW", "PT5M")
    starts = to_datetime64(START) + np.arange(count) * np.timedelta64(5, "m")
    async with house.store.transaction() as con:
        source = await sources.ensure(con, "meter", "user")
        await write_beliefs(
            con, BeliefBatch(sensor, starts, to_datetime64(START), (np.arange(count) % 1000).astype(np.float64), source)
        )
    del starts
    [row] = await load_sensors(house, sensor)
    process = psutil.Process()

    async def memory_for(values: int, format: responses.SeriesFormat) -> float:
        query = SeriesQuery(start=START.isoformat(), end=(START + values * HOUR / 12).isoformat())
        asked = request.parse_request([row], query, several=False, table=format.is_table, most_values=count)
        answer = await responses.series_response(house.store, asked, format)
        before = most = int(process.memory_info().rss)
        size = 0
        async for part in answer.body_iterator:
            size += len(part)
            most = max(most, int(process.memory_info().rss))
        assert size > 2 * values
        return (most - before) / 1e6

    for format in (responses.FORMATS[responses.JSON], responses.FORMATS[PARQUET]):
        await memory_for(count // 50, format)  # warm-up: modules and caches loaded at the first use
        assert await memory_for(count, format) < 50, format.media_type
