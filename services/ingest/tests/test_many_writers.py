"""Many writers with overlapping windows: acknowledged values are stored, once, and nothing else is."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest
from flexcore.webhooks import subscriptions
from flexstore.series import BeliefBatch, WriteCounts, write_beliefs
from flexstore.store import Connection
from flexwork import activity_log
from ingest import belief_writer
from ingest_service import Service

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
WRITERS, POSTS, SENSORS = 16, 25, 3


def value_of(sensor: int, writer: int, post: int) -> float:
    """Return a value that encodes its writer, sensor and time."""
    return sensor * 1_000_000 + writer * 1000 + post


async def test_overlapping_windows_from_sixteen_writers(service: Service) -> None:
    sensors = [await service.add_sensor("kW", 60) for _ in range(SENSORS)]
    acknowledged: set[tuple[int, datetime, datetime, float]] = set()
    counted = {"new": 0, "changed": 0, "unchanged": 0}

    async def write(writer: int) -> None:
        dice = random.Random(writer)
        for post in range(POSTS):
            sensor, first, length = dice.choice(sensors), dice.randrange(100), dice.choice((1, 3, 24, 150))
            # Each writer has belief times of its own, so that no value replaces another.
            prior = START - timedelta(seconds=writer * POSTS + post)
            answer = await service.post(
                sensor,
                start=(START + first * HOUR).isoformat(),
                duration=f"PT{length}H",
                values=[value_of(sensor, writer, post)] * length,
                unit="kW",
                prior=prior.isoformat(),
            )
            assert answer.status_code == 200, answer.text
            for name in counted:
                counted[name] += answer.json()[name]
            for i in range(length):
                acknowledged.add((sensor, START + (first + i) * HOUR, prior, value_of(sensor, writer, post)))

    await asyncio.gather(*(write(writer) for writer in range(WRITERS)))
    found = [
        (sensor, row["event_start"], row["belief_time"], row["event_value"])
        for sensor in sensors
        for row in await service.rows(sensor)
    ]
    assert len(found) == len(set(found)) == counted["new"]
    assert set(found) == acknowledged
    assert counted == {"new": len(acknowledged), "changed": 0, "unchanged": 0}


async def test_the_same_values_from_sixteen_writers_are_stored_once(service: Service) -> None:
    sensor = await service.add_sensor("kW", 60)
    message = {"start": START.isoformat(), "duration": "PT200H", "unit": "kW", "prior": START.isoformat()}
    answers = await asyncio.gather(
        *(service.post(sensor, **message, values=list(range(200))) for _ in range(WRITERS)),
    )
    assert {answer.status_code for answer in answers} == {200}
    assert [row["event_value"] for row in await service.rows(sensor)] == [float(i) for i in range(200)]


async def test_webhooks_hear_of_stored_data(service: Service) -> None:
    sensor = await service.add_sensor("kW", 60)
    async with service.store.connection() as con:
        hook = await subscriptions.add(con, service.account, "https://example.com/hook", ["data.stored"])
        await subscriptions.add(con, service.account, "https://example.com/other", ["schedule.finished"])
    message = {"start": START.isoformat(), "duration": "PT2H", "unit": "kW", "values": [1, 2]}
    for _ in range(2):  # the second time there is nothing new to tell
        assert (await service.post(sensor, **message)).status_code == 200
    async with service.store.connection() as con:
        await activity_log.assign_positions(con)
        [told] = await con.fetch("select topic, payload from outbox")
    assert told["topic"] == "webhook"
    assert told["payload"]["webhook"] == hook.id
    assert told["payload"]["type"] == "data.stored"
    assert told["payload"]["data"] == {
        "sensor": sensor,
        "start": "2026-03-02T00:00:00+00:00",
        "end": "2026-03-02T02:00:00+00:00",
        "new": 2,
        "changed": 0,
    }


async def test_stored_data_make_events_only_while_somebody_follows(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(belief_writer, "AUDIENCE_CACHE_TIME", timedelta(seconds=0.1))
    sensor = await service.add_sensor("kW", 60)
    message = {"start": START.isoformat(), "duration": "PT1H", "unit": "kW"}

    async def post(value: int) -> None:
        assert (await service.post(sensor, **message, values=[value])).status_code == 200

    await post(1)
    async with service.store.connection() as con:
        await activity_log.follow(con, [service.account])
        await asyncio.sleep(0.15)
        await asyncio.gather(*map(post, range(2, 12)))
        await activity_log.assign_positions(con)
        told = await activity_log.load(con, 0, activity_log.EVERYTHING)
        assert {event.type for event in told} == {"data.stored"}
        assert sum(event.data["new"] + event.data["changed"] for event in told) == 10
        assert {(event.account_id, *event.sensors) for event in told} == {(service.account, sensor)}
        await con.execute("update event_interest set until = now()")
        await asyncio.sleep(0.15)
        await post(99)
        assert await activity_log.assign_positions(con) == 0


async def test_who_comes_while_data_are_being_stored_is_told(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(belief_writer, "AUDIENCE_CACHE_TIME", timedelta(seconds=0))
    sensor = await service.add_sensor("kW", 60)

    async def slowly(con: Connection, beliefs: BeliefBatch) -> WriteCounts:
        written = await write_beliefs(con, beliefs)
        await activity_log.follow(con, [service.account])
        return written

    monkeypatch.setattr(belief_writer, "write_beliefs", slowly)
    answer = await service.post(sensor, start=START.isoformat(), duration="PT1H", unit="kW", values=[1])
    assert answer.status_code == 200
    async with service.store.connection() as con:
        assert await activity_log.assign_positions(con) == 1
