"""Passing problems on to the scheduler, and making jobs of those that take long."""

from typing import Any
from uuid import UUID

from flexcore.permissions.identity import Identity
from flexserve import tracing
from flexserve.service_client import ServiceResponse
from flexwork import jobs
from flexwork.contracts import OPTIMIZE_KEY, OPTIMIZE_PATH, Queue
from flexwork.jobs import Job

from api_gateway.gateway import Gateway

QUEUE, KIND = Queue.SCHEDULE, OPTIMIZE_KEY
"""The queue, and the key of the job's request under which the scheduler finds the problem."""
LONG = 202
"""The scheduler's status for a problem that it could not solve at once."""


async def answered(gateway: Gateway, caller: Identity, body: bytes) -> ServiceResponse:
    """What the scheduler says of a problem. Raises `Invalid` if there is no answer to it."""
    headers = {"Content-Type": "application/json"}
    return await gateway.scheduler.post(
        OPTIMIZE_PATH, content=body, headers=headers, user=caller.user_id, account=caller.account_id
    )


async def handed_over(gateway: Gateway, caller: Identity, message: Any) -> UUID:
    """The job that solves a problem."""
    async with gateway.transaction() as con:
        return await jobs.create(
            con,
            queue=QUEUE,
            request={KIND: message},
            account_id=caller.account_id,
            user_id=caller.user_id,
            trace_context=tracing.carrier(),
        )


def is_problem(job: Job) -> bool:
    return job.queue == QUEUE and KIND in job.request
