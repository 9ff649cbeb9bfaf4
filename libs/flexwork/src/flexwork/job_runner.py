"""Running a job: claim it, show signs of life while a handler works on it, and store what came of it exactly once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from traceback import format_exception
from typing import Any
from uuid import UUID

from flexmodel.errors import FlexmeshError, Unavailable
from flexstore.store import Connection, Store
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from flexwork import jobs, outbox
from flexwork.jobs import LEASE_SECONDS, Job

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5.0
OUTCOME_RETRY_SECONDS = 60.0
"""Seconds that the outcome of finished work is kept in hand while the database is away."""
RELEASE_RETRY_SECONDS = 3.0
"""The same for giving a job back: the sweeper will find it anyway."""


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """A message to leave in the outbox when the job is done."""

    topic: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job. All of it is stored in one transaction, or nothing."""

    result: Mapping[str, Any] | None = None
    """The job result as the API shows it."""
    info: Mapping[str, Any] = field(default_factory=dict)
    """What else is known of the run; added to what the job had."""
    save: Callable[[Connection], Awaitable[Mapping[str, Any] | None]] | None = None
    """Writes what the job produced. What it returns is added to the result."""
    announcements: Sequence[OutboxMessage] = ()


type Handler = Callable[[Job, Store], Awaitable[Outcome]]
type OnFailure = Callable[[Connection, Job, str], Awaitable[None]]
"""Told of a job that failed and why, in the transaction that says so."""


async def run(
    store: Store,
    job_id: UUID,
    handler: Handler,
    *,
    on_failure: OnFailure | None = None,
    lease: float = LEASE_SECONDS,
    heartbeat: float = HEARTBEAT_SECONDS,
) -> str | None:
    """Do a job if it is to be done. Returns the state it is in now; None: it is not, or no longer, ours to do.

    Cancelled, or when a part it needs is away, the job goes back to the queue. Raises `Unavailable` when the database
    is away for so long that not even that can be written; the sweeper then puts the job back.
    """
    async with store.connection() as con:
        job = await jobs.claim(con, job_id, lease)
    if job is None:
        return None
    holder = ClaimHolder(store, job, on_failure)
    work = asyncio.ensure_future(handler(job, store))
    taken_over = asyncio.create_task(holder.send_heartbeats(heartbeat))
    try:
        await asyncio.wait((work, taken_over), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            log.warning("Job %s was taken over by another worker, so what is being done here is dropped", job.id)
            return None
        return await holder.finish(work.result())
    except asyncio.CancelledError:
        await _end(work)
        await holder.release(after=0.0)
        raise
    except Unavailable as error:
        log.warning("Job %s goes back to the queue: %s", job.id, error)
        return await holder.release(after=error.retry_after)
    except FlexmeshError as error:
        return await holder.fail(error.message)
    except Exception as error:
        log.exception("Job %s failed with an internal error", job.id)
        sentence = f"Internal error ({type(error).__name__}). Please report it together with the id of this job."
        return await holder.fail(sentence, "".join(format_exception(error)))
    finally:
        await _end(work)
        await _end(taken_over)


@dataclass(frozen=True, slots=True)
class ClaimHolder:
    """The one who has claimed a job. Once the claim is lost, nothing it writes has an effect."""

    store: Store
    job: Job
    on_failure: OnFailure | None = None

    @property
    def key(self) -> tuple[UUID, UUID]:
        assert self.job.claim is not None
        return self.job.id, self.job.claim

    async def send_heartbeats(self, every: float) -> None:
        """Returns when the claim is lost."""
        while True:
            await asyncio.sleep(every)
            try:
                async with self.store.connection() as con:
                    if not await jobs.heartbeat(con, *self.key):
                        return
            except Unavailable:
                continue  # Whether the claim survived that, the next heartbeat tells.

    async def finish(self, outcome: Outcome) -> str | None:
        async def write(con: Connection) -> bool:
            # First, because it locks the job: from here on nobody else can take it over.
            if not await jobs.finish(con, *self.key, outcome.result, outcome.info):
                return False
            if outcome.save is not None:
                more = await outcome.save(con)
                if more:
                    await jobs.add_result(con, self.job.id, more)
            for message in outcome.announcements:
                await outbox.put(con, message.topic, message.payload, headers=self.job.trace_context)
            return True

        return await self._write(write, "FINISHED", OUTCOME_RETRY_SECONDS)

    async def fail(self, sentence: str, traceback: str | None = None) -> str | None:
        async def write(con: Connection) -> bool:
            if not await jobs.fail(con, *self.key, sentence, traceback):
                return False
            if self.on_failure is not None:
                await self.on_failure(con, self.job, sentence)
            return True

        return await self._write(write, "FAILED", OUTCOME_RETRY_SECONDS)

    async def release(self, after: float) -> str | None:
        due_at = datetime.now(UTC) + timedelta(seconds=after)
        return await self._write(lambda con: jobs.release(con, *self.key, due_at), "QUEUED", RELEASE_RETRY_SECONDS)

    async def _write(self, write: Callable[[Connection], Awaitable[bool]], status: str, patience: float) -> str | None:
        """Write in one transaction, again if the database is away for a moment. Returns the state if it was ours."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(Unavailable),
            wait=wait_random_exponential(0.1, max=2.0),
            stop=stop_after_delay(patience),
            reraise=True,
        ):
            with attempt:
                async with self.store.transaction() as con:
                    ours = await write(con)
        return status if ours else None


async def _end(task: "asyncio.Future[Any]") -> None:
    """Cancel what is still being done and wait until it has ended."""
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()  # asyncio complains of exceptions that nobody looked at
