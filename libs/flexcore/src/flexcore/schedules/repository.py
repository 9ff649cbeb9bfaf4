"""SQL about schedules and what they depend on."""

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
