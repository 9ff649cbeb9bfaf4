"""Access to jobs: looking them up, the permission to see them, and a short wait for their end."""

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
"""The seconds between look-ups. They grow with the time waited, so that waiting adds at most a third to it."""


async def find(con: Connection, text: str) -> Job | None:
    """Load a job by the text of its id, or return None."""
    try:
        job_id = UUID(text)
    except ValueError:
        return None
    return await jobs.get(con, job_id)


async def may_see(con: Connection, caller: Identity, job: Job) -> bool:
    """Return whether the caller may see a job. Jobs without an account are for readers of everything."""
    if job.account_id is None:
        return caller.reads_everything
    account = await resources.find(con, ResourceType.ACCOUNT, job.account_id)
    owner = resources.owner_of(account) if account is not None else Owner(job.account_id)
    return may(caller, Action.READ, ResourceType.JOB, owner)


async def wait_for(gateway: Gateway, job: Job) -> Job:
    """Wait for the end of a job, for the patience of the settings at most, and return its latest state.

    Most schedules take less than that, and clients that are told to come back sleep for seconds first.
    """
    pause, deadline = FIRST_PAUSE, monotonic() + gateway.settings.patience.total_seconds()
    while job.status in UNFINISHED and monotonic() + pause <= deadline:
        await asyncio.sleep(pause)
        async with gateway.store.connection() as con:
            job = await jobs.get(con, job.id) or job
        pause = min(GROWTH * pause, LONGEST_PAUSE)
    return job
