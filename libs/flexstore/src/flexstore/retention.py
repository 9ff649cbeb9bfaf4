"""Retention of beliefs: expired ones are deleted.

The retention is set by the sensor, else by its account, else by the platform. Sensors and accounts set it in their
attribute `retention`, as an ISO 8601 duration or `forever`. Beliefs are deleted at the earliest when their event ended
that long ago. An invalid retention, or none, keeps them forever.
"""

import logging
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg
from flexmodel.errors import Invalid
from flexmodel.time import Duration, TimeError, parse_duration

from flexstore import audit_log, series, timescale
from flexstore.store import Connection, Store

log = logging.getLogger(__name__)

ATTRIBUTE = "retention"
FOREVER = "forever"
SHORTEST_RETENTION = timedelta(days=1)
LOCK = 0x666C6578_6F6C6465  # "flexolde"
LOCK_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Expiry:
    """The expired events of a sensor: those that start before `before`."""

    sensor_id: int
    account_id: int | None
    before: datetime


def parse_retention(value: object) -> Duration | None:
    """Parse the attribute `retention`.

    Returns:
        The duration for which to keep beliefs. None: forever.

    Raises:
        Invalid: It is no valid duration, or shorter than `SHORTEST_RETENTION`.
    """
    if value == FOREVER:
        return None
    not_a_duration = f"{value!r} is no length of time. Write an ISO 8601 duration such as P2Y, or {FOREVER}."
    if not isinstance(value, str):
        raise Invalid({ATTRIBUTE: [not_a_duration]})
    try:
        duration = parse_duration(value)
        length = datetime(2000, 1, 1, tzinfo=UTC) - duration.before(datetime(2000, 1, 1, tzinfo=UTC))
    except (TimeError, OverflowError, ValueError) as error:
        raise Invalid({ATTRIBUTE: [not_a_duration]}) from error
    if length < SHORTEST_RETENTION:
        raise Invalid({ATTRIBUTE: [f"{value} is shorter than a day, the shortest time for which values are kept."]})
    return duration


async def delete_expired(store: Store, default: timedelta | None = None, now: datetime | None = None) -> dict[int, int]:
    """Delete the beliefs about expired events. Does nothing while another process does so.

    Args:
        store: The database.
        default: The retention where neither the sensor nor its account sets one. None: forever.
        now: The current time, for tests.

    Returns:
        The number of deleted beliefs by sensor id.
    """
    async with store.connection() as con:
        if not await con.fetchval("select pg_try_advisory_lock($1)", LOCK):
            return {}
        try:
            # Only for this session. It blocks no other statement, however long it takes.
            await con.execute("select set_config('statement_timeout', '0', false)")
            expiries = await load_expiries(con, default, now or datetime.now(UTC))
            deleted = await _drop_chunks(con, expiries)
            for expiry in expiries:
                deleted[expiry.sensor_id] += await _delete_rows(con, expiry)
            await _record_deletions(con, expiries, deleted)
        finally:
            await con.execute("reset statement_timeout")
            await con.execute("select pg_advisory_unlock($1)", LOCK)
    return {sensor: count for sensor, count in deleted.items() if count}


async def load_expiries(con: Connection, default: timedelta | None, now: datetime) -> list[Expiry]:
    """Load the expired events of each sensor. Whole days (in UTC) expire at a time, so that most runs find none."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    expiries = []
    for row in await con.fetch(SELECT_RETENTIONS):
        try:
            keep = parse_retention(row["retention"]) if row["retention"] is not None else default
            if keep is None:
                continue
            since = today - keep if isinstance(keep, timedelta) else keep.before(today)
        except (Invalid, OverflowError, ValueError) as error:
            log.warning("Sensor %d keeps its values: its retention cannot be understood: %s", row["id"], error)
            continue
        expiries.append(Expiry(row["id"], row["account_id"], since - row["event_resolution"]))
    return expiries


async def _delete_rows(con: Connection, expiry: Expiry) -> int:
    """Delete expired beliefs of a sensor row by row, one chunk interval at a time."""
    deleted = 0
    while first := await con.fetchval(SELECT_FIRST_EVENT, expiry.sensor_id, expiry.before):
        deleted += await series.delete_beliefs(
            con, expiry.sensor_id, first, min(first + timescale.CHUNK_INTERVAL, expiry.before)
        )
    return deleted


async def _drop_chunks(con: Connection, expiries: list[Expiry]) -> dict[int, int]:
    """Drop the chunks in which everything is expired, which is faster than deleting their rows."""
    deleted: dict[int, int] = defaultdict(int)
    before = {expiry.sensor_id: expiry.before for expiry in expiries}
    if not before or not await timescale.is_enabled(con):
        return deleted
    for chunk in await timescale.load_chunks_until(con, max(before.values())):
        try:
            async with con.transaction():
                await con.execute(f"set local lock_timeout = '{LOCK_SECONDS}s'")
                for sensor, count in (await timescale.drop_chunk(con, chunk, before)).items():
                    deleted[sensor] += count
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            log.info("The values of %s are in use and will be dropped next time.", chunk.name)
    return deleted


async def _record_deletions(con: Connection, expiries: list[Expiry], deleted: dict[int, int]) -> None:
    """Record the deletions in the log and in the audit log of each account."""
    accounts: dict[int | None, dict[int, Expiry]] = defaultdict(dict)
    for expiry in expiries:
        if deleted.get(expiry.sensor_id):
            accounts[expiry.account_id][expiry.sensor_id] = expiry
    for account_id, expired in accounts.items():
        count = sum(deleted[sensor] for sensor in expired)
        sensors = {
            sensor: {"values": deleted[sensor], "before": expiry.before.isoformat()}
            for sensor, expiry in expired.items()
        }
        event = f"Deleted {count} values of {len(sensors)} sensors, which need not be kept any longer"
        log.info("%s (account %s)", event, account_id)
        await audit_log.record(con, event, account_id=account_id, details={"sensors": sensors})


SELECT_RETENTIONS = f"""
select sensor.id, asset.account_id, sensor.event_resolution,
    coalesce(
        nullif(sensor.attributes -> '{ATTRIBUTE}', 'null'), nullif(account.attributes -> '{ATTRIBUTE}', 'null')
    ) as retention
from sensor join asset on asset.id = sensor.asset_id left join account on account.id = asset.account_id
order by sensor.id
"""  # noqa: S608 - put together from constants

SELECT_FIRST_EVENT = "select min(event_start) from belief where sensor_id = $1 and event_start < $2"
