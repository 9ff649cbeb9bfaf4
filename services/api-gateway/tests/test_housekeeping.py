"""What has to be done again and again is done, whatever happens meanwhile."""

import asyncio
from typing import Any

import pytest
from api_gateway import housekeeping
from flexwork import jobs
from waiting import until


async def test_jobs_are_looked_after_although_their_table_came_later(
    house: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(housekeeping, "SWEEP_SECONDS", 0.05)
    async with house.store.transaction() as con:
        job = await jobs.create(con, queue="schedule", request={})
        assert await jobs.claim(con, job)
        await con.execute("update job set heartbeat_at = now() - interval '1 hour'")
        await con.execute("alter table job rename to job_to_come")
    keeping = asyncio.create_task(housekeeping.keep(house.store, house.settings))
    await until(lambda: 'relation "job" does not exist' in caplog.text)
    await house.fetch("alter table job_to_come rename to job")

    async def is_put_back() -> bool:
        [row] = await house.fetch("select status from job")
        return row["status"] == "QUEUED"

    await until(is_put_back)
    keeping.cancel()
    await asyncio.wait((keeping,))
    assert keeping.cancelled()
