"""Files about several sensors."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from flexwork.contracts import FEEDABLE_HEADER
from ingest_service import Service

type Upload = Callable[..., Awaitable[httpx.Response]]
"""Sends a file, with the accounts whose sensors may be written to, and form fields."""

HOUR = [datetime(2026, 11, 24, hour, tzinfo=UTC) for hour in range(24)]


@pytest.fixture
def upload(service: Service) -> Upload:
    async def send(text: str, feedable: str = "all", **fields: str) -> httpx.Response:
        return await service.client.post(
            "/internal/data/upload",
            files={"uploaded-files": ("many.csv", text)},
            data=fields,
            headers={FEEDABLE_HEADER: feedable},
        )

    return send


async def name_of(service: Service, sensor: int) -> str:
    async with service.store.connection() as con:
        name: str = await con.fetchval("select name from sensor where id = $1", sensor)
    return name


async def test_a_column_per_sensor_by_id_or_name(service: Service, upload: Upload) -> None:
    one, two = await service.add_sensor("kW", 60), await service.add_sensor("kWh", 60)
    text = f"event_start,{one},{await name_of(service, two)}\n2026-11-24T00:00Z,1,2\n2026-11-24T01:00Z,,4\n"
    report = (await upload(text)).json()
    assert (report["rows"], report["new"], report["refused"]) == (3, 3, 0)
    assert [(row["sensor"], row["new"]) for row in report["sensors"]] == [(one, 1), (two, 2)]
    assert await service.values(one) == {HOUR[0]: 1.0}
    assert await service.values(two) == {HOUR[0]: 2.0, HOUR[1]: 4.0}


async def test_a_row_per_value(service: Service, upload: Upload) -> None:
    one, two = await service.add_sensor("kW", 60), await service.add_sensor("kW", 15)
    rows = [("2026-11-24T01:00Z", one, 2), ("2026-11-24T00:15Z", two, 4), ("2026-11-24T00:00Z", one, 1)]
    rows += [("2026-11-24T00:00Z", two, 3), ("2026-11-24T00:30Z", two, 5)]
    text = "sensor,event_start,event_value\n" + "".join(f"{sensor},{start},{value}\n" for start, sensor, value in rows)
    assert (await upload(text, unit="MW")).json()["new"] == 5
    assert list((await service.values(one)).values()) == [1000, 2000]
    assert list((await service.values(two)).values()) == [3000, 4000, 5000]


async def test_only_sensors_that_may_be_fed_are(service: Service, upload: Upload) -> None:
    sensor = await service.add_sensor("kW", 60)
    other = str(service.account + 1)
    text = f"event_start,{sensor}\n2026-11-24T00:00Z,1\n"
    assert (await upload(text, other)).status_code == 403
    assert (await upload(text, "public")).status_code == 403
    by_name = await upload(f"event_start,{await name_of(service, sensor)}\n2026-11-24T00:00Z,1\n", other)
    assert "no sensor called" in by_name.json()["fields"]["uploaded-files"]["0"][0]
    assert await service.rows(sensor) == []
    assert (await upload(text, f"{other},{service.account}")).status_code == 200


async def test_rows_about_a_sensor_that_is_not_there_are_named_and_can_be_left_out(
    service: Service, upload: Upload
) -> None:
    sensor = await service.add_sensor("kW", 60)
    text = (
        f"sensor,start,value\n{sensor},2026-11-24T00:00Z,1\nnope,2026-11-24T00:00Z,2\n,2026-11-24T00:00Z,3\n"
        f"{sensor},2026-11-24T01:00Z,4\n"
    )
    said = ["row 3: there is no sensor called 'nope' that you may send values to."]
    said.append("row 4: there is a value but no sensor.")
    assert (await upload(text)).json()["fields"]["uploaded-files"]["0"] == said
    assert await service.rows(sensor) == []
    report = (await upload(text, partial="true")).json()
    assert (report["new"], report["refused"], report["files"][0]["problems"]) == (2, 2, said)


async def test_a_sensor_that_may_not_be_fed_stops_all_even_late_in_the_file(service: Service, upload: Upload) -> None:
    own, foreign = await service.add_sensor("kW", 60), await service.add_sensor("kW", 60)
    async with service.store.connection() as con:
        await con.execute("update asset set account_id = null")
        account = await con.fetchval("insert into account (name) values ('elsewhere') returning id")
        asset = await con.fetchval(
            "insert into asset (name, account_id, asset_type_id) values ('x', $1, 6) returning id", account
        )
        await con.execute("update sensor set asset_id = $1 where id = $2", asset, foreign)
    rows = "".join(f"{own},2026-11-24T{hour:02}:00Z,{hour}\n" for hour in range(24)) * 1500
    text = f"sensor,start,value\n{rows}{foreign},2026-11-24T00:00Z,1\n"
    assert (await upload(text, "public", partial="true")).status_code == 403
    assert await service.rows(own) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("event_start,999999\n2026-11-24T00:00Z,1\n", "no sensor called '999999'"),
        ("2026-11-24T00:00Z,1\n", "first row must name the columns"),
        ("event_start\n2026-11-24T00:00Z\n", "No column is called like a sensor"),
        ("event_start,sensor\n2026-11-24T00:00Z,{one}\n", "none for the values"),
        ("event_start,{name}\n2026-11-24T00:00Z,1\n", "both called '{name}': use their ids"),
        ("event_start,{one},\n2026-11-24T00:00Z,1,7\n", "row 2: there is something in a column without a name."),
        ("event_start,{one},{two}\n2026-11-24T00:00Z,1,x\n", "row 2: {two}: 'x' is not a number"),
        (
            "event_start,{one},{two}\n2026-11-24 00:00,1,1\n",
            "row 2: '2026-11-24 00:00' is not a time with its",
        ),
        ("sensor,start,value\n,2026-11-24T00:00Z,1\n", "row 2: there is a value but no sensor."),
    ],
)
async def test_what_is_wrong_is_named(service: Service, upload: Upload, text: str, said: str) -> None:
    one, two = await service.add_sensor("kW", 60), await service.add_sensor("kW", 60, timezone="Asia/Seoul")
    async with service.store.connection() as con:
        await con.execute("insert into asset (id, name, account_id, asset_type_id) values (77, 'y', 1, 6)")
        await con.execute("update sensor set name = 'load', asset_id = 77 where id = $1", two)
        await con.execute("update sensor set name = 'load' where id = $1", one)
    names = {"one": one, "two": two, "name": "load"}
    answer = await upload(text.format(**names))
    assert answer.status_code == 422
    assert said.format(**names) in " ".join(answer.json()["fields"]["uploaded-files"]["0"])
    assert await service.rows(one) == await service.rows(two) == []


async def test_a_time_zone_for_sensors_in_several(service: Service, upload: Upload) -> None:
    one, two = await service.add_sensor("kW", 60), await service.add_sensor("kW", 60, timezone="Asia/Seoul")
    text = f"event_start,{one},{two}\n2026-11-24 00:00,1,2\n"
    assert (await upload(text, timezone="Europe/London")).json()["new"] == 2
    assert list(await service.values(one)) == list(await service.values(two)) == [HOUR[0]]
    assert "timezone" in (await upload(text, timezone="Europe/Nowhere")).json()["fields"]


async def test_units_that_do_not_fit_one_of_them(service: Service, upload: Upload) -> None:
    one, two = await service.add_sensor("kW", 60), await service.add_sensor("EUR/MWh", 60)
    answer = await upload(f"event_start,{one},{two}\n2026-11-24T00:00Z,1,2\n", unit="MW")
    assert answer.json()["fields"] == {"unit": [f"'MW' is not convertible to 'EUR/MWh', the unit of sensor {two}."]}


async def test_a_small_file_with_many_values_becomes_a_job(service: Service, upload: Upload) -> None:
    sensors = [await service.add_sensor("kW", 60) for _ in range(100)]
    head = ",".join(map(str, ["event_start", *sensors]))
    start = datetime(2020, 1, 1, tzinfo=UTC)
    rows = (f"{(start + timedelta(hours=hour)).isoformat()}{',1' * 100}" for hour in range(3_100))
    assert (await upload("\n".join([head, *rows]))).status_code == 202
    assert await service.rows(sensors[0]) == []
