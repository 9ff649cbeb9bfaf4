"""Single beliefs: the latest, the nearest; and deleting."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flexstore.series.belief_batch import MARK_DUE
from flexstore.series.belief_queries import PRECEDENCE
from flexstore.store import Connection


@dataclass(frozen=True, slots=True)
class SensorValue:
    """One event and the belief about it that counts."""

    sensor_id: int
    event_start: datetime
    belief_time: datetime
    source_id: int
    value: float


async def load_latest_values(
    con: Connection, sensor_ids: Sequence[int], at: datetime | None = None, prior: datetime | None = None
) -> dict[int, SensorValue]:
    """The last known event of each sensor that starts at `at` or before. Sensors without one are left out."""
    rows = await con.fetch(SELECT_LATEST_VALUES, list(sensor_ids), at, prior)
    return {row["sensor_id"]: SensorValue(*row) for row in rows}


async def load_nearest_value(
    con: Connection, sensor_id: int, at: datetime, radius: timedelta, prior: datetime | None = None
) -> SensorValue | None:
    """The known event that starts nearest to a moment, at most `radius` away. Of two as near, the later."""
    row = await con.fetchrow(SELECT_NEAREST_VALUE, sensor_id, at, radius, prior)
    return None if row is None else SensorValue(*row)


async def delete_beliefs(
    con: Connection,
    sensor_id: int,
    start: datetime | None = None,
    end: datetime | None = None,
    source_id: int | None = None,
) -> int:
    """Delete the beliefs about the events of a sensor that start in [start, end), of one source or of all.

    Returns how many there were.
    """
    deleted: int = await con.fetchval(DELETE_BELIEFS, sensor_id, start, end, source_id)
    return deleted


def _first_event_sql(sensor: str, prior: str, when: str, order: str) -> str:
    """SQL for the first event in this order, of those that start when they should."""
    return f"""
        select known.sensor_id, known.event_start, known.belief_time, known.source_id, known.event_value
        from belief known left join source on source.id = known.source_id
        where known.sensor_id = {sensor} and known.event_start {when}
            and known.belief_time <= coalesce({prior}::timestamptz, 'infinity')
        order by known.event_start {order}, {PRECEDENCE}
        limit 1
    """  # noqa: S608 - put together from constants


SELECT_LATEST_VALUES = f"""
select point.* from unnest($1::int[]) as asked (sensor_id) cross join lateral (
    {_first_event_sql("asked.sensor_id", "$3", "<= coalesce($2::timestamptz, 'infinity')", "desc")}
) point
"""  # noqa: S608 - put together from constants

SELECT_NEAREST_VALUE = f"""
select * from (
    ({_first_event_sql("$1", "$4", "between $2::timestamptz - $3::interval and $2", "desc")})
    union all
    ({_first_event_sql("$1", "$4", "between $2 and $2::timestamptz + $3::interval", "asc")})
) point
order by greatest(event_start - $2, $2 - event_start), event_start desc
limit 1
"""  # noqa: S608 - put together from constants

DELETE_BELIEFS = f"""
with gone as (
    delete from belief where sensor_id = $1 and event_start >= coalesce($2::timestamptz, '-infinity')
        and event_start < coalesce($3::timestamptz, 'infinity') and ($4::int is null or source_id = $4)
    returning sensor_id, event_start
), {MARK_DUE.format(changed="gone")}
select count(*) from gone
"""  # noqa: S608 - put together from constants
