"""Problems that take longer, as jobs of the queue `schedule`: the answer is the job's result."""

import asyncio
from functools import partial
from typing import Any

from flexserve import tracing
from flexstore import webhooks
from flexstore.jobs import Job
from flexstore.running import Outcome
from flexstore.store import Connection

from scheduler.optimize.answer import answer
from scheduler.optimize.question import read
from scheduler.settings import SchedulerSettings
from scheduler.solve import Options

KIND = "optimize"
"""The key of the job's request under which the problem is."""


def is_problem(job: Job) -> bool:
    return KIND in job.request


async def solve(job: Job, settings: SchedulerSettings, event: str) -> Outcome:
    """The outcome of the job, announced as `event`."""
    question = await asyncio.to_thread(read, job.request[KIND], settings.optimize_largest)
    # The solver works outside the interpreter's lock, so heartbeats and other jobs go on meanwhile.
    found = await asyncio.to_thread(answer, question, Options(seconds=settings.solve_seconds))
    announce = partial(_announce, job=job, event=event, found=found)
    return Outcome(result=found, info={"warnings": found["warnings"]}, save=announce)


async def _announce(con: Connection, *, job: Job, event: str, found: dict[str, Any]) -> None:
    result = {key: found[key] for key in ("status", "currency", "total", "gap")}
    data: dict[str, Any] = {"job": str(job.id), "asset": None, "sensors": [], "result": result}
    await webhooks.announce(con, job.account_id, event, data, tracing.carrier())
