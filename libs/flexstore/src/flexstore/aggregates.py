"""Daily statistics as continuous aggregates of TimescaleDB, one per time zone: it sums up days of one zone only."""

import hashlib
import re

from flexstore.store import Connection

ZONES = """
select timezone from sensor join pg_timezone_names known on known.name = sensor.timezone
union select timezone from belief_day_until
order by timezone
"""
AGGREGATES = """
select view_name from timescaledb_information.continuous_aggregates where hypertable_name = 'belief'
"""
AGGREGATE = """
create materialized view {name} with (timescaledb.continuous, timescaledb.materialized_only = true) as
select sensor_id, source_id, time_bucket('1 day', event_start, {timezone}) as day,
    count(*) as beliefs, count(distinct event_start) as events, min(event_value) as minimum,
    max(event_value) as maximum, sum(event_value) as total, min(event_start) as first_event,
    max(event_start) as last_event, max(belief_time) as last_belief
from belief group by sensor_id, source_id, day
with no data
"""
DAYS_OF_ZONE = """
select {name}.* from {name} join sensor on sensor.id = {name}.sensor_id and sensor.timezone = {timezone}
"""


def name_of(timezone: str) -> str:
    """What the continuous aggregate of the days of a time zone is called."""
    readable = re.sub(r"[^a-z0-9]+", "_", timezone.lower())[:30]
    return f"belief_day_{readable}_{hashlib.sha256(timezone.encode()).hexdigest()[:8]}"


async def ensure(con: Connection) -> None:
    """An aggregate for every time zone that sensors are in, and the view that shows each sensor the days of its own."""
    zones = [row["timezone"] for row in await con.fetch(ZONES)]
    there = {row["view_name"] for row in await con.fetch(AGGREGATES)}
    missing = [zone for zone in zones if name_of(zone) not in there]
    if not missing:
        return
    parts = [DAYS_OF_ZONE.format(name=name_of(zone), timezone=await _literal(con, zone)) for zone in zones]
    async with con.transaction():
        for zone in missing:
            await con.execute(AGGREGATE.format(name=name_of(zone), timezone=await _literal(con, zone)))
            # What was summed up here before TimescaleDB came no longer counts.
            await con.execute("delete from belief_day_until where timezone = $1", zone)
        await con.execute(f"create or replace view belief_per_day as {' union all '.join(parts)}")
        await con.execute("truncate belief_day")


async def refresh(con: Connection, timeout: float) -> None:  # noqa: ASYNC109 - it is the server's to keep
    """Sum up what changed. TimescaleDB knows what did, and commits on its way, so this is no part of a transaction."""
    for row in await con.fetch("select timezone, until from belief_day_until"):
        name, until = name_of(row["timezone"]), row["until"].isoformat()
        await con.execute(f"call refresh_continuous_aggregate('{name}', null, '{until}')", timeout=timeout)


async def _literal(con: Connection, text: str) -> str:
    literal: str = await con.fetchval("select quote_literal($1::text)", text)
    return literal
