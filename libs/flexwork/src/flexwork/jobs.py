"""Jobs: units of work in the table `job`, with state and result. The table is the truth; the broker carries ids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from asyncpg import Record
from flexstore.store import Connection

from flexwork import activities, outbox
from flexwork.contracts import JOB_KEY, TASK_PREFIX, JobMessage, task_topic

LEASE_SECONDS = 15.0
"""Seconds without a heartbeat after which a worker counts as dead."""
SWEEP_LOCK = 0x666C6578_73776570  # "flexswep"


@dataclass(frozen=True, slots=True)
class Job:
    """A row of the table `job`, where the columns are explained."""

    id: UUID
    queue: str
    status: str
    account_id: int | None
    user_id: int | None
    asset_id: int | None
    sensor_id: int | None
    request: dict[str, Any]
    request_hash: str | None
    result: dict[str, Any] | None
    info: dict[str, Any]
    error: str | None
    traceback: str | None
    trace_context: dict[str, str]
    attempts: int
    claim: UUID | None
    created_at: datetime
    enqueued_at: datetime
    sent_at: datetime
    started_at: datetime | None
    heartbeat_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class SweepResult:
    """The numbers of jobs that a sweep has changed."""

    requeued: int = 0
    """Jobs whose worker died, and that another may try."""
    failed: int = 0
    """Jobs whose worker died too often."""
    reannounced: int = 0
    """Jobs announced again, because they waited long and their message may be lost."""


COLUMNS = ", ".join(f"job.{name}" for name in Job.__slots__)

WITH_ACTIVITY = f"recorded as ({activities.INSERT_FOR_CHANGED_JOBS})"
"""The common table expression that records the activity of a changed state. It follows every `changed as (…)`."""
CREATE = f"""
with changed as (
    insert into job (
        id, queue, account_id, user_id, asset_id, sensor_id, request, request_hash, info, trace_context
    )
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    returning *
), {WITH_ACTIVITY}
select from changed
"""  # noqa: S608 - put together from constants
GET = f"select {COLUMNS} from job where id = $1"  # noqa: S608 - put together from constants
CLAIM = f"""
with changed as (
    update job
    set status = 'STARTED', claim = $2, attempts = attempts + 1, started_at = now(), heartbeat_at = now()
    where id = (
        select id from job
        where id = $1 and (status = 'QUEUED' or status = 'STARTED' and heartbeat_at < now() - $3::interval)
        for update skip locked
    )
    returning *
), {WITH_ACTIVITY}
select {COLUMNS} from changed job
"""  # noqa: S608 - put together from constants
HEARTBEAT = "update job set heartbeat_at = now() where id = $1 and claim = $2"
FINISH = f"""
with changed as (
    update job set status = 'FINISHED', claim = null, ended_at = now(), result = $3, info = info || $4, error = null,
        traceback = null
    where id = $1 and claim = $2
    returning *
), {WITH_ACTIVITY}
select true from changed
"""  # noqa: S608 - put together from constants
FAIL = f"""
with changed as (
    update job set status = 'FAILED', claim = null, ended_at = now(), error = $3, traceback = $4, info = info || $5
    where id = $1 and claim = $2
    returning *
), {WITH_ACTIVITY}
select true from changed
"""  # noqa: S608 - put together from constants
ADD_RESULT = "update job set result = coalesce(result, '{}') || $2, ended_at = clock_timestamp() where id = $1"
RELEASE = f"""
with changed as (
    update job set status = 'QUEUED', claim = null, attempts = attempts - 1, started_at = null, heartbeat_at = null,
        sent_at = now()
    where id = $1 and claim = $2
    returning *
), {WITH_ACTIVITY}
select id, queue, trace_context from changed
"""  # noqa: S608 - put together from constants
FIND_EQUAL = f"""
select {COLUMNS} from job
where request_hash = $1 and account_id is not distinct from $2 and status = any($3::text[])
    and created_at > now() - $4::interval
order by created_at desc
limit 1
"""  # noqa: S608 - put together from constants
ONE_BY_ONE = "select pg_advisory_xact_lock(hashtextextended($1, 0))"
STALE = f"""
with changed as (
    update job
    set status = case when attempts < $2 then 'QUEUED' else 'FAILED' end,
        claim = null, heartbeat_at = null, sent_at = now(),
        started_at = case when attempts < $2 then null else started_at end,
        ended_at = case when attempts < $2 then null else now() end,
        error = case when attempts < $2 then null else
            format('The worker that ran this job stopped without a word, %s times in a row.', attempts) end
    where id in (
        select id from job where status = 'STARTED' and heartbeat_at < now() - $1::interval for update skip locked
    )
    returning *
), {WITH_ACTIVITY}
select id, queue, status, trace_context from changed
"""  # noqa: S608 - put together from constants
UNSENT = f"""
update job set sent_at = now()
where id in (
    select id from job
    where status = 'QUEUED' and sent_at < now() - $1::interval
        and not exists (
            select from outbox where topic = $2 || job.queue and payload ->> '{JOB_KEY}' = job.id::text
        )
    for update skip locked
)
returning id, queue, trace_context
"""  # noqa: S608 - put together from constants


async def create(
    con: Connection,
    *,
    queue: str,
    request: Mapping[str, Any],
    account_id: int | None = None,
    user_id: int | None = None,
    asset_id: int | None = None,
    sensor_id: int | None = None,
    request_hash: str | None = None,
    info: Mapping[str, Any] | None = None,
    trace_context: Mapping[str, str] | None = None,
    due_at: datetime | None = None,
) -> UUID:
    """Add a job and the message that announces it, both in the caller's transaction. Return the id of the job."""
    job_id = uuid4()
    await con.execute(
        CREATE, job_id, queue, account_id, user_id, asset_id, sensor_id, dict(request), request_hash,
        dict(info or {}), dict(trace_context or {}),
    )  # fmt: skip
    await _announce(con, {"id": job_id, "queue": queue, "trace_context": trace_context}, due_at)
    return job_id


async def get(con: Connection, job_id: UUID) -> Job | None:
    """Return a job; None if there is none."""
    row = await con.fetchrow(GET, job_id)
    return None if row is None else Job(*row)


async def claim(con: Connection, job_id: UUID, lease: float = LEASE_SECONDS) -> Job | None:
    """Claim a job. Its `claim` is the token for `heartbeat`, `finish`, `fail` and `release`.

    Return None if there is nothing to do: the job has ended, or another worker holds a claim with a heartbeat within
    the lease (in seconds).
    """
    row = await con.fetchrow(CLAIM, job_id, uuid4(), timedelta(seconds=lease))
    return None if row is None else Job(*row)


async def heartbeat(con: Connection, job_id: UUID, claim: UUID) -> bool:
    """Record a sign of life of the worker. Return False if it has lost the claim."""
    return await con.execute(HEARTBEAT, job_id, claim) == "UPDATE 1"


async def finish(
    con: Connection, job_id: UUID, claim: UUID, result: Mapping[str, Any] | None, info: Mapping[str, Any] | None = None
) -> bool:
    """Mark a job as finished, and add `info` to its own. Return False if the worker has lost the claim."""
    held = await con.fetchval(FINISH, job_id, claim, None if result is None else dict(result), dict(info or {}))
    return held is not None


async def add_result(con: Connection, job_id: UUID, more: Mapping[str, Any]) -> None:
    """Add to the result of a job that was finished in the same transaction."""
    # `ended_at` is set anew, because saving the result may have taken long.
    await con.execute(ADD_RESULT, job_id, dict(more))


async def fail(
    con: Connection,
    job_id: UUID,
    claim: UUID,
    error: str,
    traceback: str | None = None,
    info: Mapping[str, Any] | None = None,
) -> bool:
    """Mark a job as failed, with a sentence for the user. Return False if the worker has lost the claim."""
    return await con.fetchval(FAIL, job_id, claim, error, traceback, dict(info or {})) is not None


async def release(con: Connection, job_id: UUID, claim: UUID, due_at: datetime | None = None) -> bool:
    """Give a job back to its queue. The attempt does not count. Return False if the worker has lost the claim."""
    row = await con.fetchrow(RELEASE, job_id, claim)
    if row is not None:
        await _announce(con, row, due_at)
    return row is not None


async def find_equal(
    con: Connection,
    request_hash: str,
    account_id: int | None,
    *,
    within: timedelta,
    statuses: Sequence[str] = ("QUEUED", "STARTED", "FINISHED"),
) -> Job | None:
    """Return the newest job of the account with the same request, in one of the states, created recently.

    Call it in the transaction that creates the job if there is none: equal requests then wait for its end.
    """
    await con.execute(ONE_BY_ONE, request_hash)
    row = await con.fetchrow(FIND_EQUAL, request_hash, account_id, list(statuses), within)
    return None if row is None else Job(*row)


async def sweep(
    con: Connection, lease: float = LEASE_SECONDS, unsent_after: float = 60.0, max_attempts: int = 3
) -> SweepResult:
    """Put back the jobs of dead workers, and announce waiting jobs again whose message may be lost.

    Any process may sweep; an advisory lock admits one at a time. Announcing a job twice is harmless.

    Args:
        con: A connection; the sweep has a transaction of its own.
        lease: Seconds without a heartbeat after which a worker counts as dead.
        unsent_after: Seconds of waiting after which a job is announced again.
        max_attempts: The number of attempts after which a job fails.
    """
    async with con.transaction():
        if not await con.fetchval("select pg_try_advisory_xact_lock($1)", SWEEP_LOCK):
            return SweepResult()
        stale = await con.fetch(STALE, timedelta(seconds=lease), max_attempts)
        requeued = [row for row in stale if row["status"] == "QUEUED"]
        unsent = await con.fetch(UNSENT, timedelta(seconds=unsent_after), TASK_PREFIX)
        for job in (*requeued, *unsent):
            await _announce(con, job)
    return SweepResult(requeued=len(requeued), failed=len(stale) - len(requeued), reannounced=len(unsent))


async def _announce(con: Connection, job: Mapping[str, Any] | Record, due_at: datetime | None = None) -> None:
    message = JobMessage(job=job["id"])
    await outbox.put(con, task_topic(job["queue"]), message.to_payload(), due_at, job["trace_context"])
