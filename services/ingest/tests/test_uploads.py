from datetime import UTC, datetime, timedelta
from io import BytesIO

import httpx
import polars as pl
import pytest
from ingest_service import Service

QUARTER, HOUR = timedelta(minutes=15), timedelta(hours=1)
MIDNIGHT = datetime(2026, 11, 23, 23, tzinfo=UTC)


def csv(*rows: str, head: str = "event_start,event_value") -> str:
    return "\n".join([head, *rows]) + "\n"


def every(step: timedelta, values: list[float], start: datetime = MIDNIGHT) -> str:
    return csv(*(f"{(start + i * step).isoformat()},{value}" for i, value in enumerate(values)))


def taken(answer: httpx.Response) -> tuple[int, int, int, int]:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["message"] == "Sensor data has been stored."
    return body["rows"], body["new"], body["changed"], body["unchanged"]


def reasons(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 422, answer.text
    listed: list[str] = answer.json()["fields"]["uploaded-files"]["0"]
    return listed


async def test_a_file_is_stored_when_it_is_acknowledged(service: Service) -> None:
    sensor = await service.add_sensor("kW", 15)
    values = [i / 4 for i in range(96)]
    answer = await service.upload(sensor, ("up.csv", every(QUARTER, values)), belief_time_measured_instantly="True")
    assert taken(answer) == (96, 96, 0, 0)
    assert await service.values(sensor) == {MIDNIGHT + i * QUARTER: value for i, value in enumerate(values)}
    assert all(row["belief_time"] == row["event_start"] + QUARTER for row in await service.rows(sensor))
    again = await service.upload(sensor, ("up.csv", every(QUARTER, values)), belief_time_measured_instantly="on")
    assert taken(again) == (96, 0, 0, 96)
    other = await service.upload(sensor, ("up.csv", every(QUARTER, [7])), belief_time_measured_instantly="on")
    assert taken(other) == (1, 0, 1, 0)


@pytest.mark.parametrize(
    ("name", "sent", "expected"),
    [
        ("Leistung [MW]", None, 1000.0),
        ("power (MW)", "MW", 1000.0),
        ("power (a mean)", None, 1.0),
        ("power (degC)", "kW", 1.0),
        ("power (degC)", None, "is in degC by its name, which is not convertible to kW"),
        ("power (MW)", "kW", "is in MW by its name, but was sent as kW"),
    ],
)
async def test_a_unit_in_the_name_of_the_column_counts(
    service: Service, name: str, sent: str | None, expected: str | float
) -> None:
    sensor = await service.add_sensor("kW", 15)
    text = csv("2026-11-24T00:00Z,1", head=f"time,{name}")
    answer = await service.upload(sensor, ("up.csv", text), **({"unit": sent} if sent else {}))
    if isinstance(expected, str):
        assert expected in reasons(answer)[0]
    else:
        assert list((await service.values(sensor)).values()) == [expected]


async def test_without_that_option_the_values_are_believed_now(service: Service) -> None:
    sensor = await service.add_sensor("kW", 15)
    before = datetime.now(UTC)
    await service.upload(sensor, ("up.csv", every(QUARTER, [1])), belief_time_measured_instantly="False")
    [row] = await service.rows(sensor)
    assert before <= row["belief_time"] <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("unit", "minutes", "posted", "step", "values", "expected"),
    [
        ("kW", 15, "MW", HOUR, [2, 2, 2], [2000.0] * 12),
        ("kW", 15, "kWh", 2 * QUARTER, [10] * 4, [20.0] * 8),
        ("kW", 15, "kWh", QUARTER / 2, [20, 40, 40, 80], [240.0, 480.0]),
        ("kWh", 60, "kWh", 2 * QUARTER, [10, 20, 20, 40], [30.0, 60.0]),
        ("EUR/kWh", 60, "EUR/MWh", 2 * QUARTER, [200, 300, 400, 500], [0.25, 0.45]),
        ("EUR/kWh", 60, "EUR/kWh", 2 * HOUR, [200, 300], [200.0, 200.0, 300.0, 300.0]),
        ("EUR", 60, "kEUR", 2 * QUARTER, [2, 3, 4, 2], [5000.0, 6000.0]),
        ("EUR", 60, "kEUR", 2 * HOUR, [5, 6], [2500.0, 2500.0, 3000.0, 3000.0]),
        ("EUR", 60, "kEUR", HOUR, [5], [5000.0]),
        ("kWh", 0, "MWh", QUARTER / 2, [10, 20], [10_000.0, 20_000.0]),
    ],
)
async def test_units_and_the_spacing_of_rows(
    service: Service,
    unit: str,
    minutes: float,
    posted: str,
    step: timedelta,
    values: list[float],
    expected: list[float],
) -> None:
    sensor = await service.add_sensor(unit, minutes)
    assert taken(await service.upload(sensor, ("up.csv", every(step, values)), unit=posted))[1] == len(expected)
    assert list((await service.values(sensor)).values()) == expected


async def test_a_gap_stays_a_gap(service: Service) -> None:
    sensor = await service.add_sensor("kW", 15)
    text = csv("2026-11-24T00:00Z,1", "2026-11-24T00:15Z,2", "2026-11-24T00:30Z,3", "2026-11-24T02:00Z,4")
    assert taken(await service.upload(sensor, ("up.csv", text)))[:2] == (4, 4)


async def test_days_on_which_the_clock_changes(service: Service) -> None:
    for day, hours in (("2026-03-29", 23), ("2026-10-25", 25)):
        sensor = await service.add_sensor("kW", 60)
        local = pl.datetime_range(
            pl.lit(day).str.to_datetime(time_zone="Europe/Amsterdam"),
            pl.lit(day).str.to_datetime(time_zone="Europe/Amsterdam").dt.offset_by("1d"),
            "15m",
            closed="left",
            eager=True,
        )
        text = csv(*(f"{time:%Y-%m-%d %H:%M},{i // 4}" for i, time in enumerate(local)))
        assert taken(await service.upload(sensor, ("up.csv", text))) == (4 * hours, hours, 0, 0)
        assert list((await service.values(sensor)).values()) == [float(i) for i in range(hours)]


async def test_daily_rows_in_local_time(service: Service) -> None:
    sensor = await service.add_sensor("kWh", 24 * 60)
    text = csv("2026-11-24T00:00+01:00,1", "2026-11-25T00:00+01:00,2")
    assert taken(await service.upload(sensor, ("up.csv", text)))[1] == 2
    elsewhere = await service.add_sensor("kWh", 24 * 60, timezone="Asia/Seoul")
    assert taken(await service.upload(elsewhere, ("up.csv", text)))[1] == 2
    assert list(await service.values(elsewhere)) == [MIDNIGHT, MIDNIGHT + 24 * HOUR]


async def test_belief_times_and_sources_of_the_file(service: Service) -> None:
    sensor = await service.add_sensor("kW", 60)
    head = "event_start,belief_time,source,event_value"
    text = csv(
        "2026-11-24T00:00Z,2026-11-23T06:00Z,model A,1",
        "2026-11-24T00:00Z,2026-11-23T12:00Z,model A,2",
        "2026-11-24T00:00Z,2026-11-23T12:00Z,model B,3",
        "2026-11-24T01:00Z,,,4",
        head=head,
    )
    assert taken(await service.upload(sensor, ("up.csv", text))) == (4, 4, 0, 0)
    async with service.store.connection() as con:
        names = {
            row["id"]: (row["name"], row["type"], row["account_id"]) for row in await con.fetch("select * from source")
        }
    found = [(row["event_value"], names[row["source_id"]][:2]) for row in await service.rows(sensor)]
    assert sorted(found) == [
        (1.0, ("model A", "upload")),
        (2.0, ("model A", "upload")),
        (3.0, ("model B", "upload")),
        (4.0, ("ada", "user")),
    ]
    assert {account for _, _, account in names.values()} == {service.account}


SPREAD = "event_start,belief_time,source,cumulative_probability,event_value"
OF_SPREADS = [
    f"{(MIDNIGHT + event * HOUR).isoformat()},2026-11-22T12:00Z,oracle,{chance},{10 * event + 10 * chance:g}"
    for event in (0, 1)
    for chance in (0.9, 0.1, 0.5)
]


async def test_spreads_of_values_are_stored_whole(service: Service) -> None:
    sensor = await service.add_sensor("kW", 30)
    assert taken(await service.upload(sensor, ("up.csv", csv(*OF_SPREADS, head=SPREAD)))) == (6, 12, 0, 0)
    rows = await service.rows(sensor)
    assert len({row["source_id"] for row in rows}) == 1
    assert [row["event_value"] for row in rows[:3]] == [1, 5, 9]
    assert await service.values(sensor) == {MIDNIGHT + i * HOUR / 2: [5.0, 5.0, 15.0, 15.0][i] for i in range(4)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((",0.9,9", ",90%,9"), ["row 2: '90%' is not a cumulative probability, from 0 to 1."]),
        ((",0.9,9", ",1.2,9"), ["row 2: '1.2' is not a cumulative probability, from 0 to 1."]),
        ((",0.9,9", ",0.9,4"), ["row 2: less than in row 4, though the probability is higher."]),
        ((",0.9,9", ",0.1,9"), ["row 3: another value for the same time as in row 2."]),
    ],
)
async def test_wrong_spreads_are_named(service: Service, change: tuple[str, str], said: list[str]) -> None:
    sensor = await service.add_sensor("kW", 60)
    answer = await service.upload(sensor, ("up.csv", csv(*OF_SPREADS, head=SPREAD).replace(*change, 1)))
    assert reasons(answer) == said
    assert await service.rows(sensor) == []


async def test_spreads_are_not_averaged(service: Service) -> None:
    sensor = await service.add_sensor("kW", 120)
    answer = await service.upload(sensor, ("up.csv", csv(*OF_SPREADS, head=SPREAD)))
    assert "spreads cannot be averaged" in str(reasons(answer))


async def test_several_files_are_stored_together_or_not_at_all(service: Service) -> None:
    sensor = await service.add_sensor("kW", 15)
    good, bad = ("good.csv", every(QUARTER, [1, 2])), ("bad.csv", csv("2026-11-25T00:00Z,x"))
    answer = await service.upload(sensor, good, bad)
    assert answer.status_code == 422
    assert list(answer.json()["fields"]["uploaded-files"]) == ["1"]
    assert await service.rows(sensor) == []
    later = ("later.csv", every(QUARTER, [3, 4], MIDNIGHT + HOUR))
    assert taken(await service.upload(sensor, good, later))[:2] == (4, 4)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            ["2026-11-24T00:00Z,1", "2026-11-24T00:15Z,high", "soon,3"],
            ["row 3: 'high' is not a number", "row 4: 'soon'"],
        ),
        (["2026-11-24T00:00Z,1", "2026-11-24T00:15Z,2", "2026-11-24T00:37Z,3"], ["row 4: 2026-11-24T00:37:00 is off"]),
        (["2026-11-24T00:00Z,1", "2026-11-24T00:00Z,2"], ["row 3: another value for the same time as in row 2"]),
        (
            ["2026-11-24T00:00Z,1", "2026-11-24T00:20Z,2", "2026-11-24T00:40Z,3"],
            ["row 2: Resolutions do not fit: rows every 0:20:00, where sensor", "… and 2 more"],
        ),
        (
            [f"2026-11-24T00:{m:02}Z,1" for m in range(0, 56, 7)],
            ["row 2: Resolutions do not fit: rows every 0:07", "… and 7"],
        ),
        (
            ["2026-11-24T00:00Z,1", "2026-11-24T01:00Z,2", "2026-11-24T02:00Z,2", "2026-11-24T02:15Z,3"],
            ["row 2: Resolutions do not fit: rows every 1:00:00 (but some are closer), where sensor", "… and 3"],
        ),
    ],
)
async def test_bad_rows_are_named_and_nothing_is_stored(service: Service, rows: list[str], said: list[str]) -> None:
    sensor = await service.add_sensor("kW", 15)
    found = reasons(await service.upload(sensor, ("up.csv", csv(*rows))))
    assert len(found) == len(said)
    for sentence, start in zip(found, said, strict=True):
        assert sentence.startswith(start)
    assert await service.rows(sensor) == []


async def test_an_amount_in_parts_needs_all_its_parts(service: Service) -> None:
    sensor = await service.add_sensor("kWh", 60)
    found = reasons(await service.upload(sensor, ("up.csv", every(QUARTER, [1, 2, 3, 4, 5, 6]))))
    assert found == ["row 6: only 2 of the 4 amounts that make up one event of 1:00:00."]


async def test_the_same_row_twice_is_one(service: Service) -> None:
    sensor = await service.add_sensor("kW", 15)
    text = csv("2026-11-24T00:00Z,1", "2026-11-24T00:00Z,1", "2026-11-24T00:15Z,2")
    assert taken(await service.upload(sensor, ("up.csv", text)))[1] == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\xff\xd8\xff\xe0 a photo", "not UTF-8 text"),
        (b"PK\x03\x04 a zip", "damaged"),
        ("event_start,event_value\nväli,1\n".encode("latin-1"), "row 2: this is not UTF-8"),
    ],
)
async def test_other_files_are_refused(service: Service, content: bytes, said: str) -> None:
    sensor = await service.add_sensor()
    assert said in reasons(await service.upload(sensor, ("up.csv", content)))[0]


async def test_parquet(service: Service) -> None:
    sensor = await service.add_sensor("kW", 15)
    packed = BytesIO()
    pl.DataFrame({"time": [MIDNIGHT, MIDNIGHT + QUARTER], "load": [1.5, 2.5]}).write_parquet(packed)
    assert taken(await service.upload(sensor, ("up.parquet", packed.getvalue())))[:2] == (2, 2)
    assert await service.values(sensor) == {MIDNIGHT: 1.5, MIDNIGHT + QUARTER: 2.5}


async def test_fields_of_the_form(service: Service) -> None:
    sensor = await service.add_sensor("kW", 15)
    file = ("up.csv", every(QUARTER, [1]))
    answer = await service.upload(sensor, file, unit="m/s")
    assert answer.json()["fields"] == {"_schema": ["Provided unit 'm/s' is not convertible to sensor unit 'kW'"]}
    answer = await service.upload(sensor, file, belief_time_measured_instantly="perhaps")
    assert answer.json()["fields"] == {"belief-time-measured-instantly": ["Not a valid boolean."]}
    answer = await service.upload(sensor, file, sensor_name="x")
    assert answer.json()["fields"] == {"sensor-name": ["Unknown field."]}
    answer = await service.upload(sensor, unit="kW")
    assert "uploaded-files" in answer.json()["fields"]
    answer = await service.client.post(
        f"/internal/sensors/{sensor}/data/upload", files={"x": b"y"}, data={"uploaded-files": "text"}
    )
    assert answer.status_code == 422
    assert await service.rows(sensor) == []


async def test_an_upload_that_is_too_large_is_refused(service: Service) -> None:
    sensor = await service.add_sensor()
    answer = await service.upload(sensor, ("big.csv", b"x" * 31_000_000))
    assert answer.status_code == 413
    assert "30 MB" in answer.json()["detail"]


async def test_an_unknown_sensor_is_not_found(service: Service) -> None:
    assert (await service.upload(99_999, ("up.csv", every(QUARTER, [1])))).status_code == 404


async def test_what_can_be_read_of_a_file_is_stored_if_that_is_wished(service: Service) -> None:
    sensor = await service.add_sensor("kW", 15)
    rows = [f"2026-11-24T0{hour}:{minute:02}Z,1" for hour in range(4) for minute in (0, 15, 30, 45)]
    rows[1:1] = ["2026-11-24T00:15Z,?", "2026-11-24T00:30Z,5", "2026-11-24T00:40Z,4", "soon,6", "2026-11-24T08:00Z,7,8"]
    answer = await service.upload(sensor, ("up.csv", csv(*rows)), partial="true")
    assert taken(answer) == (16, 16, 0, 0)
    assert answer.json()["refused"] == 5
    [file] = answer.json()["files"]
    assert [sentence.split(":")[0] for sentence in file["problems"]] == [f"row {row}" for row in (3, 5, 6, 7, 9)]
    assert list((await service.values(sensor)).values()) == [1, 1, 5, *[1] * 13]


async def test_files_that_cannot_be_read_at_all_are_refused_even_so(service: Service) -> None:
    sensor = await service.add_sensor("kW", 15)
    good = ("good.csv", every(QUARTER, [1]))
    answer = await service.upload(sensor, good, ("bad.csv", b"a,b,c\n1,2,3\n"), partial="true")
    assert list(answer.json()["fields"]["uploaded-files"]) == ["1"]
    assert await service.rows(sensor) == []


async def test_times_of_another_zone_than_the_sensors(service: Service) -> None:
    sensor = await service.add_sensor("kW", 0)
    text = csv("2026-07-01 00:00,1", "2026-07-01T02:00+01:00,2")
    assert taken(await service.upload(sensor, ("up.csv", text), timezone="Asia/Kolkata"))[1] == 2
    assert list(await service.values(sensor)) == [
        datetime(2026, 6, 30, 18, 30, tzinfo=UTC), datetime(2026, 7, 1, 1, tzinfo=UTC),
    ]  # fmt: skip


async def test_the_audit_log_tells_whose_file_went_where(service: Service) -> None:
    sensor = await service.add_sensor("kW", 15)
    await service.upload(sensor, ("up.csv", every(QUARTER, [1])), ("more.csv", every(QUARTER, [2], MIDNIGHT + HOUR)))
    await service.upload(sensor, ("bad.csv", "nothing"))
    async with service.store.connection() as con:
        [row] = await con.fetch("select * from audit_log where sensor_id = $1", sensor)
    assert row["event"] == f"Data from up.csv, more.csv uploaded to sensor 'sensor 0': {sensor}"
    assert (row["active_user_id"], row["active_user_name"]) == (service.user, "ada")
    assert (row["account_id"], row["asset_id"]) == (service.account, service.asset)


async def test_in_the_night_of_the_clock_change_files_may_run_backwards(service: Service) -> None:
    sensor = await service.add_sensor("kW", 30)
    local = ["01:30", "02:00", "02:30", "02:00", "02:30", "03:00"]
    rows = [f"2026-10-25 {time},{i}" for i, time in enumerate(local)]
    assert taken(await service.upload(sensor, ("up.csv", csv(*reversed(rows)))))[1] == 6
    first = datetime(2026, 10, 24, 23, 30, tzinfo=UTC)
    assert await service.values(sensor) == {first + i * HOUR / 2: float(i) for i in range(6)}
