"""Statistics of a sensor: figures per source, staleness per type of source, and daily statistics.

Settled days are read from the daily rollups. A day is a day in the sensor's time zone. `flexstore.daily_rollups`
decides which days are rolled up, and how. Days that are not rolled up (yet, or again after a change) are computed from
the beliefs themselves, so the result is the same either way.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from flexstore.series.belief_queries import PRECEDENCE
from flexstore.series.binary_format import DatetimeArray, decode_float8, decode_int4, decode_int8, decode_timestamps
from flexstore.store import Connection


@dataclass(frozen=True, slots=True)
class SourceStatistics:
    """Statistics of all beliefs of one source about a sensor, including superseded ones."""

    source_id: int
    source_name: str
    first_event_start: datetime
    last_event_end: datetime
    last_recorded: datetime
    minimum: float
    maximum: float
    mean: float
    total: float
    count: int


@dataclass(frozen=True, slots=True)
class Staleness:
    """The end of the data of a sensor from one type of source."""

    source_type: str
    last_event_start: datetime
    last_event_end: datetime
    last_recorded: datetime


@dataclass(frozen=True, slots=True)
class DailyStatistics:
    """Statistics per day of the latest beliefs about a sensor. Days without known events are absent."""

    sensor_id: int
    day: DatetimeArray
    """The start of each day."""
    source: NDArray[np.int32]
    """The source of the beliefs, if loaded by source. Else the newest source among the latest beliefs of the day."""
    count: NDArray[np.int64]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    total: NDArray[np.float64]
    last_belief: DatetimeArray

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean value of each day."""
        return self.total / self.count

    def __len__(self) -> int:
        return len(self.day)


async def load_source_statistics(
    con: Connection, sensor_id: int, start: datetime | None = None, end: datetime | None = None
) -> list[SourceStatistics]:
    """Load statistics per source about the events of a sensor that start in [start, end).

    Args:
        con: A connection.
        sensor_id: The sensor.
        start: The start of the period. None: from the first event.
        end: The end of the period. None: to the last event.
    """
    return [SourceStatistics(*row) for row in await con.fetch(SELECT_SOURCE_STATISTICS, sensor_id, start, end)]


async def load_staleness(con: Connection, sensor_id: int) -> list[Staleness]:
    """Load the end of the data of a sensor, per type of source."""
    return [Staleness(*row) for row in await con.fetch(SELECT_STALENESS, sensor_id, None, None)]


async def load_daily_statistics(
    con: Connection,
    sensor_id: int,
    start: datetime | None = None,
    end: datetime | None = None,
    prior: datetime | None = None,
    *,
    by_source: bool = False,
) -> DailyStatistics:
    """Load statistics per day about the events of a sensor that start in [start, end).

    Args:
        con: A connection.
        sensor_id: The sensor.
        start: The start of the period, which may be within a day. None: from the first event.
        end: The end of the period, which may be within a day. None: to the last event.
        prior: Only beliefs with this belief time or an earlier one.
        by_source: Take the latest belief of each source, and return separate days for each.
    """
    row = await con.fetchrow(SELECT_DAILY_BY_SOURCE if by_source else SELECT_DAILY, sensor_id, start, end, prior)
    assert row is not None
    return DailyStatistics(
        sensor_id=sensor_id,
        day=decode_timestamps(row["day"]),
        source=decode_int4(row["source_id"]),
        count=decode_int8(row["events"]),
        minimum=decode_float8(row["minimum"]),
        maximum=decode_float8(row["maximum"]),
        total=decode_float8(row["total"]),
        last_belief=decode_timestamps(row["last_belief"]),
    )


def midnight_sql(time: str, timezone: str, days: int = 0) -> str:
    """Build SQL for the start of a local day. Days may have 23 or 25 hours.

    Of a midnight that occurs twice (in the Azores each autumn, when 1:00 becomes 0:00), the first is the start of the
    day. PostgreSQL by itself would take the second.

    Args:
        time: SQL for a time within the day.
        timezone: SQL for the time zone.
        days: The number of days to add.
    """
    local = f"(date_trunc('day', {time} at time zone {timezone}) + interval '{days} days')"
    second = f"({local} at time zone {timezone})"
    first = f"({second} - interval '1 hour')"
    return f"(case when {first} at time zone {timezone} = {local} then {first} else {second} end)"


# The days within [$2, $3) that can be read from rollups. A bound that is NULL means unbounded.
ROLLED_UP_DAYS = f"""
requested as materialized (
    select sensor.timezone,
        case when $2::timestamptz > $3::timestamptz then '{{}}' else tstzmultirange(tstzrange($2, $3)) end as span,
        case when made.until is not null and $2 is distinct from {midnight_sql("$2", "sensor.timezone")}
            then {midnight_sql("$2", "sensor.timezone", 1)} else $2 end as first_day,
        case when made.until is not null then {midnight_sql("least($3, made.until)", "sensor.timezone")} end as last_day
    from sensor left join belief_day_until made on made.timezone = sensor.timezone where sensor.id = $1
),
due as materialized (
    select coalesce(range_agg(tstzrange(
        {midnight_sql("first_event", "timezone")}, {midnight_sql("last_event", "timezone", 1)}
    )), '{{}}') as days
    from belief_day_due cross join requested where sensor_id = $1 and last_day is not null
),
whole as materialized (
    select case when last_day > coalesce(first_day, '-infinity')
        then tstzmultirange(tstzrange(first_day, last_day)) - due.days else '{{}}' end as days
    from requested cross join due
),
summed as (
    select belief_per_day.* from belief_per_day cross join whole
    where sensor_id = $1 and day >= coalesce($2, '-infinity') and day < coalesce($3, 'infinity') and day <@ whole.days
)
"""  # noqa: S608 - put together from constants


# The beliefs in a range that an outer query computes. `offset 0` prevents inlining, so that the index is used.
IN_SPAN = """
known.sensor_id = $1 and known.event_start >= coalesce(lower(span), '-infinity')
    and known.event_start < coalesce(upper(span), 'infinity')
"""

# Partial statistics per source: from rollups, and from the beliefs about the remaining days.
PARTS = f"""
{ROLLED_UP_DAYS},
parts as (
    select source_id, first_event, last_event, last_belief, minimum, maximum, total, beliefs from summed
    union all
    select source_id, min(event_start), max(event_start), max(belief_time), min(event_value), max(event_value),
        sum(event_value), count(*)
    from unnest((select requested.span - whole.days from requested cross join whole)) span
    cross join lateral (select * from belief known where {IN_SPAN} offset 0) rest
    group by source_id
)
"""  # noqa: S608 - put together from constants

SELECT_SOURCE_STATISTICS = f"""
with {PARTS}
select source.id, source.name, min(first_event), max(last_event) + sensor.event_resolution, max(last_belief),
    min(minimum), max(maximum), sum(total) / sum(beliefs), sum(total), sum(beliefs)::bigint
from parts join source on source.id = parts.source_id join sensor on sensor.id = $1
group by source.id, sensor.id
order by source.id
"""  # noqa: S608 - put together from constants

SELECT_STALENESS = f"""
with {PARTS}
select source.type, max(last_event), max(last_event) + sensor.event_resolution, max(last_belief)
from parts join source on source.id = parts.source_id join sensor on sensor.id = $1
group by source.type, sensor.id
order by source.type
"""  # noqa: S608 - put together from constants


def _daily_sql(partition: str, usable: str) -> str:
    """Build SQL for statistics per day of the latest beliefs.

    Args:
        partition: Further columns, after a comma, by which latest beliefs are partitioned.
        usable: A condition on days for which the rollup equals the statistics of the latest beliefs.
    """
    return f"""
        with {ROLLED_UP_DAYS},
        usable as materialized (
            select * from (
                select *, bool_and(beliefs = events) over day as uncorrected, count(*) over day as sources
                from summed where $4::timestamptz is null
                window day as (partition by day)
            ) days
            where {usable}
        ),
        rest as materialized (
            select unnest(requested.span - coalesce((
                select range_agg(tstzrange(
                    {midnight_sql("day", "requested.timezone")}, {midnight_sql("day", "requested.timezone", 1)}
                )) from usable
            ), '{{}}')) as span, requested.timezone from requested
        ),
        parts as (
            select day, source_id, events, minimum, maximum, total, last_belief from usable
            union all
            select date_trunc('day', event_start, timezone) as day, max(source_id), count(*), min(event_value),
                max(event_value), sum(event_value), max(belief_time)
            from rest cross join lateral (
                select distinct on (known.event_start{partition})
                    known.event_start, known.source_id, known.event_value, known.belief_time
                from belief known left join source on source.id = known.source_id
                where {IN_SPAN} and known.belief_time <= coalesce($4, 'infinity')
                order by known.event_start{partition}, {PRECEDENCE}
            ) known
            group by day{partition}
        )
        select
            array_send(array_agg({midnight_sql("day", "requested.timezone")})) as day,
            array_send(array_agg(source_id)) as source_id,
            array_send(array_agg(events)) as events, array_send(array_agg(minimum)) as minimum,
            array_send(array_agg(maximum)) as maximum, array_send(array_agg(total)) as total,
            array_send(array_agg(last_belief)) as last_belief
        from (select * from parts order by day, source_id) ordered cross join requested
    """  # noqa: S608 - put together from constants


SELECT_DAILY = _daily_sql(partition="", usable="uncorrected and sources = 1")
SELECT_DAILY_BY_SOURCE = _daily_sql(partition=", known.source_id", usable="uncorrected")
