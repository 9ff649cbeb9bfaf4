"""Batches: series of many sensors in one request, stored all, not at all, or without the refused items."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from ingest_service import Service

DAY = "2026-03-02T00:00:00+01:00"
MIDNIGHT = datetime(2026, 3, 1, 23, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


def item(sensor: int, *values: object, **more: object) -> dict[str, Any]:
    """Values of a sensor by quarters of an hour."""
    duration = f"PT{15 * len(values)}M"
    return {"sensor": sensor, "start": DAY, "duration": duration, "unit": "kW", "values": list(values)} | more


async def post(service: Service, *items: object, partial: bool = False) -> httpx.Response:
    return await service.client.post("/internal/data", json=list(items), params={"partial": partial})


async def stored(service: Service, *items: object, partial: bool = False) -> tuple[int, int, int, int, dict[str, Any]]:
    answer = await post(service, *items, partial=partial)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return body["items"], body["new"], body["changed"], body["unchanged"], body["refused"]


async def refused(service: Service, *items: object, partial: bool = False) -> dict[str, Any]:
    answer = await post(service, *items, partial=partial)
    assert answer.status_code == 422, answer.text
    async with service.store.connection() as con:
        assert await con.fetchval("select count(*) from belief") == 0
    fields: dict[str, Any] = answer.json()["fields"]
    return fields


async def test_each_item_lands_as_if_it_had_been_posted_alone(service: Service) -> None:
    fine, coarse = await service.add_sensor("kW", 5), await service.add_sensor("kW", 60)
    meter, soc = await service.add_sensor("kWh", 15), await service.add_sensor("kWh", 0)
    warm = await service.add_sensor("°C", 15)
    items = [
        item(fine, 3, None),
        item(coarse, 1, 2, 3, 6),
        item(fine, 7, start="2026-03-02T02:00:00+01:00"),
        item(meter, 1, unit="MWh"),
        item(soc, 20, start="2026-03-02T00:07:00+01:00", duration="PT0M", unit="kWh"),
        item(warm, 50, unit="degF", prior="2026-03-01T12:00Z"),
        item(coarse, 8, start="2026-03-02T05:00:00+01:00", duration="PT1H", horizon="PT3H"),
    ]
    assert await stored(service, *items) == (7, 3 + 1 + 3 + 1 + 1 + 1 + 1, 0, 0, {})
    five = timedelta(minutes=5)
    thrice = {MIDNIGHT + i * five: 3.0 for i in range(3)}
    assert await service.values(fine) == thrice | {MIDNIGHT + timedelta(hours=2) + i * five: 7.0 for i in range(3)}
    assert await service.values(coarse) == {MIDNIGHT: 3.0, MIDNIGHT + timedelta(hours=5): 8.0}
    assert await service.values(meter) == {MIDNIGHT: 1000.0}
    assert await service.values(soc) == {MIDNIGHT + timedelta(minutes=7): 20.0}
    assert await service.values(warm) == {MIDNIGHT: 10.0}
    [row] = await service.rows(warm)
    assert row["belief_time"] == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert (await service.rows(coarse))[1]["belief_time"] == MIDNIGHT + timedelta(hours=3)


async def test_the_same_again_is_nothing_new_and_other_values_are(service: Service) -> None:
    sensors = [await service.add_sensor() for _ in range(3)]
    items = [item(sensor, 1, 2) for sensor in sensors]
    assert await stored(service, *items) == (3, 6, 0, 0, {})
    assert await stored(service, *items) == (3, 0, 0, 6, {})
    assert await stored(service, *items[:2], item(sensors[2], 1, 5)) == (3, 1, 0, 5, {})
    assert list((await service.values(sensors[2])).values()) == [1.0, 5.0]
    believed = {"prior": "2026-03-01T12:00Z"}
    await stored(service, item(sensors[0], 7, **believed))
    assert await stored(service, item(sensors[0], 8, **believed)) == (1, 0, 1, 0, {})


WITH = "with the sensor's required resolution of"
OF_TYPE = "The unit required for this message type should be convertible to"
WRONG: list[tuple[Any, dict[str, Any]]] = [
    ({"unit": "EUR"}, {"_schema": ["Required unit for this sensor is kW, got incompatible unit: EUR"]}),
    ({"unit": None}, {"unit": ["Field may not be null."]}),
    ({"start": "2026-03-02T00:00:00"}, {"start": ["Not a valid aware datetime."]}),
    ({"duration": "PT7M"}, {"_schema": [f"Resolution of 0:07:00 is incompatible {WITH} 0:15:00."]}),
    ({"duration": "-PT15M"}, {"duration": ["Must not be negative."]}),
    ({"sensor": 999}, {"sensor": ["Sensor 999 not found"]}),
    ({"sensor": "1"}, {"sensor": ["Not the id of a sensor."]}),
    ({"sensor": True}, {"sensor": ["Not the id of a sensor."]}),
    ({"sensor": 2**31}, {"sensor": ["Not the id of a sensor."]}),
    ({"values": []}, {"values": ["Send at least one value."]}),
    ({"values": None}, {"values": ["Field may not be null."]}),
    ({"values": ["x"]}, {"values": {"0": ["Not a valid number."]}}),
    ({"values": [True]}, {"values": {"0": ["Not a valid number."]}}),
    ({"values": {"a": 1}}, {"values": {"0": ["Not a valid number."]}}),
    ({"values": [1e99], "unit": "GW"}, {"values": ["Too large a number in kW, the unit of the sensor."]}),
    ({"value": 1}, {"value": ["Unknown field."]}),
    ({"type": "PostPriceDataRequest"}, {"_schema": [f"{OF_TYPE} an energy price unit, got incompatible unit: kW"]}),
]  # fmt: skip


async def test_what_is_wrong_is_named_by_item_and_field(service: Service, subtests: pytest.Subtests) -> None:
    good, bad = await service.add_sensor(), await service.add_sensor()
    for change, fields in WRONG:
        with subtests.test(change=change):
            items = item(good, 1), item(bad, 1) | change, item(good, 2, start="2026-03-02T01:00:00+01:00")
            assert await refused(service, *items) == {"1": fields}
    assert await refused(service, item(good, 1), [1], {}, item(bad, "a", "b")) == {
        "1": {"_schema": ["Send a JSON object with sensor, start, duration, values and unit."]},
        "2": {name: ["Missing data for required field."] for name in ("sensor", "values", "start", "duration", "unit")},
        "3": {"values": {"0": ["Not a valid number."], "1": ["Not a valid number."]}},
    }


async def test_partial_stores_the_others(service: Service, subtests: pytest.Subtests) -> None:
    good, bad = await service.add_sensor(), await service.add_sensor()
    for hour, (change, fields) in enumerate(WRONG):
        with subtests.test(change=change):
            start = {"start": f"2026-03-02T{hour:02}:00:00+01:00"}
            wrong = item(bad, 1, **start) | change
            done = await stored(service, item(good, hour, **start), wrong, partial=True)
            assert done == (1, 1, 0, 0, {"1": fields})
    assert await service.values(bad) == {}
    assert list((await service.values(good)).values()) == list(range(len(WRONG)))


async def test_if_no_item_is_good_even_partial_is_refused(service: Service) -> None:
    sensor = await service.add_sensor()
    assert set(await refused(service, item(sensor, "x"), item(999, 1), partial=True)) == {"0", "1"}


async def test_two_items_cannot_say_different_things_of_one_event(service: Service) -> None:
    one, two = await service.add_sensor(), await service.add_sensor()
    items = item(one, 1, 2), item(two, 1, 2), item(one, 3, start="2026-03-02T00:15:00+01:00")
    assert await refused(service, *items) == {"2": {"sensor": ["Item 0 tells of the same events of this sensor."]}}
    # Said at other times, they are other beliefs.
    earlier = item(one, 3, start="2026-03-02T00:15:00+01:00", prior="2026-03-01T00:00Z")
    assert await stored(service, *items[:2], earlier) == (3, 5, 0, 0, {})
    assert list((await service.values(one)).values()) == [1.0, 2.0]


SPREAD = {"probabilities": [0.1, 0.5, 0.9]}


async def test_spreads_are_stored_whole(service: Service) -> None:
    sensor, fine = await service.add_sensor(), await service.add_sensor("kW", 5)
    prior = {"prior": "2026-03-01T12:00Z"}
    first = item(sensor, [1, 2, 3], None, [4, 5, 6], **SPREAD, **prior)
    assert await stored(service, first, item(fine, [1, 1, 2], unit="MW", **SPREAD)) == (2, 6 + 9, 0, 0, {})
    rows = [(row["event_start"], round(row["cumulative_probability"], 3), row["event_value"]) for row in
            await service.rows(sensor)]  # fmt: skip
    half = MIDNIGHT + 2 * QUARTER
    assert sorted(rows) == [
        (MIDNIGHT, 0.1, 1), (MIDNIGHT, 0.5, 2), (MIDNIGHT, 0.9, 3), (half, 0.1, 4), (half, 0.5, 5), (half, 0.9, 6),
    ]  # fmt: skip
    assert await service.values(sensor) == {MIDNIGHT: 2.0, half: 5.0}
    assert list((await service.values(fine)).values()) == [1000.0] * 3
    # Said again with other probabilities, it replaces what was said.
    again = item(sensor, [7, 8], probabilities=[0.25, 0.75], **prior)
    assert await stored(service, again, item(sensor, 3, start="2026-03-02T05:00:00+01:00")) == (2, 3, 0, 0, {})
    assert [row["event_value"] for row in await service.rows(sensor) if row["event_start"] == MIDNIGHT] == [7, 8]
    # A spread of nothing but its middle is written like any other.
    middle = item(sensor, [6], [6], start="2026-03-02T06:00:00+01:00", probabilities=[0.5])
    assert await stored(service, middle) == (1, 2, 0, 0, {})


async def test_wrong_spreads_are_named(service: Service, subtests: pytest.Subtests) -> None:
    sensor, hourly = await service.add_sensor(), await service.add_sensor("kW", 60)
    not_rising = {"probabilities": ["Must rise from one to the next, from 0 at the least to 1 at the most."]}
    three = ["Send 3 values, one per probability, or null where nothing is known."]
    whole = ["A spread is known as a whole or not at all: send all values of the event, or null in their place."]
    listed = ["Send a list with one item per event: a list of values, one per probability, or null."]
    for change, fields in (
        ({"values": [1, 2]}, {"values": {"0": three, "1": three}}),
        ({"values": [[1, 2, 3], [1, 2]]}, {"values": {"1": three}}),
        ({"values": [[1, 2, 3], [1, None, 3]]}, {"values": {"1": whole}}),
        ({"values": [[1, 2, 3], [3, 2, 1]]}, {"values": {"1": ["Values must not fall where the probability rises. "
                                                               "Sort them."]}}),
        ({"values": [[1, "x", 3], None]}, {"values": {"0": {"1": ["Not a valid number."]}}}),
        ({"values": 5}, {"values": listed}),
        ({"probabilities": []}, {"probabilities": ["Send a list of numbers, like [0.1, 0.5, 0.9]."]}),
        ({"probabilities": [0.5, 0.5, 1]}, not_rising),
        ({"probabilities": [0.5, 0.9, 1.1]}, not_rising),
        ({"sensor": hourly, "values": [[1, 2, 3]] * 4, "duration": "PT1H"},
         {"values": ["Spreads cannot be averaged: send them in steps of 1:00:00."]}),
    ):  # fmt: skip
        with subtests.test(change=change):
            assert await refused(service, item(sensor, [1, 2, 3], [1, 2, 3], **SPREAD) | change) == {"0": fields}


@pytest.mark.parametrize("value", [1e99, -1e99])
async def test_large_spreads_are_refused_not_stored_as_infinity(service: Service, value: float) -> None:
    sensor = await service.add_sensor("W")
    fields = await refused(service, item(sensor, [value, value], probabilities=[0.1, 0.9]))
    assert fields == {"0": {"values": ["Too large a number in W, the unit of the sensor."]}}
    fields = await refused(service, item(sensor, [value * 1000, value * 1000], probabilities=[0.1, 0.9]))
    assert fields == {"0": {"values": {"0": {place: ["Numbers must be between -1e100 and 1e100."] for place in "01"}}}}


async def test_a_small_message_cannot_ask_for_too_much(service: Service) -> None:
    sensors = [await service.add_sensor() for _ in range(3)]
    long = [item(sensor, 1, duration="P50D") for sensor in sensors]
    assert "fill 14400 events together; at most 10000" in str(await refused(service, *long))
    assert (await stored(service, *long[:2]))[1] == 9600
    async with service.store.connection() as con:
        await con.execute("delete from belief")
    for body, said in (
        (b"[]", "Send a JSON array"),
        (b'{"sensor": 1}', "Send a JSON array"),
        (b'[{"sensor": 1, "values": [NaN]}]', "not valid JSON"),
        (b"[" + b"0," * 10_000 + b"0]", "Has 10001 items; at most 10000"),
        (b"[" * 100_000, "not valid JSON"),
    ):
        answer = await service.client.post("/internal/data", content=body)
        assert answer.status_code == 422
        assert said in answer.json()["fields"]["_schema"][0]
    assert (await service.client.post("/internal/data", content=b"[" + b"1," * 3_000_000 + b"1]")).status_code == 413
    assert (await service.client.post("/internal/data", json=[], headers={"Authorization": ""})).status_code == 401


async def test_a_users_first_batch_that_fails_does_not_spoil_the_next(service: Service) -> None:
    sensor = await service.add_sensor()
    await refused(service, item(sensor, "x"))
    await stored(service, item(sensor, 1))
    [row] = await service.rows(sensor)
    async with service.store.connection() as con:
        assert await con.fetchval("select name from source where id = $1", row["source_id"]) == "ada"


async def test_those_who_follow_data_are_told_once_per_account(service: Service) -> None:
    one, two = await service.add_sensor("kW", 15), await service.add_sensor("kW", 60)
    async with service.store.connection() as con:
        shed = await con.fetchval(
            "insert into asset (name, account_id, asset_type_id, parent_asset_id)"
            " values ('shed', $1, 6, $2) returning id",
            service.account, service.asset,
        )  # fmt: skip
        await con.execute("update sensor set asset_id = $1 where id = $2", shed, two)
        await con.execute(
            "insert into webhook (account_id, url, secret) values ($1, 'http://x.test', 'x')", service.account
        )
    await stored(service, item(one, 1), item(two, 2, duration="PT1H"))
    async with service.store.connection() as con:
        [event] = await con.fetch("select account_id, type, data, sensors, assets from event")
    assert set(event["assets"]) == {service.asset, shed}
    assert (event["account_id"], event["type"], event["sensors"]) == (service.account, "data.stored", [one, two])
    assert event["data"] == {
        "sensors": [one, two], "start": MIDNIGHT.isoformat(), "end": (MIDNIGHT + 4 * QUARTER).isoformat(), "new": 2,
        "changed": 0,
    }  # fmt: skip
