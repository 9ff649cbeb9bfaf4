"""Conversion of a list of values into events of a sensor: resolution, clock and belief times, on arrays.

Values may have several rows, which are resampled together. Time runs along the last axis.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from math import gcd

import numpy as np
import polars as pl
from flexmodel.errors import Invalid
from flexmodel.time import Instants, instant, steps
from numpy.typing import NDArray

Values = NDArray[np.float64]

MICROSECOND = timedelta(microseconds=1)
DAY = timedelta(days=1) // MICROSECOND


@dataclass(frozen=True, slots=True)
class EventValues:
    """Start and value of each event, in the sensor's unit and resolution."""

    starts: Instants
    values: Values

    def drop_missing(self) -> "EventValues":
        """Return the events that have a value."""
        known = ~np.isnan(self.values)
        return self if known.all() else EventValues(self.starts[known], self.values[known])


def schema_error(sentence: str) -> Invalid:
    """Build an error that concerns several fields together and so has no field of its own."""
    return Invalid({"_schema": [sentence]})


def check_clock(start: datetime, resolution: timedelta, zone: tzinfo) -> None:
    """Refuse a window that does not start on the sensor's clock.

    The clock ticks from midnight, in the sensor's time zone or in that of the given start. Resolutions longer than a
    day tick every day.
    """
    tick = resolution // MICROSECOND
    if not tick or is_on_tick(start, tick) or is_on_tick(start.astimezone(zone), tick):
        return
    raise Invalid(
        {"start": [f"{start.isoformat()} is not on the clock of this sensor, which ticks every {resolution}."]},
    )


def is_on_tick(time: datetime, tick: int) -> bool:
    """Return whether a wall time is a multiple of `tick` microseconds after midnight."""
    wall = timedelta(hours=time.hour, minutes=time.minute, seconds=time.second, microseconds=time.microsecond)
    return wall // MICROSECOND % gcd(tick, DAY) == 0


def spread_evenly(start: datetime, duration: timedelta, values: Values) -> EventValues:
    """Return events of an instantaneous sensor, spaced evenly over the window."""
    count = values.shape[-1]
    if count > 1 and not duration:
        raise schema_error(
            "Several values at one moment would overlap: a duration of zero fits a single value. "
            "Send one value, or the duration that the values span."
        )
    spacing, rest = divmod(duration // MICROSECOND, count)
    if rest:
        raise schema_error(f"{count} values cannot be spread evenly over {duration}.")
    return EventValues(steps(start, spacing * MICROSECOND, count), values)


def count_slots(count: int, duration: timedelta, resolution: timedelta) -> int:
    """Return the number of the sensor's events in the window.

    Raises:
        Invalid: The spacing of the values is neither a multiple nor a fraction of the resolution.
    """
    slots, rest = divmod(duration, resolution)
    spacing_is_whole = duration // MICROSECOND % count == 0
    if spacing_is_whole and not rest and slots and (slots % count == 0 or count % slots == 0):
        return slots
    spacing = duration / count
    if spacing_is_whole and spacing and not (spacing % resolution and resolution % spacing):
        raise schema_error(f"The window of {duration} is not a whole number of the sensor's events of {resolution}.")
    raise schema_error(
        f"Resolution of {spacing} is incompatible with the sensor's required resolution of {resolution}."
    )


def resample(values: Values, slots: int, *, additive: bool) -> Values:
    """Resample values to `slots` events.

    Finer values are averaged and coarser ones repeated. Additive values are summed and divided instead.
    """
    count = values.shape[-1]
    if slots == count:
        return values
    if slots > count:
        times = slots // count
        return np.repeat(values / times if additive else values, times, axis=-1)
    parts = values.reshape(*values.shape[:-1], slots, -1)
    sums: Values = parts.sum(axis=-1)
    return sums if additive else mean_ignoring_missing(parts)


def mean_ignoring_missing(parts: Values) -> Values:
    """Return the mean of each row without its missing values; NaN for a row without any value."""
    known = ~np.isnan(parts)
    counts = known.sum(axis=-1)
    sums = np.where(known, parts, 0.0).sum(axis=-1)
    means: Values = np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0)
    return means


def compute_belief_times(
    starts: Instants, resolution: timedelta, *, prior: datetime | None, horizon: timedelta | None, now: datetime
) -> np.datetime64 | Instants:
    """Return the belief times: `prior` for all, else `horizon` before the end of each event, else `now`."""
    if prior is None and horizon is not None:
        times: Instants = starts + np.timedelta64((resolution - horizon) // MICROSECOND, "us")
        return times
    return instant(prior or now)


def event_start(time: pl.Expr, resolution: timedelta, timezone: str) -> pl.Expr:
    """Return the starts, in UTC, of the events that contain times in UTC. Days follow the calendar of the time zone."""
    days, rest = divmod(resolution, timedelta(days=1))
    length = f"{resolution // MICROSECOND}us" if rest else f"{days}d"  # only whole days follow the calendar in polars
    return time.dt.convert_time_zone(timezone).dt.truncate(length).dt.convert_time_zone("UTC")
