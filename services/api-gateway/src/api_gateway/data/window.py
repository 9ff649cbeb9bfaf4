"""Windows of sensor data: validation of the request, and values in its unit and resolution."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flexcore.permissions.resources import ResourceRow
from flexmodel.errors import Invalid
from flexmodel.problem import Array, Window
from flexmodel.quantities import convert, is_convertible, is_currency, is_energy, is_valid_unit, tidy
from flexmodel.series import to_steps
from flexmodel.time import Duration
from flexstore import series
from flexstore.series import Series, SeriesQuery
from flexstore.store import Connection

from api_gateway.data import repository
from api_gateway.data.schemas import DataQuery

GRID_OF_INSTANTS = timedelta(minutes=5)
"""The steps of an instantaneous sensor when no resolution is requested."""
LONGEST = timedelta(days=400 * 365)
FIRST, LAST = datetime(2, 1, 1, tzinfo=UTC), datetime(9998, 12, 31, tzinfo=UTC)
"""Between these times, every time can be written in every time zone."""


@dataclass(frozen=True, slots=True)
class DataWindow:
    """A validated window of a sensor's data."""

    window: Window
    length: timedelta
    stated_resolution: timedelta
    query: SeriesQuery


def parse_window(sensor: ResourceRow, query: DataQuery, most_values: int) -> DataWindow:
    """Validate the query parameters for a sensor. Raises `Invalid` by parameter."""
    own = sensor.event_resolution
    length = length_of(query.duration, query.start, "duration")
    # Clients say "no resolution" for instantaneous sensors as zero.
    asked = None if query.resolution is None else positive(fixed(query.resolution, "resolution"), "resolution")
    step = asked or own or GRID_OF_INSTANTS
    steps = -(-length // step)
    if steps > most_values:
        raise Invalid({"duration": [f"This asks for {steps} values. At most {most_values} can be read at once."]})
    check_unit(sensor, query.unit, step)
    return DataWindow(
        Window(query.start, step, steps),
        length,
        step if asked or own else timedelta(0),
        SeriesQuery(
            sensor_id=sensor.id,
            start=query.start,
            end=end_of(query.start, steps * step, "duration"),
            resolution=own,
            prior=query.prior,
            horizon=None if query.horizon is None else fixed(query.horizon, "horizon"),
            sources=None if query.source is None else [query.source],
            types=None if query.source_type is None else [query.source_type],
            accounts=None if query.source_account is None else [query.source_account],
        ),
    )


def length_of(duration: Duration, start: datetime, field: str) -> timedelta:
    """Return the length of a duration from this start. Days have 24 hours, as in posted data."""
    try:
        length = duration.from_start(start)
    except (OverflowError, ValueError) as error:
        raise Invalid({field: ["This goes beyond the years 1 to 9999."]}) from error
    return positive(bounded(length, field), field)


def end_of(start: datetime, length: timedelta, field: str) -> datetime:
    """Return the end of a window of this length. Raises `Invalid` outside the supported years."""
    if start < FIRST:
        raise Invalid({"start": [f"Must not be before {FIRST.isoformat()}."]})
    if length > LAST - start:
        raise Invalid({field: [f"The window must not end after {LAST.isoformat()}."]})
    return start + length


def bounded(length: timedelta, field: str) -> timedelta:
    if abs(length) > LONGEST:
        raise Invalid({field: ["A duration cannot be longer than 400 years."]})
    return length


def positive(length: timedelta, field: str) -> timedelta:
    if length < timedelta(0):
        raise Invalid({field: ["A duration cannot be negative."]})
    return length


def fixed(duration: Duration, field: str) -> timedelta:
    """Return a duration whose length does not depend on its start. Raises `Invalid` for months and years."""
    if duration.years or duration.months:
        raise Invalid({field: ["Use days, hours, minutes or seconds: years and months differ in length."]})
    return bounded(timedelta(days=duration.days) + duration.rest, field)


def check_unit(sensor: ResourceRow, unit: str, step: timedelta) -> None:
    own = sensor.unit
    if not is_valid_unit(unit) or not (unit == own or is_convertible(own, unit, step)):
        raise Invalid({"_schema": [f"Required unit for this sensor is {own}, got incompatible unit: {unit}"]})


def resample(found: Series, sensor: ResourceRow, window: Window, unit: str) -> Array:
    """Return the values per step in the requested unit, NaN where there is none.

    Levels are averaged or repeated; amounts (energy, money) add up or are divided.
    """
    own, own_unit, step = sensor.event_resolution, sensor.unit, window.resolution
    stepped = to_steps(found.event_start, found.values, own, window)
    if own and step != own and (is_energy(own_unit) or is_currency(own_unit)):
        stepped = tidy(stepped * (step / own))
    return convert(stepped, own_unit, unit, step)


async def load_values(con: Connection, sensor: ResourceRow, asked: DataWindow, unit: str) -> Array:
    [found] = await series.load_series(con, [asked.query])
    if asked.query.types and not len(found):
        await check_type(con, sensor.id, asked.query.types[0])
    return resample(found, sensor, asked.window, unit)


async def check_type(con: Connection, sensor_id: int, source_type: str) -> None:
    """Raise `Invalid` if no source of the type has recorded data. Checked only when no values were found."""
    if not await repository.heard_of_type(con, sensor_id, source_type):
        sentence = f"No data source with source-type '{source_type}' has recorded any data on this sensor."
        raise Invalid({"source-type": [sentence]})
