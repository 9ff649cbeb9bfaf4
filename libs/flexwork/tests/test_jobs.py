"""Jobs are claimed once, belong to whoever holds the claim, and come back when their worker dies."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from flexstore import tables
from flexstore.store import Connection, Store
from flexwork import jobs
from flexwork.jobs import Job, SweepResult
from sites import AddSite

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def con(store: Store) -> AsyncIterator[Connection]:
    async with store.connection() as con:
        yield con


async def add(
    con: Connection,
    *,
    account_id: int | None = None,
    asset_id: int | None = None,
    request_hash: str | None = None,
    info: Mapping[str, object] | None = None,
    trace_context: Mapping[str, str] | None = None,
) -> UUID:
    return await jobs.create(
        con,
        queue="schedule",
        request={"asset": 5},
        account_id=account_id,
        asset_id=asset_id,
        request_hash=request_hash,
        info=info,
        trace_context=trace_context,
    )


async def load_outbox(con: Connection) -> list[tuple[str, str]]:
    """Return the topics and jobs of the waiting messages."""
    rows = await con.fetch("select topic, payload ->> 'job' as job from outbox order by id")
    return [(row["topic"], row["job"]) for row in rows]


async def get(con: Connection, job_id: UUID) -> Job:
    job = await jobs.get(con, job_id)
    assert job is not None
    return job


async def claim(con: Connection, job_id: UUID) -> Job:
    job = await jobs.claim(con, job_id)
    assert job is not None
    return job


async def fall_silent(con: Connection, job_id: UUID) -> None:
    """Let the heartbeats of a job stop, as when its worker is killed."""
    await con.execute("update job set heartbeat_at = now() - interval '1 minute' where id = $1", job_id)


def test_a_job_has_what_the_table_has() -> None:
    assert set(Job.__slots__) == set(tables.jobs.JobTable.model_fields)


async def test_a_job_comes_with_the_message_that_announces_it(con: Connection, add_site: AddSite) -> None:
    account, asset = await add_site()
    trace = {"traceparent": "00-1-2-01"}
    job_id = await add(con, account_id=account, asset_id=asset, request_hash="h", info={"a": 1}, trace_context=trace)
    job = await get(con, job_id)
    assert (job.status, job.queue, job.account_id, job.asset_id) == ("QUEUED", "schedule", account, asset)
    assert (job.request, job.request_hash, job.info, job.trace_context) == ({"asset": 5}, "h", {"a": 1}, trace)
    assert await load_outbox(con) == [("task:schedule", str(job_id))]
    assert await con.fetchval("select headers from outbox") == trace
    assert await jobs.get(con, uuid4()) is None


async def test_a_job_and_its_message_are_part_of_the_callers_transaction(store: Store, con: Connection) -> None:
    with pytest.raises(RuntimeError):
        async with store.transaction() as other:
            await add(other)
            raise RuntimeError
    assert await con.fetchval("select count(*) from job") == 0
    assert await load_outbox(con) == []


async def test_of_many_workers_one_gets_the_job(store: Store, con: Connection) -> None:
    job_id = await add(con)

    async def worker() -> Job | None:
        async with store.connection() as mine:
            return await jobs.claim(mine, job_id)

    claims = await asyncio.gather(*(worker() for _ in range(16)))
    [winner] = [job for job in claims if job]
    job = await get(con, job_id)
    assert (job.status, job.claim, job.attempts) == ("STARTED", winner.claim, 1)


async def test_only_the_holder_of_the_claim_can_end_a_job(con: Connection) -> None:
    job_id = await add(con, info={"kept": 1})
    job = await claim(con, job_id)
    stranger = uuid4()
    assert not await jobs.heartbeat(con, job_id, stranger)
    assert not await jobs.finish(con, job_id, stranger, {"x": 1})
    assert not await jobs.fail(con, job_id, stranger, "no")
    assert not await jobs.release(con, job_id, stranger)
    assert job.claim is not None
    assert await jobs.heartbeat(con, job_id, job.claim)
    assert await jobs.finish(con, job_id, job.claim, {"x": 1}, {"more": 2})
    assert not await jobs.finish(con, job_id, job.claim, {"x": 2})
    done = await get(con, job_id)
    assert (done.status, done.result, done.info, done.claim) == ("FINISHED", {"x": 1}, {"kept": 1, "more": 2}, None)
    assert done.ended_at is not None
    assert await jobs.claim(con, job_id) is None


async def test_a_failed_job_says_why(con: Connection) -> None:
    job = await claim(con, await add(con))
    assert job.claim is not None
    assert await jobs.fail(con, job.id, job.claim, "Battery 7 is unknown.", "Traceback …", {"field": "sensor"})
    failed = await get(con, job.id)
    assert (failed.status, failed.error, failed.traceback) == ("FAILED", "Battery 7 is unknown.", "Traceback …")
    assert failed.info == {"field": "sensor"}


async def test_a_released_job_waits_again_and_is_announced_again(con: Connection) -> None:
    job = await claim(con, await add(con))
    assert job.claim is not None
    await con.execute("delete from outbox")
    later = datetime.now(UTC) + MINUTE
    assert await jobs.release(con, job.id, job.claim, later)
    waiting = await get(con, job.id)
    assert (waiting.status, waiting.claim, waiting.attempts, waiting.started_at) == ("QUEUED", None, 0, None)
    assert await load_outbox(con) == [("task:schedule", str(job.id))]
    assert await con.fetchval("select due_at from outbox") == later


async def test_a_silent_worker_loses_its_job_to_the_next_who_asks(con: Connection) -> None:
    first = await claim(con, await add(con))
    assert await jobs.claim(con, first.id) is None
    await fall_silent(con, first.id)
    assert await jobs.claim(con, first.id, lease=120) is None
    second = await claim(con, first.id)
    assert second.attempts == 2
    assert first.claim is not None
    assert not await jobs.finish(con, first.id, first.claim, {})


async def test_the_sweeper_puts_back_what_died_until_it_has_died_too_often(con: Connection) -> None:
    job_id, alive = await add(con), await add(con)
    await claim(con, alive)
    for attempt in (1, 2, 3):
        await claim(con, job_id)
        assert await jobs.sweep(con) == SweepResult()
        await con.execute("delete from outbox")
        await fall_silent(con, job_id)
        assert await jobs.sweep(con) == (SweepResult(failed=1) if attempt == 3 else SweepResult(requeued=1))
        assert await load_outbox(con) == ([] if attempt == 3 else [("task:schedule", str(job_id))])
    dead = await get(con, job_id)
    assert (dead.status, dead.claim) == ("FAILED", None)
    assert dead.error == "The worker that ran this job stopped without a word, 3 times in a row."
    assert dead.ended_at is not None
    assert (await get(con, alive)).status == "STARTED"


async def test_the_sweeper_announces_again_what_waits_for_long(con: Connection) -> None:
    lost, still_in_outbox, young, done = [await add(con) for _ in range(4)]
    held = await claim(con, done)
    assert held.claim is not None
    await jobs.finish(con, done, held.claim, {})
    await con.execute("delete from outbox where payload ->> 'job' <> $1", str(still_in_outbox))
    await con.execute("update job set sent_at = now() - interval '2 minutes' where id <> $1", young)
    assert await jobs.sweep(con) == SweepResult(reannounced=1)
    assert await load_outbox(con) == [("task:schedule", str(still_in_outbox)), ("task:schedule", str(lost))]
    await con.execute("delete from outbox")
    await con.execute("update job set sent_at = now() where id = $1", still_in_outbox)
    assert await jobs.sweep(con) == SweepResult()


async def test_one_sweeps_at_a_time(store: Store, con: Connection) -> None:
    job_id = await add(con)
    await claim(con, job_id)
    await fall_silent(con, job_id)
    async with store.transaction() as other:
        assert await jobs.sweep(other) == SweepResult(requeued=1)
        assert await jobs.sweep(con) == SweepResult()


async def test_the_same_request_is_found(con: Connection, add_site: AddSite) -> None:
    ours, theirs = (await add_site("ours"))[0], (await add_site("theirs"))[0]

    async def find(
        account: int | None = ours,
        within: timedelta = MINUTE,
        statuses: Sequence[str] = ("QUEUED", "STARTED", "FINISHED"),
    ) -> UUID | None:
        job = await jobs.find_equal(con, "h", account, within=within, statuses=statuses)
        return None if job is None else job.id

    assert await find() is None
    await add(con, account_id=ours, request_hash="h")
    newest = await add(con, account_id=ours, request_hash="h")
    public = await add(con, request_hash="h")
    await add(con, account_id=ours, request_hash="other")
    assert (await find(), await find(theirs), await find(None)) == (newest, None, public)
    assert (await find(statuses=["FINISHED"]), await find(within=timedelta(0))) == (None, None)
