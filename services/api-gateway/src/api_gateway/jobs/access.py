"""Finding a job and asking whether its caller may see it."""

from typing import Any
from uuid import UUID

from flexstore import jobs
from flexstore.jobs import Job

from api_gateway.auth import subjects
from api_gateway.auth.identity import Identity
from api_gateway.auth.policy import Action, Owner, Thing, may


async def find(con: Any, text: str) -> Job | None:
    """The job of that id, if the text is one."""
    try:
        job_id = UUID(text)
    except ValueError:
        return None
    return await jobs.get(con, job_id)


async def may_see(con: Any, caller: Identity, job: Job) -> bool:
    """Whether the caller may read the jobs of its account. Jobs of no account are for administrators."""
    if job.account_id is None:
        return caller.reads_everything
    account = await subjects.find(con, Thing.ACCOUNT, job.account_id)
    owner = subjects.owner_of(account) if account is not None else Owner(job.account_id)
    return may(caller, Action.READ, Thing.JOB, owner)
