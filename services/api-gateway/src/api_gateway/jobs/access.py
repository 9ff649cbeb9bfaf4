"""Finding a job, asking whether its caller may see it, and waiting a moment for it."""

import asyncio
from time import monotonic
from uuid import UUID

from flexcore.permissions import resources
from flexcore.permissions.identity import Identity
from flexcore.permissions.policy import Action, Owner, ResourceType, may
from flexstore.store import Connection
from flexwork import jobs
from flexwork.jobs import Job

from api_gateway.gateway import Gateway

UNFINISHED = ("QUEUED", "DEFERRED", "STARTED")
FIRST_PAUSE, GROWTH, LONGEST_PAUSE = 0.01, 1.5, 0.2
"""Seconds between looks at a job. They grow with the time it takes already, so that waiting adds a third at most."""


async def find(con: Connection, text: str) -> Job | None:
    """The job of that id, if the text is one."""
    try:
        job_id = UUID(text)
    except ValueError:
        return None
    return await jobs.get(con, job_id)


async def may_see(con: Connection, caller: Identity, job: Job) -> bool:
    """Whether the caller may read the jobs of its account. Jobs of no account are for administrators."""
    if job.account_id is None:
        return caller.reads_everything
    account = await resources.find(con, ResourceType.ACCOUNT, job.account_id)
    owner = resources.owner_of(account) if account is not None else Owner(job.account_id)
    return may(caller, Action.READ, ResourceType.JOB, owner)


async def awaited(gateway: Gateway, job: Job) -> Job:
    """The job when it is done, or as it is when our patience ends.

    Most schedules take less than that, and clients that are told to come back sleep for seconds first.
    """
    pause, deadline = FIRST_PAUSE, monotonic() + gateway.settings.patience.total_seconds()
    while job.status in UNFINISHED and monotonic() + pause <= deadline:
        await asyncio.sleep(pause)
        async with gateway.store.connection() as con:
            job = await jobs.get(con, job.id) or job
        pause = min(GROWTH * pause, LONGEST_PAUSE)
    return job
