"""A job that is run is done once: finished, failed or given back, whatever happens meanwhile."""

import asyncio
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from flexmodel.errors import Invalid, Unavailable
from flexstore.store import Connection, Store
from flexwork import jobs
from flexwork.job_runner import OutboxMessage, Outcome, run
from flexwork.jobs import Job
from waiting import until


@pytest.fixture
async def job_id(store: Store) -> UUID:
    """A job whose announcement has already left."""
    async with store.transaction() as con:
        job_id = await jobs.create(con, queue="schedule", request={"n": 2}, trace_context={"traceparent": "t"})
        await con.execute("delete from outbox")
    return job_id


async def get(store: Store, job_id: UUID) -> Job:
    async with store.connection() as con:
        job = await jobs.get(con, job_id)
    assert job is not None
    return job


async def load_messages(store: Store) -> list[tuple[str, Any, Any]]:
    async with store.connection() as con:
        rows = await con.fetch("select topic, payload, headers from outbox order by id")
    return [tuple(row) for row in rows]


async def count_saved(store: Store) -> int:
    async with store.connection() as con:
        number: int = await con.fetchval("select count(*) from role where name like 'saved%'")
    return number


async def save(con: Connection) -> None:
    await con.execute("insert into role (name) values ('saved')")


async def finishing(job: Job, store: Store) -> Outcome:
    return Outcome({"double": 2 * job.request["n"]}, {"warnings": []}, save, [OutboxMessage("webhook", {"a": 1})])


async def test_everything_a_job_leaves_is_stored_with_it(store: Store, job_id: UUID) -> None:
    assert await run(store, job_id, finishing) == "FINISHED"
    job = await get(store, job_id)
    assert (job.status, job.result, job.info, job.attempts) == ("FINISHED", {"double": 4}, {"warnings": []}, 1)
    assert await load_messages(store) == [("webhook", {"a": 1}, {"traceparent": "t"})]
    assert await count_saved(store) == 1


async def test_a_task_that_is_delivered_twice_is_done_once(store: Store, job_id: UUID) -> None:
    async def slowly(job: Job, store: Store) -> Outcome:
        await asyncio.sleep(0.2)
        return await finishing(job, store)

    results = await asyncio.gather(*(run(store, job_id, slowly) for _ in range(4)))
    assert sorted(results, key=str) == ["FINISHED", None, None, None]
    assert await run(store, job_id, slowly) is None
    assert await count_saved(store) == 1


async def test_what_is_wrong_with_the_request_is_told_as_it_is(store: Store, job_id: UUID) -> None:
    async def refusing(job: Job, store: Store) -> Outcome:
        raise Invalid({"soc-max": ["Must be positive."]})

    assert await run(store, job_id, refusing) == "FAILED"
    job = await get(store, job_id)
    assert (job.status, job.error, job.traceback) == ("FAILED", "soc-max: Must be positive.", None)


async def test_our_own_mistakes_are_told_apart(store: Store, job_id: UUID) -> None:
    async def stumbling(job: Job, store: Store) -> Outcome:
        return Outcome({"x": job.request["missing"]})

    assert await run(store, job_id, stumbling) == "FAILED"
    job = await get(store, job_id)
    assert job.error == "Internal error (KeyError). Please report it together with the id of this job."
    assert job.traceback is not None
    assert 'job.request["missing"]' in job.traceback


async def test_a_job_whose_results_cannot_be_stored_fails_and_leaves_nothing(store: Store, job_id: UUID) -> None:
    async def twice(con: Connection) -> None:
        await save(con)
        await save(con)

    async def handler(job: Job, store: Store) -> Outcome:
        return Outcome({}, save=twice, announcements=[OutboxMessage("webhook", {})])

    assert await run(store, job_id, handler) == "FAILED"
    job = await get(store, job_id)
    assert (job.status, job.result) == ("FAILED", None)
    assert job.error is not None
    assert "UniqueViolationError" in job.error
    assert (await count_saved(store), await load_messages(store)) == (0, [])


async def test_a_part_that_is_away_sends_the_job_back(store: Store, job_id: UUID) -> None:
    async def waiting(job: Job, store: Store) -> Outcome:
        raise Unavailable("weather service", retry_after=60)

    assert await run(store, job_id, waiting) == "QUEUED"
    job = await get(store, job_id)
    assert (job.status, job.claim, job.attempts) == ("QUEUED", None, 0)
    assert await load_messages(store) == [("task:schedule", {"job": str(job_id)}, {"traceparent": "t"})]
    async with store.connection() as con:
        assert await con.fetchval("select due_at - now() > interval '50 seconds' from outbox")
    assert await run(store, job_id, finishing) == "FINISHED"


async def test_a_worker_that_is_stopped_gives_its_job_back(store: Store, job_id: UUID) -> None:
    begun = asyncio.Event()

    async def endless(job: Job, store: Store) -> Outcome:
        begun.set()
        await asyncio.sleep(60)
        return Outcome()

    running = asyncio.create_task(run(store, job_id, endless))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await get(store, job_id)).status == "QUEUED"
    assert len(await load_messages(store)) == 1
    assert await run(store, job_id, finishing) == "FINISHED"


async def test_a_long_job_shows_signs_of_life(store: Store, job_id: UUID) -> None:
    signs: set[datetime | None] = set()

    async def is_well() -> bool:
        signs.add((await get(store, job_id)).heartbeat_at)
        return len(signs) == 4

    async def long(job: Job, store: Store) -> Outcome:
        await until(is_well)
        async with store.connection() as con:
            assert await jobs.claim(con, job.id, lease=30) is None
        return Outcome({"done": True})

    assert await run(store, job_id, long, lease=30, heartbeat=0.05) == "FINISHED"


async def test_who_loses_the_claim_meanwhile_stops_and_stores_nothing(store: Store, job_id: UUID) -> None:
    ended: list[str] = []

    async def robbed(job: Job, store: Store) -> Outcome:
        async with store.connection() as con:
            await con.execute("update job set heartbeat_at = now() - interval '1 hour'")
            assert await jobs.claim(con, job.id) is not None
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("stopped")
        return Outcome()

    assert await run(store, job_id, robbed, heartbeat=0.05) is None
    assert ended == ["stopped"]
    assert (await get(store, job_id)).status == "STARTED"


async def test_a_result_that_comes_after_the_claim_was_lost_is_dropped(store: Store, job_id: UUID) -> None:
    async def late(job: Job, store: Store) -> Outcome:
        async with store.connection() as con:
            await con.execute("update job set heartbeat_at = now() - interval '1 hour'")
            assert await jobs.claim(con, job.id) is not None
        return await finishing(job, store)

    assert await run(store, job_id, late) is None
    assert (await get(store, job_id)).status == "STARTED"
    assert (await count_saved(store), await load_messages(store)) == (0, [])


async def test_a_database_that_is_away_when_work_is_done_gets_the_result_later(store: Store, job_id: UUID) -> None:
    cut: list[bool] = []

    async def cut_off_once(con: Connection) -> None:
        if not cut:
            cut.append(True)
            await con.execute("select pg_terminate_backend(pg_backend_pid())")
        await save(con)

    async def handler(job: Job, store: Store) -> Outcome:
        return Outcome({"kept": True}, save=cut_off_once)

    assert await run(store, job_id, handler) == "FINISHED"
    assert (await get(store, job_id)).result == {"kept": True}
    assert (cut, await count_saved(store)) == ([True], 1)
