"""Activities are recorded in the transaction of their change, and every reader gets each once and in one order."""

import asyncio
import itertools
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from flexstore.store import Connection, Store
from flexwork import activities, activity_log, jobs
from flexwork.activities import EVERYONE, ActivityType
from flexwork.activity_log import EVERYTHING, Activity, ActivityFilter
from sites import AddSensor, AddSite

OWNER, OTHER = 71, 72
DAY = timedelta(days=1)


async def tell(con: Connection, number: int, account: int | None = OWNER, **rest: object) -> None:
    await activities.record(con, account, ActivityType.ASSET_UPDATED, {"number": number, **rest})


async def read(store: Store, after: int = 0, wanted: ActivityFilter = EVERYTHING) -> list[Activity]:
    async with store.connection() as con:
        await activity_log.assign_positions(con)
        return await activity_log.load(con, after, wanted)


def numbers(found: Sequence[Activity]) -> list[int]:
    return [event.data["number"] for event in found]


async def test_what_is_committed_late_is_read_late_but_read(store: Store) -> None:
    """An activity that is written first and committed last still reaches readers that have read later ones."""
    async with store.connection() as late, store.connection() as early:
        transaction = late.transaction()
        await transaction.start()
        await tell(late, 1)
        await tell(early, 2)
        [first] = await read(store)
        await tell(early, 3)
        [second] = await read(store, first.position)
        await transaction.commit()
    assert numbers([first, second]) == [2, 3]
    [last] = await read(store, second.position)
    assert numbers([last]) == [1]
    assert first.position < second.position < last.position
    assert numbers(await read(store)) == [2, 3, 1]


async def test_what_is_rolled_back_is_told_to_nobody(store: Store) -> None:
    with pytest.raises(ZeroDivisionError):
        async with store.transaction() as con:
            await tell(con, 1)
            raise ZeroDivisionError
    assert await read(store) == []


async def test_of_many_writers_many_readers_miss_nothing_and_get_nothing_twice(store: Store) -> None:
    writers, each = 8, 25
    dice = random.Random(5)
    pauses = [[dice.random() / 100 for _ in range(each)] for _ in range(writers)]
    everything = sorted(range(writers * each))

    async def write(writer: int) -> None:
        for i, pause in enumerate(pauses[writer]):
            async with store.transaction() as con:
                await tell(con, writer * each + i)
                await asyncio.sleep(pause)

    async def follow() -> list[int]:
        at = 0
        found: list[int] = []
        async with asyncio.timeout(20):
            while len(found) < len(everything):
                page = await read(store, at)
                assert all(one.position < next.position for one, next in itertools.pairwise(page))
                at = page[-1].position if page else at
                found += numbers(page)
                await asyncio.sleep(0)
        return found

    readers = [asyncio.create_task(follow()) for _ in range(4)]
    await asyncio.gather(*map(write, range(writers)))
    orders = await asyncio.gather(*readers)
    assert all(sorted(order) == everything for order in orders)
    assert all(order == orders[0] for order in orders)


async def test_a_long_transaction_elsewhere_holds_nothing_up(store: Store) -> None:
    async with store.transaction() as slow:
        await slow.execute("insert into role (name) values ('slow')")
        async with store.connection() as con:
            await tell(con, 1)
        assert numbers(await read(store)) == [1]


async def test_jobs_tell_what_becomes_of_them(store: Store, add_site: AddSite, add_sensor: AddSensor) -> None:
    account, site = await add_site()
    _, battery = await add_site("battery", site, account)
    sensor = await add_sensor(battery)
    about: dict[str, Any] = {"account_id": account, "sensor_id": sensor}
    async with store.connection() as con:
        first, second, third = [await jobs.create(con, queue="schedule", request={}, **about) for _ in range(3)]
        job = await jobs.claim(con, first)
        assert job is not None and job.claim is not None
        await jobs.finish(con, first, job.claim, {"values": [1]})
        assert await jobs.claim(con, first) is None
        job = await jobs.claim(con, second)
        assert job is not None and job.claim is not None
        await jobs.release(con, second, job.claim)
        job = await jobs.claim(con, second)
        assert job is not None and job.claim is not None
        await jobs.fail(con, second, job.claim, "It is too hot.")
        await jobs.claim(con, third)
        await con.execute("update job set heartbeat_at = now() - interval '1 hour', attempts = 3 where id = $1", third)
        assert (await jobs.sweep(con)).failed == 1
    told = await read(store)
    assert {(event.account_id, *event.sensors, *event.assets) for event in told} == {(account, sensor, battery, site)}
    by_job = {job: [event for event in told if event.data["job"] == str(job)] for job in (first, second, third)}
    assert [event.type for event in by_job[first]] == ["job.queued", "job.started", "job.finished"]
    states = ["job.queued", "job.started", "job.queued", "job.started", "job.failed"]
    assert [event.type for event in by_job[second]] == states
    about_job = {"job": str(second), "queue": "schedule", "asset": None, "sensor": sensor}
    assert by_job[second][0].data == about_job
    assert by_job[second][-1].data == about_job | {"error": "It is too hot."}
    assert by_job[third][-1].type == "job.failed"
    assert "stopped without a word" in by_job[third][-1].data["error"]


async def test_only_what_is_wanted_is_read(store: Store, add_site: AddSite, add_sensor: AddSensor) -> None:
    """The filter selects the same in SQL and in Python."""
    account, site = await add_site()
    _, battery = await add_site("battery", site, account)
    power, meter = await add_sensor(battery), await add_sensor(site)
    async with store.connection() as con:
        for owner, type, data in (
            (account, ActivityType.DATA_STORED, {"sensor": power}),
            (account, ActivityType.DATA_STORED, {"sensor": meter}),
            (account, ActivityType.SCHEDULE_FINISHED, {"asset": site, "sensors": [power, meter], "job": "j"}),
            (account, ActivityType.ASSET_UPDATED, {"asset": battery}),
            (OTHER, ActivityType.SCHEDULE_FAILED, {"job": "k"}),
            (None, ActivityType.DATA_STORED, {"sensor": meter}),
            (None, ActivityType.JOB_QUEUED, {"job": "j"}),
        ):
            await activities.record(con, owner, type, data)
    everything = await read(store)
    assert len(everything) == 7
    choices: list[list[Any]] = [
        [None, [], [account], [account, OTHER]],
        [[], ["data.stored"], ["schedule.finished", "job.queued"]],
        [[], [site], [battery], [battery, 4711]],
        [[], [power], [meter]],
        [[], ["j"]],
    ]
    sizes = set()
    for choice in itertools.product(*choices):
        wanted = ActivityFilter(*choice)
        found = await read(store, 0, wanted)
        assert found == [event for event in everything if event in wanted], choice
        sizes.add(len(found))
    assert sizes >= {0, 1, 2, 3, 7}


async def test_public_events_are_for_everybody_but_not_their_jobs(store: Store) -> None:
    async with store.connection() as con:
        for type in (
            ActivityType.DATA_STORED,
            ActivityType.ASSET_CREATED,
            ActivityType.JOB_QUEUED,
            ActivityType.SCHEDULE_FAILED,
        ):
            await activities.record(con, None, type, {})
    assert [event.type for event in await read(store, 0, ActivityFilter([OWNER]))] == ["data.stored", "asset.created"]
    assert len(await read(store)) == 4


async def test_old_events_are_forgotten_and_that_can_be_seen(store: Store) -> None:
    async with store.connection() as con:
        assert await activity_log.retained_range(con) == activity_log.RetainedRange(None, 0)
        for number in range(6):
            await tell(con, number)
        await activity_log.assign_positions(con)
        await con.execute("update event set created_at = now() - interval '2 days' where position <= 3")
        await activity_log.delete_old(con, DAY, 1000)
        assert await activity_log.retained_range(con) == activity_log.RetainedRange(
            3, 6
        )  # who has had the second can go on
        await activity_log.delete_old(con, DAY, 1)
        assert await activity_log.retained_range(con) == activity_log.RetainedRange(5, 6)
        await con.execute("update event set created_at = now() - interval '2 days'")
        await activity_log.delete_old(con, DAY, 1000)
        assert await activity_log.retained_range(con) == activity_log.RetainedRange(6, 6)


async def test_stored_data_are_awaited_while_somebody_follows(store: Store) -> None:
    async def awaited(account: int | None) -> bool:
        return await activities.has_audience(con, account, ActivityType.DATA_STORED)

    async with store.connection() as con:
        assert not await awaited(OWNER) and not await awaited(None)
        first = (await activity_log.follow(con, [OWNER]))[OWNER]
        assert 2 < first.seconds <= 2.5
        assert await awaited(OWNER) and not await awaited(OTHER)
        assert await awaited(None)  # what is public is there for everybody
        await asyncio.sleep(0.01)
        again = (await activity_log.follow(con, [OWNER]))[OWNER]
        assert again.since == first.since and again.seconds < first.seconds
        await con.execute("update event_interest set until = now() - interval '1 second'")
        assert not await awaited(OWNER) and not await awaited(None)
        later = (await activity_log.follow(con, [OWNER, EVERYONE]))[OWNER]
        assert later.since > first.since and later.seconds > 2
        assert await awaited(OTHER)


async def test_webhooks_get_what_they_hear_of(store: Store, add_site: AddSite, add_sensor: AddSensor) -> None:
    account, site = await add_site()
    _, battery = await add_site("battery", site, account)
    stranger, _ = await add_site("elsewhere")
    power, meter = await add_sensor(battery), await add_sensor(site)
    async with store.connection() as con:
        hooks = {
            name: await con.fetchval(
                "insert into webhook (account_id, url, secret, events, assets, sensors)"
                " values ($1, 'https://example.com/', 'x', $2, $3, $4) returning id",
                owner,
                types,
                filters.get("assets", []),
                filters.get("sensors", []),
            )
            for name, owner, types, filters in (
                ("all", account, [], {}),
                ("finished", account, ["schedule.finished"], {}),
                ("battery", account, [], {"assets": [battery]}),
                ("site", account, [], {"assets": [site]}),
                ("meter", account, (), {"sensors": [meter]}),
                ("stranger", stranger, [], {}),
            )
        }
        await activities.record(con, account, ActivityType.DATA_STORED, {"sensor": power}, {"traceparent": "t"})
        await activities.record(con, account, ActivityType.SCHEDULE_FINISHED, {"asset": site, "sensors": [meter]})
        assert await activity_log.assign_positions(con) == 2
        rows = await con.fetch("select topic, payload, headers from outbox order by id")
    assert {row["topic"] for row in rows} == {"webhook"}
    ids = [f"evt_{event.position}" for event in await read(store)]
    told = {
        name: [row["payload"]["id"] for row in rows if row["payload"]["webhook"] == id] for name, id in hooks.items()
    }
    assert told == {
        "all": ids, "finished": ids[1:], "battery": ids[:1], "site": ids, "meter": ids[1:], "stranger": [],
    }  # fmt: skip
    [first, *_] = rows
    assert (first["payload"]["type"], first["payload"]["data"]) == ("data.stored", {"sensor": power})
    assert first["headers"] == {"traceparent": "t"}
