"""SQL about schedules and what they depend on."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from flexstore.rows import Row
from flexstore.store import Connection


class ScheduleRow(Row):
    """The values that one job scheduled for one sensor, in the sensor's unit and sign."""

    start: datetime
    resolution: timedelta
    unit: str
    consumption_positive: bool | None
    event_values: list[float | None]


async def find(con: Connection, job_id: UUID, sensor_id: int) -> ScheduleRow | None:
    """Return the schedule that a job made for a sensor, or None."""
    return await con.fetchrow(
        "select start, resolution, unit, consumption_positive, event_values from schedule"
        " where job_id = $1 and sensor_id = $2",
        job_id,
        sensor_id,
        record_class=ScheduleRow,
    )


async def fingerprint(
    con: Connection, sensor_ids: Sequence[int], outputs: Sequence[int], start: datetime, end: datetime
) -> list[list[int | str]]:
    """Return a number per sensor that changes with its data in the window.

    Values that schedulers stored on outputs of the schedule itself do not count: no two schedules would be equal.
    """
    rows = await con.fetch(
        """select b.sensor_id, count(*), sum(hash_record_extended(
                      row(b.event_start, b.belief_time, b.source_id, b.cumulative_probability, b.event_value), 0))::text
           from belief b join source s on s.id = b.source_id
           where b.sensor_id = any($1::int[]) and b.event_start >= $3 and b.event_start < $4
             and not (s.type = 'scheduler' and b.sensor_id = any($2::int[]))
           group by b.sensor_id order by b.sensor_id""",
        list(sensor_ids), list(outputs), start, end,
    )  # fmt: skip
    return [list(row) for row in rows]


async def is_still_stored(con: Connection, job_id: UUID) -> bool:
    """Return whether sensors still have all values that a job scheduled: data may have been deleted since."""
    gone = await con.fetchval(
        """select exists (
               select from schedule made, unnest(made.event_values) with ordinality as step (value, number)
               where made.job_id = $1 and step.value is not null and step.value <> 'NaN' and not exists (
                   select from belief b join source s on s.id = b.source_id and s.type = 'scheduler'
                   where b.sensor_id = made.sensor_id
                     and b.event_start = made.start + (step.number - 1) * made.resolution
               )
           )""",
        job_id,
    )
    return not gone
