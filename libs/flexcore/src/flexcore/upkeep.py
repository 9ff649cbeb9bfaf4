"""Upkeep duties of the platform's tables: deleting expired rows, and maintaining stored values."""

from dataclasses import dataclass
from datetime import timedelta

from flexstore import daily_rollups, retention, timescale
from flexstore.store import Store
from flexwork import activity_log
from flexwork.upkeep import HOURLY, Upkeep

from flexcore.credentials import repository as credentials

DELETE_RATE_LIMITS = "delete from rate_limit where window_start < now() - interval '1 hour'"
DELETE_IDEMPOTENCY_KEYS = "delete from idempotency_key where created_at < now() - interval '1 day'"
DELETE_UPLOAD_CHUNKS = """
delete from upload_chunk using job
where job.id = upload_chunk.job_id and job.status not in ('QUEUED', 'DEFERRED', 'STARTED')
"""
"""For jobs that were given up: whoever ends a job in the ordinary way deletes its files as well."""
EXPIRED_ROWS = (DELETE_RATE_LIMITS, DELETE_IDEMPOTENCY_KEYS, credentials.FORGET, DELETE_UPLOAD_CHUNKS)


@dataclass(frozen=True, slots=True)
class KeepingTimes:
    """The times for which rows are kept."""

    values: timedelta | None
    """Values whose sensor and account say nothing; None: forever."""
    activities: timedelta
    most_activities: int
    uncompressed: timedelta
    """Age of events at which TimescaleDB compresses their values."""


def register_duties(upkeep: Upkeep, store: Store, times: KeepingTimes) -> None:
    """Add the duties of the platform's tables."""

    async def delete_old_activities() -> None:
        async with store.connection() as con:
            await activity_log.delete_old(con, times.activities, times.most_activities)

    async def compress() -> None:
        async with store.connection() as con:
            await timescale.compress_after(con, times.uncompressed)

    async def refresh_rollups() -> None:
        await daily_rollups.refresh(store)

    async def delete_expired_values() -> None:
        await retention.delete_expired(store, times.values)

    upkeep.register("expired rows", HOURLY, lambda: delete_expired_rows(store))
    upkeep.register("old activities", HOURLY, delete_old_activities)
    upkeep.register("compression", HOURLY, compress)
    upkeep.register("retention", HOURLY, delete_expired_values)
    upkeep.register("daily rollups", HOURLY, refresh_rollups)


async def delete_expired_rows(store: Store) -> None:
    """Delete rate limits, idempotency keys, tokens and uploaded files that have no use any more."""
    async with store.connection() as con:
        for statement in EXPIRED_ROWS:
            await con.execute(statement)
