"""Daily rollups as continuous aggregates of TimescaleDB, one per time zone, because each has its own days.

A day that begins twice (in the Azores each autumn, when 1:00 becomes 0:00) loses its first hour when TimescaleDB
refreshes it. Time zones with such days are left to `flexstore.daily_rollups`.
"""

import hashlib
import re
from collections.abc import Sequence

from flexstore.store import Connection

SELECT_TIMEZONES = """
select timezone from (
    select timezone from sensor join pg_timezone_names known on known.name = sensor.timezone
    union select timezone from belief_day_until
) zone
where not exists (
    select from generate_series(timestamp '2000-01-01', localtimestamp, '1 day') midnight
    where (midnight at time zone timezone - interval '1 hour') at time zone timezone = midnight
)
order by timezone
"""
SELECT_AGGREGATES = """
select view_name from timescaledb_information.continuous_aggregates where hypertable_name = 'belief'
"""
CREATE_AGGREGATE = """
create materialized view {name} with (timescaledb.continuous, timescaledb.materialized_only = true) as
select sensor_id, source_id, time_bucket('1 day', event_start, {timezone}) as day,
    count(*) as beliefs, count(distinct event_start) as events, min(event_value) as minimum,
    max(event_value) as maximum, sum(event_value * power(2::float8, -64)) as total, min(event_start) as first_event,
    max(event_start) as last_event, max(belief_time) as last_belief
from belief group by sensor_id, source_id, day
with no data
"""
"""Sums are stored divided by 2^64, which is exact, so that an overflow of one sensor does not fail the others."""
SELECT_DAYS_OF_ZONE = """
select sensor_id, source_id, day, beliefs, events, minimum, maximum, total * power(2::float8, 64) as total,
    first_event, last_event, last_belief
from {name} join sensor on sensor.id = sensor_id and sensor.timezone = {timezone}
"""
SELECT_DAYS_OF_OTHER_ZONES = """
select belief_day.* from belief_day join sensor on sensor.id = sensor_id
where sensor.timezone <> all(array[{timezones}]::text[])
"""
SELECT_VIEW_ZONES = "select string_to_array(obj_description('belief_per_day'::regclass), ' ')"
"""The comment of the view lists the time zones whose aggregates it contains."""
DELETE_ROLLUPS = """
delete from belief_day using sensor where sensor.id = sensor_id and sensor.timezone = any($1::text[])
"""


def aggregate_name(timezone: str) -> str:
    """Build the name of the continuous aggregate of a time zone. It changes with the definition of the aggregate."""
    readable = re.sub(r"[^a-z0-9]+", "_", timezone.lower())[:30]
    return f"belief_day_{readable}_{hashlib.sha256((CREATE_AGGREGATE + timezone).encode()).hexdigest()[:8]}"


async def ensure_aggregates(con: Connection) -> list[str]:
    """Create a continuous aggregate for every time zone that can have one, and the view that unites them.

    Returns:
        These time zones.
    """
    zones = [row["timezone"] for row in await con.fetch(SELECT_TIMEZONES)]
    changed = sorted(set(zones) ^ set(await con.fetchval(SELECT_VIEW_ZONES) or ()))
    if not changed:
        return zones
    existing = {row["view_name"] for row in await con.fetch(SELECT_AGGREGATES)}
    literals = {zone: await _literal(con, zone) for zone in zones}
    names = {zone: aggregate_name(zone) for zone in zones}
    parts = [SELECT_DAYS_OF_ZONE.format(name=names[zone], timezone=literals[zone]) for zone in zones]
    parts.append(SELECT_DAYS_OF_OTHER_ZONES.format(timezones=", ".join(literals.values())))
    async with con.transaction():
        for zone in zones:
            if names[zone] not in existing:
                await con.execute(CREATE_AGGREGATE.format(name=names[zone], timezone=literals[zone]))
        # Rollups that were made before the change of zones, by us or by TimescaleDB, are no longer valid.
        await con.execute("delete from belief_day_until where timezone = any($1::text[])", changed)
        await con.execute(DELETE_ROLLUPS, changed)
        await con.execute(f"create or replace view belief_per_day as {' union all '.join(parts)}")
        await con.execute(f"comment on view belief_per_day is {await _literal(con, ' '.join(zones))}")
        for name in existing - set(names.values()):
            await con.execute(f"drop materialized view {name}")
    return zones


async def refresh_aggregates(con: Connection, zones: Sequence[str], timeout: float) -> None:  # noqa: ASYNC109 - the server enforces it
    """Refresh the aggregates of time zones, outside a transaction.

    TimescaleDB tracks which days have changed, and commits in between.
    """
    for row in await con.fetch("select timezone, until from belief_day_until where timezone = any($1::text[])", zones):
        name, until = aggregate_name(row["timezone"]), row["until"].isoformat()
        await con.execute(f"call refresh_continuous_aggregate('{name}', null, '{until}')", timeout=timeout)


async def _literal(con: Connection, text: str) -> str:
    literal: str = await con.fetchval("select quote_literal($1::text)", text)
    return literal
