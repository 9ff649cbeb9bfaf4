"""SQL about schedules and what they depend on."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID


async def get(con: Any, job_id: UUID, sensor_id: int) -> Any:
    """What the job scheduled for the sensor, if it did."""
    return await con.fetchrow(
        "select start, resolution, unit, consumption_positive, event_values from schedule"
        " where job_id = $1 and sensor_id = $2",
        job_id,
        sensor_id,
    )


async def fingerprint(
    con: Any, sensor_ids: Sequence[int], outputs: Sequence[int], start: datetime, end: datetime
) -> list[list[Any]]:
    """Per sensor a number that changes with its data in the window.

    What schedulers stored on outputs of the schedule itself does not count, or no schedule would be the same twice.
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


async def is_still_there(con: Any, job_id: UUID) -> bool:
    """Whether sensors still have what the job scheduled for them, as far as it did: data may have been deleted."""
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
