"""Forgetting old values: for how long they are kept is said by the sensor, else by its account, else by the platform.

A sensor and an account say it in their attribute `retention`, as an ISO 8601 duration or `forever`. Values go when
their event has ended that long ago, at the earliest; what cannot be understood, or is said by nobody, keeps them.
"""

import logging
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

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
    """The events of a sensor that start before `before` are no longer kept."""

    sensor_id: int
    account_id: int | None
    before: datetime


def parse_retention(said: Any) -> Duration | None:
    """For how long to keep values; None: forever. Raises `Invalid` if that is not what was said."""
    if said == FOREVER:
        return None
    try:
        duration = parse_duration(said)
        length = datetime(2000, 1, 1, tzinfo=UTC) - duration.before(datetime(2000, 1, 1, tzinfo=UTC))
    except (TimeError, OverflowError, ValueError) as error:
        sentence = f"{said!r} is no length of time. Write an ISO 8601 duration such as P2Y, or {FOREVER}."
        raise Invalid({ATTRIBUTE: [sentence]}) from error
    if length < SHORTEST_RETENTION:
        raise Invalid({ATTRIBUTE: [f"{said} is shorter than a day, the shortest time for which values are kept."]})
    return duration


async def delete_expired(store: Store, default: timedelta | None = None, now: datetime | None = None) -> dict[int, int]:
    """Delete what need not be kept any more; how many beliefs, per sensor. Nothing while another process is at it."""
    async with store.connection() as con:
        if not await con.fetchval("select pg_try_advisory_lock($1)", LOCK):
            return {}
        try:
            # For this session, which is in nobody's way however long it takes.
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
    """What need not be kept. Whole days (in UTC) go at a time, so that most runs find nothing to do."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    found = []
    for row in await con.fetch(SELECT_RETENTIONS):
        try:
            keep = parse_retention(row["said"]) if row["said"] is not None else default
            if keep is None:
                continue
            since = today - keep if isinstance(keep, timedelta) else keep.before(today)
        except (Invalid, OverflowError, ValueError) as error:
            log.warning("Sensor %d keeps its values: its retention cannot be understood: %s", row["id"], error)
            continue
        found.append(Expiry(row["id"], row["account_id"], since - row["event_resolution"]))
    return found


async def _delete_rows(con: Connection, expiry: Expiry) -> int:
    """Delete row by row, a chunk of time after the other."""
    deleted = 0
    while first := await con.fetchval(SELECT_FIRST_EVENT, expiry.sensor_id, expiry.before):
        deleted += await series.delete_beliefs(
            con, expiry.sensor_id, first, min(first + timescale.CHUNK_INTERVAL, expiry.before)
        )
    return deleted


async def _drop_chunks(con: Connection, expiries: list[Expiry]) -> dict[int, int]:
    """Drop the chunks of time of which no sensor keeps anything, which is quicker than deleting their rows."""
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
    """Note in the log and in each account's audit log what was deleted."""
    accounts: dict[int | None, dict[int, Any]] = defaultdict(dict)
    for expiry in expiries:
        if deleted.get(expiry.sensor_id):
            accounts[expiry.account_id][expiry.sensor_id] = {
                "values": deleted[expiry.sensor_id],
                "before": expiry.before.isoformat(),
            }
    for account_id, sensors in accounts.items():
        count = sum(sensor["values"] for sensor in sensors.values())
        event = f"Deleted {count} values of {len(sensors)} sensors, which need not be kept any longer"
        log.info("%s (account %s)", event, account_id)
        await audit_log.record(con, event, account_id=account_id, details={"sensors": sensors})


SELECT_RETENTIONS = f"""
select sensor.id, asset.account_id, sensor.event_resolution,
    coalesce(
        nullif(sensor.attributes -> '{ATTRIBUTE}', 'null'), nullif(account.attributes -> '{ATTRIBUTE}', 'null')
    ) as said
from sensor join asset on asset.id = sensor.asset_id left join account on account.id = asset.account_id
order by sensor.id
"""  # noqa: S608 - put together from constants

SELECT_FIRST_EVENT = "select min(event_start) from belief where sensor_id = $1 and event_start < $2"
