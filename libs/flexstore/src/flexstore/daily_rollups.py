"""Daily rollups of beliefs, so that statistics over years need not read every belief.

A day is rolled up once it is settled. A statement that later changes such a day marks it as due in `belief_day_due`;
statistics read its beliefs themselves until `refresh`, which runs periodically, has rolled it up again. TimescaleDB
rolls up with continuous aggregates where its licence includes them and they can handle the time zone. All other days
are rolled up here, with plain SQL.
"""

import logging
from datetime import timedelta

import asyncpg

from flexstore import continuous_aggregates, timescale
from flexstore.series.belief_writes import LATE_AFTER
from flexstore.series.statistics import midnight_sql
from flexstore.store import Connection, Store

log = logging.getLogger(__name__)

SETTLED_AFTER = LATE_AFTER + timedelta(days=2)
"""The time after its start at which a day is rolled up. It is more than a day longer than `LATE_AFTER`, so that writers
that saw the day as too recent to mark as due have finished long before."""
LOCK = 0x666C6578_64617973  # "flexdays"
STATEMENT_SECONDS = 3600.0
"""The time limit of one statement: a sensor may have many millions of beliefs."""


async def refresh(store: Store) -> int:
    """Roll up the days that are due. Does nothing while another process does so.

    Returns:
        The number of sensors with days that were due.
    """
    async with store.connection() as con:
        if not await con.fetchval("select pg_try_advisory_lock($1)", LOCK):
            return 0
        try:
            # Only for this session: no other statement may take that long.
            await con.execute("select set_config('statement_timeout', $1, false)", f"{STATEMENT_SECONDS:.0f}s")
            return await _refresh(con)
        finally:
            await con.execute("reset statement_timeout")
            await con.execute("select pg_advisory_unlock($1)", LOCK)


async def _refresh(con: Connection) -> int:
    zones = await continuous_aggregates.ensure_aggregates(con) if await timescale.is_fully_enabled(con) else []
    await con.execute(ADVANCE_SETTLED, SETTLED_AFTER)
    sensors = await con.fetch(SELECT_OWN_SENSORS, zones)
    for row in sensors:
        await _roll_up(con, row["sensor_id"])
    due = await con.fetch(SELECT_TIMESCALE_DUE, zones)
    if due:
        await continuous_aggregates.refresh_aggregates(con, zones, STATEMENT_SECONDS)
        await con.execute("delete from belief_day_due where id = any($1::bigint[])", [row["id"] for row in due])
    return len(sensors) + len({row["sensor_id"] for row in due})


async def _roll_up(con: Connection, sensor_id: int) -> None:
    """Roll up the due days of a sensor, in one snapshot, so that days marked meanwhile stay due."""
    try:
        async with con.transaction(isolation="repeatable_read"):
            days = await con.fetchval(TAKE_DUE_DAYS, sensor_id)
            await con.execute(DELETE_ROLLUPS, sensor_id, days, timeout=STATEMENT_SECONDS)
            await con.execute(INSERT_ROLLUPS, sensor_id, days, timeout=STATEMENT_SECONDS)
    except (asyncpg.SerializationError, asyncpg.DataError) as error:
        # The sensor was deleted, its time zone is unknown to this database, or the sum of its values overflows.
        log.warning("The days of sensor %d are not summed up now: %s", sensor_id, error)


# Days that are due, in the given time zones (left to TimescaleDB) or in all others.
FROM_DUE = (
    "from belief_day_due left join sensor on sensor.id = sensor_id where coalesce(timezone = any($1::text[]), false)"
)
SELECT_OWN_SENSORS = f"select distinct sensor_id {FROM_DUE} = false order by sensor_id"
SELECT_TIMESCALE_DUE = f"select belief_day_due.id, sensor_id {FROM_DUE}"

# In new time zones, all settled days become due; in the others, those that have settled since the last run.
ADVANCE_SETTLED = """
with settled as (
    select timezone, made.until as before, date_trunc('day', now() - $1::interval, 'UTC') as until
    from (select distinct timezone from sensor) zone join pg_timezone_names known on known.name = timezone
    left join belief_day_until made using (timezone)
), advanced as (
    insert into belief_day_until (timezone, until) select timezone, until from settled
    on conflict (timezone) do update set until = excluded.until where belief_day_until.until < excluded.until
)
insert into belief_day_due (sensor_id, first_event, last_event)
select sensor.id, coalesce(before, '-infinity'), until
from settled join sensor using (timezone)
where (before is null or before < until) and exists (
    select from belief
    where sensor_id = sensor.id and event_start >= coalesce(before, '-infinity') and event_start < until
)
"""

TAKE_DUE_DAYS = f"""
with taken as (delete from belief_day_due where sensor_id = $1 returning first_event, last_event)
select coalesce(array_agg(days), '{{}}') from (
    select unnest(range_agg(tstzrange(
        {midnight_sql("first_event", "timezone")}, {midnight_sql("last_event", "timezone", 1)}
    ))) as days
    from taken join sensor on sensor.id = $1
) due
"""  # noqa: S608 - put together from constants

DELETE_ROLLUPS = """
delete from belief_day using unnest($2::tstzrange[]) days where sensor_id = $1 and day <@ days
"""

INSERT_ROLLUPS = """
insert into belief_day (
    sensor_id, source_id, day, beliefs, events, minimum, maximum, total, first_event, last_event, last_belief
)
select sensor.id, known.source_id, date_trunc('day', known.event_start, sensor.timezone) as day,
    count(*), count(distinct known.event_start), min(known.event_value), max(known.event_value),
    sum(known.event_value), min(known.event_start), max(known.event_start), max(known.belief_time)
from sensor join belief_day_until made using (timezone)
cross join unnest($2::tstzrange[]) days
join belief known on known.sensor_id = $1 and known.event_start >= coalesce(lower(days), '-infinity')
    and known.event_start < least(upper(days), made.until + interval '1 day')
where sensor.id = $1
group by sensor.id, known.source_id, day
"""
