"""Jobs of the queue `schedule` that solve a self-contained problem: the response is the job's result."""

import asyncio
from functools import partial
from typing import Any

from flexserve import tracing
from flexstore.store import Connection
from flexwork import activities
from flexwork.activities import ActivityType
from flexwork.contracts import OPTIMIZE_KEY
from flexwork.job_runner import Outcome
from flexwork.jobs import Job

from scheduler.optimize.request import parse_request
from scheduler.optimize.response import solve_request
from scheduler.settings import SchedulerSettings
from scheduler.solving.search import SolverOptions


def is_problem(job: Job) -> bool:
    return OPTIMIZE_KEY in job.request


async def solve(job: Job, settings: SchedulerSettings) -> Outcome:
    request = await asyncio.to_thread(parse_request, job.request[OPTIMIZE_KEY], settings.optimize_largest)
    # The solver works outside the interpreter's lock, so heartbeats and other jobs go on meanwhile.
    response = await asyncio.to_thread(solve_request, request, SolverOptions(seconds=settings.solve_seconds))
    return Outcome(
        result=response,
        info={"warnings": response["warnings"]},
        save=partial(_record_activity, job=job, response=response),
    )


async def _record_activity(con: Connection, *, job: Job, response: dict[str, Any]) -> None:
    result = {key: response[key] for key in ("status", "currency", "total", "gap")}
    data: dict[str, Any] = {"job": str(job.id), "asset": None, "sensors": [], "result": result}
    await activities.record(con, job.account_id, ActivityType.SCHEDULE_FINISHED, data, tracing.carrier())
