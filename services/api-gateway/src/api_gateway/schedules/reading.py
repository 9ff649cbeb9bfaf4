"""The requested part of a schedule, in the requested unit and sign."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from math import nan

from flexcore.permissions.resources import ResourceRow
from flexcore.schedules.repository import ScheduleRow
from flexmodel.errors import Invalid
from flexmodel.problem import Array
from flexmodel.quantities import QuantityError, convert, is_power
from flexmodel.time import zone

from api_gateway.schedules.schemas import ScheduleQuery

DEFAULT_DURATION = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Part:
    """The requested part of a schedule."""

    start: datetime
    duration: timedelta
    unit: str
    values: Array


def part_of(row: ScheduleRow, sensor: ResourceRow, query: ScheduleQuery, default: timedelta = DEFAULT_DURATION) -> Part:
    """Return the schedule from its start, for the requested duration at most."""
    resolution = row.resolution
    values = [nan if value is None else value for value in row.event_values]
    instantaneous = not sensor.event_resolution
    steps = len(values) - 1 if instantaneous else len(values)
    start = row.start.astimezone(zone(sensor.timezone))
    asked = default if query.duration is None else length(query, start)
    steps = min(steps, asked // resolution)
    unit = query.unit or row.unit
    # States of charge are moments: the one at the end of the last step belongs to it.
    chosen = values[: steps + 1] if instantaneous else values[:steps]
    try:
        converted = convert(chosen, row.unit, unit, resolution)
    except QuantityError as error:
        raise Invalid({"unit": [f"Incompatible units: {row.unit} cannot be converted to {unit}."]}) from error
    return Part(
        start,
        steps * resolution,
        unit,
        converted * sign_of(row, query) + 0.0,
    )


def length(query: ScheduleQuery, start: datetime) -> timedelta:
    """Return the requested duration. Days have 24 hours, as in the trigger. Raises `Invalid` if it is out of range."""
    assert query.duration is not None
    try:
        asked = query.duration.from_start(start, timezone(start.utcoffset() or timedelta(0)))
    except (OverflowError, ValueError) as error:
        raise Invalid({"duration": ["This goes beyond the years 1 to 9999."]}) from error
    if asked < timedelta(0):
        raise Invalid({"duration": ["A duration cannot be negative."]})
    return asked


def sign_of(row: ScheduleRow, query: ScheduleQuery) -> int:
    """Return the factor from stored values to the requested sign. Only power has a direction."""
    if query.sign_convention == "wysiwyg" or not is_power(row.unit):
        return 1
    wanted = query.sign_convention == "consumption-positive"
    return 1 if row.consumption_positive == wanted else -1
