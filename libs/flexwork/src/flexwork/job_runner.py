"""The job runner: claims a job, sends heartbeats while a handler works on it, and stores the outcome exactly once."""

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
"""Seconds for which writing an outcome is retried while the database is away."""
RELEASE_RETRY_SECONDS = 3.0
"""The same for giving a job back. It is shorter, because the sweep finds the job anyway."""


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """A message for the outbox, stored with the outcome of a job."""

    topic: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a job. It is stored in one transaction, as a whole or not at all."""

    result: Mapping[str, Any] | None = None
    """The result of the job, as in the API."""
    info: Mapping[str, Any] = field(default_factory=dict)
    """Further details of the run, added to the `info` of the job."""
    save: Callable[[Connection], Awaitable[Mapping[str, Any] | None]] | None = None
    """Writes the data of the job, and may return entries to add to the result."""
    announcements: Sequence[OutboxMessage] = ()


type Handler = Callable[[Job, Store], Awaitable[Outcome]]
type OnFailure = Callable[[Connection, Job, str], Awaitable[None]]
"""Called with a failed job and its error sentence, in the transaction that marks it as failed."""


async def run(
    store: Store,
    job_id: UUID,
    handler: Handler,
    *,
    on_failure: OnFailure | None = None,
    lease: float = LEASE_SECONDS,
    heartbeat: float = HEARTBEAT_SECONDS,
) -> str | None:
    """Run a job if it can be claimed. Return its new state; None if it belongs to another worker or has ended.

    If the run is cancelled, or a part it needs is away, the job goes back to the queue.

    Args:
        store: The store with the job.
        job_id: The id of the job.
        handler: Does the work.
        on_failure: Called when the job fails.
        lease: Seconds without a heartbeat after which another worker may claim the job.
        heartbeat: Seconds between two heartbeats.

    Raises:
        Unavailable: The database is away for too long to store anything. The sweep then puts the job back.
    """
    async with store.connection() as con:
        job = await jobs.claim(con, job_id, lease)
    if job is None:
        return None
    holder = ClaimHolder(store, job, on_failure)
    work = asyncio.ensure_future(handler(job, store))
    heartbeats = asyncio.create_task(holder.send_heartbeats(heartbeat))
    try:
        await asyncio.wait((work, heartbeats), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            log.warning("Job %s was taken over by another worker, so what is being done here is dropped", job.id)
            return None
        return await holder.finish(work.result())
    except asyncio.CancelledError:
        await _cancel(work)
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
        await _cancel(work)
        await _cancel(heartbeats)


@dataclass(frozen=True, slots=True)
class ClaimHolder:
    """The holder of the claim of a job. Once the claim is lost, its writes have no effect."""

    store: Store
    job: Job
    on_failure: OnFailure | None = None

    @property
    def key(self) -> tuple[UUID, UUID]:
        assert self.job.claim is not None
        return self.job.id, self.job.claim

    async def send_heartbeats(self, every: float) -> None:
        """Send heartbeats until the claim is lost."""
        while True:
            await asyncio.sleep(every)
            try:
                async with self.store.connection() as con:
                    if not await jobs.heartbeat(con, *self.key):
                        return
            except Unavailable:
                continue  # the next heartbeat finds out if the claim is lost

    async def finish(self, outcome: Outcome) -> str | None:
        async def write(con: Connection) -> bool:
            # This comes first, because it locks the job: nobody else can take it over from now on.
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

    async def _write(
        self, write: Callable[[Connection], Awaitable[bool]], status: str, retry_seconds: float
    ) -> str | None:
        """Write in one transaction, with retries. Return the state; None if the claim is lost."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(Unavailable),
            wait=wait_random_exponential(0.1, max=2.0),
            stop=stop_after_delay(retry_seconds),
            reraise=True,
        ):
            with attempt:
                async with self.store.transaction() as con:
                    held = await write(con)
        return status if held else None


async def _cancel(task: "asyncio.Future[Any]") -> None:
    """Cancel a task and wait until it has ended."""
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()  # asyncio logs exceptions that were never retrieved
