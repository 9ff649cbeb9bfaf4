"""Self-contained problems: passed on to the scheduler, or made a job if they take long."""

from uuid import UUID

from flexcore.permissions.identity import Identity
from flexserve import tracing
from flexserve.service_client import ServiceResponse
from flexwork import jobs
from flexwork.contracts import OPTIMIZE_KEY, OPTIMIZE_PATH, Queue
from flexwork.jobs import Job

from api_gateway.gateway import Gateway

QUEUE, KIND = Queue.SCHEDULE, OPTIMIZE_KEY
"""The queue, and the key of the problem in the request of the job."""
LONG = 202
"""The status of the scheduler for a problem that it could not solve at once."""


async def solve(gateway: Gateway, caller: Identity, body: bytes) -> ServiceResponse:
    """Return the scheduler's response to a problem. Raises `Invalid` if it is invalid or has no solution."""
    headers = {"Content-Type": "application/json"}
    return await gateway.scheduler.post(
        OPTIMIZE_PATH, content=body, headers=headers, user=caller.user_id, account=caller.account_id
    )


async def create_job(gateway: Gateway, caller: Identity, message: object) -> UUID:
    """Create the job that solves a problem, and return its id."""
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
