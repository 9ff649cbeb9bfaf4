"""Reading a schedule: the part, the unit and the sign that were asked for."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from flexmodel.errors import Invalid
from flexmodel.problem import Array
from flexmodel.quantities import QuantityError, convert, is_power
from flexmodel.time import zone

from api_gateway.schedules.schemas import ScheduleQuery

DEFAULT_DURATION = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a schedule that was asked for."""

    start: datetime
    duration: timedelta
    unit: str
    values: Array


def part_of(row: Any, sensor: Any, query: ScheduleQuery, default: timedelta = DEFAULT_DURATION) -> Part:
    """From the start, as long as was asked, at most all of it."""
    resolution: timedelta = row["resolution"]
    values = row["event_values"]
    instantaneous = not sensor["event_resolution"]
    steps = len(values) - 1 if instantaneous else len(values)
    start = row["start"].astimezone(zone(sensor["timezone"]))
    asked = default if query.duration is None else length(query, start)
    steps = min(steps, asked // resolution)
    unit = query.unit or row["unit"]
    # States of charge are moments: the one at the end of the last step belongs to it.
    chosen = values[: steps + 1] if instantaneous else values[:steps]
    try:
        converted = convert(chosen, row["unit"], unit, resolution)
    except QuantityError as error:
        raise Invalid({"unit": [f"Incompatible units: {row['unit']} cannot be converted to {unit}."]}) from error
    return Part(
        start,
        steps * resolution,
        unit,
        converted * sign(row, query) + 0.0,
    )


def length(query: ScheduleQuery, start: datetime) -> timedelta:
    """How long is asked for. Days have 24 hours, as in the trigger."""
    assert query.duration is not None
    try:
        asked = query.duration.from_start(start, timezone(start.utcoffset() or timedelta(0)))
    except (OverflowError, ValueError) as error:
        raise Invalid({"duration": ["This goes beyond the years 1 to 9999."]}) from error
    if asked < timedelta(0):
        raise Invalid({"duration": ["A duration cannot be negative."]})
    return asked


def sign(row: Any, query: ScheduleQuery) -> int:
    """What turns stored values into the sign asked for. Only power has a direction."""
    if query.sign_convention == "wysiwyg" or not is_power(row["unit"]):
        return 1
    wanted = query.sign_convention == "consumption-positive"
    return 1 if row["consumption_positive"] == wanted else -1
