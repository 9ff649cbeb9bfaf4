from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest
from ingest_service import Service

DAY = "2026-03-02T00:00:00+01:00"
MIDNIGHT = datetime(2026, 3, 1, 23, tzinfo=UTC)
HOUR, QUARTER = timedelta(hours=1), timedelta(minutes=15)


def stored(answer: httpx.Response) -> tuple[int, int, int]:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["message"] == "Sensor data has been stored."
    assert body["status"] == "PROCESSED"
    return body["new"], body["changed"], body["unchanged"]


def refused(answer: httpx.Response, status: int = 422) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    fields: dict[str, Any] = answer.json().get("fields", {})
    return fields


async def test_a_day_of_prices_is_stored_when_it_is_acknowledged(service: Service) -> None:
    sensor = await service.add_sensor("EUR/MWh", 60)
    values = [50 + 7 * (i % 6) for i in range(24)]
    day = {"start": DAY, "duration": "PT24H", "values": values, "unit": "EUR/MWh"}
    assert stored(await service.post(sensor, **day)) == (24, 0, 0)
    assert await service.values(sensor) == {MIDNIGHT + i * HOUR: value for i, value in enumerate(values)}
    assert stored(await service.post(sensor, **day)) == (0, 0, 24)


async def test_the_source_is_the_user_and_belongs_to_the_account(service: Service) -> None:
    sensor = await service.add_sensor()
    await service.post(sensor, start=DAY, duration="PT15M", values=[1], unit="kW")
    [row] = await service.rows(sensor)
    async with service.store.connection() as con:
        [source] = await con.fetch("select * from source where id = $1", row["source_id"])
    assert (source["name"], source["type"], source["user_id"], source["account_id"]) == (
        "ada",
        "user",
        service.user,
        service.account,
    )


@pytest.mark.parametrize(
    ("unit", "minutes", "posted", "duration", "values", "expected"),
    [
        ("EUR/MWh", 60, "EUR/kWh", "PT2H", [0.05, 0.06], [50.0, 60.0]),
        ("EUR/MWh", 60, "cEUR/kWh", "PT1H", [5.7], [57.0]),
        ("kEUR/MWh", 60, "EUR/MWh", "PT1H", [80], [0.08]),
        ("kW", 60, "MW", "PT1H", [0.0125], [12.5]),
        ("kW", 15, "kWh", "PT1H", [1, 2, 3, 4], [4.0, 8.0, 12.0, 16.0]),
        ("kW", 15, "kWh", "PT1H", [1], [1.0, 1.0, 1.0, 1.0]),
        ("kW", 15, "kWh", "PT15M", [1, 1, 1], [12.0]),
        ("MW", 60, "kWh", "PT1H", [750], [0.75]),
        ("kWh", 15, "MWh", "PT15M", [0.002], [2.0]),
        ("°C", 60, "degF", "PT2H", [32, 212], [0.0, 100.0]),
        ("°C", 60, "K", "PT1H", [273.15], [0.0]),
        ("%", 15, "%", "PT15M", [50], [50.0]),
        ("kW", 15, "kW", "PT15M", [-0.0], [0.0]),
    ],
)
async def test_units(
    service: Service, unit: str, minutes: float, posted: str, duration: str, values: list[Any], expected: list[float]
) -> None:
    sensor = await service.add_sensor(unit, minutes)
    assert stored(await service.post(sensor, start=DAY, duration=duration, values=values, unit=posted))[0] == len(
        expected
    )
    found = list((await service.values(sensor)).values())
    assert found == expected
    assert "-0.0" not in map(str, found)


@pytest.mark.parametrize(
    ("unit", "posted"),
    [
        ("EUR/MWh", "kW"),
        ("kW", "EUR/MWh"),
        ("kW", "florps"),
        ("kW", "kw"),
        ("kWh", "kW"),
        ("kW", ""),
        ("°C", "kW"),
        ("°C", "delta_degC"),
        ("°C", "K*h"),
        ("kW", "dBm"),
    ],
)
async def test_units_of_another_kind_are_refused(service: Service, unit: str, posted: str) -> None:
    sensor = await service.add_sensor(unit, 15)
    fields = refused(await service.post(sensor, start=DAY, duration="PT15M", values=[1], unit=posted))
    assert fields == {"_schema": [f"Required unit for this sensor is {unit}, got incompatible unit: {posted}"]}
    assert await service.rows(sensor) == []


@pytest.mark.parametrize(
    ("minutes", "duration", "values", "expected"),
    [
        (60, "PT2H", [1, 2, 3, 4, 5, 6, 7, 8], [2.5, 6.5]),
        (5, "PT1H", [1, 2, 3, 4], [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]),
        (5, "PT1H", [1, None, 3, 4], [1, 1, 1, None, None, None, 3, 3, 3, 4, 4, 4]),
        (30, "PT1H", [1, None, None, None], [1, None]),
        (15, "PT1H", [7], [7, 7, 7, 7]),
        (15, "P1DT0H0M0S", list(range(96)), list(range(96))),
        (15, "PT15M", 5, [5]),
    ],
)
async def test_resolutions(
    service: Service, minutes: float, duration: str, values: list[Any], expected: list[float]
) -> None:
    sensor = await service.add_sensor("kW", minutes)
    known = {
        MIDNIGHT + i * timedelta(minutes=minutes): float(value) for i, value in enumerate(expected) if value is not None
    }
    answer = await service.post(sensor, start=DAY, duration=duration, values=values, unit="kW")
    assert stored(answer) == (len(known), 0, 0)
    assert await service.values(sensor) == known


@pytest.mark.parametrize("unit", ["kWh", "EUR"])
async def test_amounts_are_added_and_divided(service: Service, unit: str) -> None:
    hourly = await service.add_sensor(unit, 60)
    await service.post(hourly, start=DAY, duration="PT1H", values=[1, 2, 3, 4], unit=unit)
    assert await service.values(hourly) == {MIDNIGHT: 10.0}
    quarterly = await service.add_sensor(unit, 15)
    await service.post(quarterly, start=DAY, duration="PT1H", values=[10], unit=f"k{unit}" if unit == "EUR" else "MWh")
    assert list((await service.values(quarterly)).values()) == [2500.0] * 4


@pytest.mark.parametrize(
    ("message", "field", "said"),
    [
        ({"duration": "PT1H", "values": [1] * 7}, "_schema", "Resolution of 0:08:34.285714 is incompatible"),
        ({"duration": "PT40M", "values": [1]}, "_schema", "Resolution of 0:40:00 is incompatible"),
        ({"duration": "PT5M", "values": [1]}, "_schema", "not a whole number"),
        ({"duration": "PT0H", "values": [1, 2]}, "_schema", "overlap"),
        ({"duration": "PT0M", "values": [1]}, "duration", "longer than zero"),
        ({"duration": "-PT1H", "values": [1, 2, 3, 4]}, "duration", "negative"),
        ({"duration": "1 hour", "values": [1]}, "duration", "Cannot parse 1 hour as ISO8601 duration"),
        ({"duration": "P9999Y", "values": [1]}, "duration", "year 9999"),
        ({"duration": "P7000Y", "values": [1]}, "duration", "at most 10000"),
        ({"duration": 15, "values": [1]}, "duration", "Not a valid string."),
        ({"start": "2026-03-02T00:00:00"}, "start", "Not a valid aware datetime."),
        ({"start": "yesterday"}, "start", "Not a valid datetime."),
        ({"start": "2026-02-30T00:00Z"}, "start", "Not a valid datetime."),
        ({"start": 1772409600}, "start", "Not a valid datetime."),
        ({"start": "0001-01-01T00:00Z"}, "start", "must lie between 1000-01-01"),
        ({"start": "9999-12-30T23:47Z"}, "start", "must lie between 1000-01-01"),
        ({"horizon": "P99999999D"}, "horizon", "400 years"),
        ({"horizon": "-P99999999D"}, "horizon", "400 years"),
        ({"start": "2026-03-02T00:07+01:00"}, "start", "not on the clock of this sensor, which ticks every 0:15:00"),
        ({"prior": "x"}, "prior", "Not a valid datetime."),
        ({"horizon": "x"}, "horizon", "Cannot parse x"),
        ({"unit": None}, "unit", "Field may not be null."),
        ({"values": []}, "values", "at least one value"),
        ({"values": None}, "values", "Field may not be null."),
        ({"values": {"a": 1}}, "values", "Not a valid number."),
        ({"type": "PostWeather"}, "type", "Must be one of"),
        ({"value": 7}, "value", "Unknown field."),
        ({"sensor": 1}, "sensor", "Unknown field."),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_is_stored(
    service: Service, message: dict[str, Any], field: str, said: str
) -> None:
    sensor = await service.add_sensor("kW", 15)
    good = {"start": DAY, "duration": "PT15M", "values": [1], "unit": "kW"}
    fields = refused(await service.post(sensor, **(good | message)))
    assert said in str(fields[field])
    assert await service.rows(sensor) == []


@pytest.mark.parametrize("name", ["start", "duration", "values", "unit"])
async def test_missing_fields_are_named(service: Service, name: str) -> None:
    sensor = await service.add_sensor()
    message = {"start": DAY, "duration": "PT15M", "values": [1], "unit": "kW"}
    del message[name]
    assert refused(await service.post(sensor, **message)) == {name: ["Missing data for required field."]}


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        (["a", 1, "b", 2], {"0": ["Not a valid number."], "2": ["Not a valid number."]}),
        (["1", "2"], {"0": ["Not a valid number."], "1": ["Not a valid number."]}),
        ([1, True], {"1": ["Not a valid number."]}),
        ([1, [2]], {"1": ["Not a valid number."]}),
        ([1, None, 1e308], {"2": ["Numbers must be between -1e100 and 1e100."]}),
        ([1, -(10**400)], {"1": ["Numbers must be between -1e100 and 1e100."]}),
        ([1, "NaN"], {"1": ["Special numeric values (nan or infinity) are not permitted."]}),
    ],
)
async def test_wrong_values_are_named_by_position(
    service: Service, values: list[Any], wrong: dict[str, list[str]]
) -> None:
    sensor = await service.add_sensor()
    assert refused(await service.post(sensor, start=DAY, duration="PT1H", values=values, unit="kW")) == {
        "values": wrong
    }


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_numbers_that_are_none_are_refused(service: Service, literal: str) -> None:
    sensor = await service.add_sensor()
    body = f'{{"start": "{DAY}", "duration": "PT30M", "values": [null, {literal}], "unit": "kW"}}'
    fields = refused(await service.client.post(f"/internal/sensors/{sensor}/data", content=body))
    assert fields == {"values": {"1": ["Special numeric values (nan or infinity) are not permitted."]}}


@pytest.mark.parametrize("value", [10**400, 1e99])
async def test_numbers_too_large_for_the_sensors_unit_are_refused(service: Service, value: float) -> None:
    sensor = await service.add_sensor("W", 15)
    fields = refused(await service.post(sensor, start=DAY, duration="PT15M", values=[value], unit="MW"))
    assert "values" in fields
    assert await service.rows(sensor) == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"start": ', "not valid JSON"),
        (b"", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[1]", "JSON object"),
    ],
)
async def test_what_is_no_message_is_refused(service: Service, body: bytes, said: str) -> None:
    sensor = await service.add_sensor()
    fields = refused(await service.client.post(f"/internal/sensors/{sensor}/data", content=body))
    assert said in fields["_schema"][0]


@pytest.mark.parametrize("kind", ["text/plain", "application/jsonx", "application/json, text/html"])
async def test_other_content_types_are_refused(service: Service, kind: str) -> None:
    sensor = await service.add_sensor()
    headers = {"Content-Type": kind}
    answer = await service.client.post(f"/internal/sensors/{sensor}/data", content=b"{}", headers=headers)
    assert f"got {kind}" in refused(answer)["_schema"][0]


async def test_a_huge_message_is_refused_unread(service: Service) -> None:
    sensor = await service.add_sensor()
    body = b'{"values": [' + b"1," * 3_000_000 + b"1]}"
    answer = await service.client.post(f"/internal/sensors/{sensor}/data", content=body)
    assert answer.status_code == 413
    assert "at most 5 MB" in answer.json()["detail"]


async def test_an_unknown_sensor_is_not_found(service: Service) -> None:
    answer = await service.post(99_999, start=DAY, duration="PT15M", values=[1], unit="kW")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "Sensor 99999 not found"


async def test_only_services_are_let_in(service: Service) -> None:
    sensor = await service.add_sensor()
    for token in ("", "Bearer wrong"):
        answer = await service.client.post(
            f"/internal/sensors/{sensor}/data", json={}, headers={"Authorization": token}
        )
        assert answer.status_code == 401
    assert (await service.client.get("/health/ready")).status_code == 200


# --- moments


async def test_instantaneous_sensors_take_values_where_they_are(service: Service) -> None:
    sensor = await service.add_sensor("kWh", 0)
    assert stored(await service.post(sensor, start=DAY, duration="PT0M", values=[20], unit="kWh")) == (1, 0, 0)
    odd = "2026-03-02T00:07:13+01:00"
    assert stored(await service.post(sensor, start=odd, duration="PT1H", values=[1, 2, None, 4], unit="MWh")) == (
        3,
        0,
        0,
    )
    first = MIDNIGHT + timedelta(minutes=7, seconds=13)
    assert await service.values(sensor) == {
        MIDNIGHT: 20.0,
        first: 1000.0,
        first + QUARTER: 2000.0,
        first + 3 * QUARTER: 4000.0,
    }


async def test_energy_at_a_moment_is_no_power(service: Service) -> None:
    sensor = await service.add_sensor("kW", 0)
    fields = refused(await service.post(sensor, start=DAY, duration="PT0M", values=[1], unit="kWh"))
    assert "incompatible unit: kWh" in fields["_schema"][0]


async def test_several_values_at_one_moment_are_refused(service: Service) -> None:
    sensor = await service.add_sensor("kWh", 0)
    fields = refused(await service.post(sensor, start=DAY, duration="PT0M", values=[1, 2], unit="kWh"))
    assert "overlap" in fields["_schema"][0]


# --- beliefs


async def test_prior_is_when_the_values_were_believed(service: Service) -> None:
    sensor = await service.add_sensor("kW", 15)
    prior = datetime(2026, 3, 1, 11, tzinfo=UTC)
    message = {"start": DAY, "duration": "PT1H", "values": [1, 2, 3, 4], "unit": "kW", "prior": prior.isoformat()}
    assert stored(await service.post(sensor, **message)) == (4, 0, 0)
    assert {row["belief_time"] for row in await service.rows(sensor)} == {prior}
    assert await service.values(sensor, prior=prior - QUARTER) == {}
    assert stored(await service.post(sensor, **(message | {"horizon": "PT1H"}))) == (0, 0, 4)


async def test_horizon_is_how_long_before_the_end_of_each_event(service: Service) -> None:
    sensor = await service.add_sensor("kW", 15)
    await service.post(sensor, start=DAY, duration="PT30M", values=[1, 2], unit="kW", horizon="PT1H")
    assert [row["belief_time"] for row in await service.rows(sensor)] == [
        MIDNIGHT - 3 * QUARTER,
        MIDNIGHT - 2 * QUARTER,
    ]


async def test_without_either_the_values_are_believed_now(service: Service) -> None:
    sensor = await service.add_sensor("kW", 15)
    before = datetime.now(UTC)
    await service.post(sensor, start=DAY, duration="PT15M", values=[1], unit="kW")
    [row] = await service.rows(sensor)
    assert before <= row["belief_time"] <= datetime.now(UTC)


async def test_a_changed_value_is_a_new_belief_and_the_old_one_is_kept(service: Service) -> None:
    sensor = await service.add_sensor("kW", 15)
    for value in (1, 2):
        assert stored(await service.post(sensor, start=DAY, duration="PT15M", values=[value], unit="kW")) == (1, 0, 0)
    assert [row["event_value"] for row in await service.rows(sensor)] == [1.0, 2.0]
    assert await service.values(sensor) == {MIDNIGHT: 2.0}


async def test_another_value_under_the_same_belief_time_replaces_it_and_says_so(service: Service) -> None:
    sensor = await service.add_sensor("kW", 15)
    message = {"start": DAY, "duration": "PT1H", "unit": "kW", "prior": "2026-03-01T12:00Z"}
    assert stored(await service.post(sensor, **message, values=[1, 2, 3, 4])) == (4, 0, 0)
    assert stored(await service.post(sensor, **message, values=[1, 2, 7, 8])) == (0, 2, 2)
    assert list((await service.values(sensor)).values()) == [1.0, 2.0, 7.0, 8.0]
    assert len(await service.rows(sensor)) == 4


async def test_only_holes_are_nothing_new(service: Service) -> None:
    sensor = await service.add_sensor("kW", 15)
    assert stored(await service.post(sensor, start=DAY, duration="PT30M", values=[None, None], unit="kW")) == (0, 0, 0)


@pytest.mark.parametrize(
    ("kind", "start", "said"),
    [
        ("PostMeterDataRequest", "2099-01-01T00:00Z", "must lie in the past"),
        ("PostPrognosisRequest", "2020-01-01T00:00Z", "must lie in the future"),
    ],
)
async def test_old_message_types_say_where_the_values_lie(service: Service, kind: str, start: str, said: str) -> None:
    sensor = await service.add_sensor("kW", 15)
    message = {"duration": "PT15M", "values": [1], "unit": "kW", "type": kind}
    assert said in refused(await service.post(sensor, **message, start=start))["_schema"][0]
    other = "2020-01-01T00:00Z" if "2099" in start else "2099-01-01T00:00Z"
    assert stored(await service.post(sensor, **message, start=other)) == (1, 0, 0)


@pytest.mark.parametrize(
    ("unit", "kind", "needed"),
    [
        ("kW", "PostPriceDataRequest", "an energy price unit"),
        ("EUR/MW", "PostPriceDataRequest", "an energy price unit"),
        ("EUR/MWh", "PostMeterDataRequest", "MW"),
        ("°C", "PostPrognosisRequest", "MW"),
    ],
)
async def test_old_message_types_say_which_units_the_values_have(
    service: Service, unit: str, kind: str, needed: str
) -> None:
    sensor = await service.add_sensor(unit, 15)
    fields = refused(await service.post(sensor, start=DAY, duration="PT15M", values=[1], unit=unit, type=kind))
    sentence = f"The unit required for this message type should be convertible to {needed}, got incompatible unit: "
    assert fields == {"_schema": [sentence + unit]}
    price = await service.add_sensor("EUR/kWh", 15)
    message = {"start": DAY, "duration": "PT15M", "values": [1], "unit": "cEUR/kWh", "type": "PostPriceDataRequest"}
    assert stored(await service.post(price, **message)) == (1, 0, 0)


# --- changes under way


async def test_a_new_unit_and_resolution_of_the_sensor_count_at_once(service: Service) -> None:
    sensor = await service.add_sensor("kW", 15)
    await service.post(sensor, start=DAY, duration="PT15M", values=[1], unit="kW")
    async with service.store.connection() as con:
        await con.execute("update sensor set unit = 'W', event_resolution = '5 minutes' where id = $1", sensor)
    await service.post(sensor, start=DAY, duration="PT15M", values=[2], unit="kW")
    assert list((await service.values(sensor)).values()) == [2000.0] * 3


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29T00:00+01:00", 23), ("2026-10-25T00:00+02:00", 25)])
async def test_days_on_which_the_clock_changes(service: Service, day: str, hours: int) -> None:
    sensor = await service.add_sensor("EUR/MWh", 60)
    answer = await service.post(sensor, start=day, duration=f"PT{hours}H", values=list(range(hours)), unit="EUR/MWh")
    assert stored(answer) == (hours, 0, 0)
    starts = list(await service.values(sensor))
    assert {later - earlier for earlier, later in pairwise(starts)} == {HOUR}
