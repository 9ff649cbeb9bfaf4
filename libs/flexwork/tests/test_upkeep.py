"""Upkeep duties are done again and again, whatever happens meanwhile, by one process at a time."""

import asyncio
from contextlib import suppress

import pytest
from flexmodel.errors import Unavailable
from flexstore.store import Store
from flexwork import jobs, upkeep
from flexwork.upkeep import Upkeep, register_job_sweep
from waiting import until


async def test_jobs_are_swept_although_their_table_came_later(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(upkeep, "JOB_SWEEP_SECONDS", 0.05)
    async with store.transaction() as con:
        job = await jobs.create(con, queue="schedule", request={})
        assert await jobs.claim(con, job)
        await con.execute("update job set heartbeat_at = now() - interval '1 hour'")
        await con.execute("alter table job rename to job_to_come")
    duties = Upkeep(store)
    register_job_sweep(duties, store)
    running = asyncio.create_task(duties.run())
    await until(lambda: 'relation "job" does not exist' in caplog.text)
    async with store.connection() as con:
        await con.execute("alter table job_to_come rename to job")

    async def is_put_back() -> bool:
        async with store.connection() as con:
            return bool(await con.fetchval("select status from job") == "QUEUED")

    await until(is_put_back)
    running.cancel()
    await asyncio.wait((running,))
    assert running.cancelled()


async def test_one_process_at_a_time_does_a_duty(store: Store, url: str) -> None:
    at_work, most, rounds = 0, 0, 0
    other = await Store.connect(url)

    async def work() -> None:
        nonlocal at_work, most, rounds
        at_work, rounds = at_work + 1, rounds + 1
        most = max(most, at_work)
        await asyncio.sleep(0.02)
        at_work -= 1

    duties = [Upkeep(one) for one in (store, other, store)]
    for one in duties:
        one.register("sweeping the floor", 0.001, work)
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.gather(*(one.run() for one in duties)), 0.5)
    await other.close()
    assert most == 1
    assert rounds > 5


async def test_a_duty_goes_on_when_the_database_was_away(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "RETRY_SECONDS", 0.01)
    rounds = []

    async def work() -> None:
        rounds.append(1)
        raise Unavailable("database")

    duties = Upkeep(store)
    duties.register("counting", 3600.0, work)
    running = asyncio.create_task(duties.run())
    await until(lambda: len(rounds) > 2)
    running.cancel()
    await asyncio.wait((running,))
