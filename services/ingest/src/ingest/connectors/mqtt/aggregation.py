"""Aggregation of readings into values of events: means of levels, sums of amounts, differences of counters."""

from datetime import datetime, timedelta, tzinfo
from typing import Literal

import numpy as np
import polars as pl
from flexmodel.quantities import tidy
from flexmodel.time import Instants, ceil, floor, instant
from numpy.typing import NDArray

from ingest.data.repository import Sensor
from ingest.data.resampling import DAY, MICROSECOND, Values, event_start

Meaning = Literal["level", "last", "amount", "counter", "event"]
"""Meaning of a reading; docs/how-to/mqtt.md explains when to use which."""

QUARTER = timedelta(minutes=15)
"""The UTC offset of every current time zone is a multiple of this, so local ticks are multiples of it in UTC."""


def event_bounds(start: datetime, end: datetime, resolution: timedelta, zone: tzinfo) -> Instants:
    """Return the starts of the events that overlap [start, end] and the end of the last one, on the local clock.

    A local day of 23 or 25 hours has as many hourly events, and one daily event.
    """
    grid_step = timedelta(microseconds=np.gcd(resolution // MICROSECOND, QUARTER // MICROSECOND).item())
    day = timedelta(days=1)
    grid = pl.datetime_range(
        floor(start - day, grid_step),
        ceil(end + day, grid_step),
        grid_step,
        time_unit="us",
        time_zone="UTC",
        eager=True,
    )
    wall_times = grid.dt.convert_time_zone(str(zone)).dt.replace_time_zone(None).to_physical().to_numpy()
    grid_times: Instants = grid.dt.replace_time_zone(None).to_numpy()
    values = grid_times[wall_times % DAY % (resolution // MICROSECOND) == 0]
    first = np.searchsorted(values, instant(start), side="right") - 1
    last = np.searchsorted(values, instant(end), side="left")
    bounds: Instants = values[first : last + 1]
    return bounds


def event_starts(times: Instants, time_is: Literal["start", "end"], sensor: Sensor) -> Instants:
    """Return the starts of the events that contain the times, or that end about then."""
    if time_is == "start":
        return _truncate(times, sensor)
    ends = _truncate(times + np.timedelta64(sensor.resolution // 2), sensor)
    return _truncate(ends - np.timedelta64(1, "us"), sensor)


def _truncate(times: Instants, sensor: Sensor) -> Instants:
    """Return the starts of the events that contain the times."""
    utc = pl.DataFrame({"time": times.astype("datetime64[us]")}).select(pl.col("time").dt.replace_time_zone("UTC"))
    starts = utc.select(event_start(pl.col("time"), sensor.resolution, sensor.timezone).dt.replace_time_zone(None))
    truncated: Instants = starts.to_series().to_numpy()
    return truncated


def aggregate_readings(
    meaning: Meaning, bounds: Instants, times: Instants, readings: Values, longest_gap: timedelta
) -> Values:
    """Return the value of each event between two bounds, NaN where the readings do not determine it. Times ascend."""
    if len(times) == 0:
        return np.full(len(bounds) - 1, np.nan)
    if meaning == "counter":
        values = _differences(bounds, times, readings, longest_gap)
    elif meaning == "level":
        values = _means(bounds, times, readings, longest_gap)
    elif meaning == "amount":
        values = _sums(bounds, times, readings)
    else:
        values = _last(bounds, times, readings)
    return tidy(values)


def _means(bounds: Instants, times: Instants, readings: Values, longest_gap: timedelta) -> Values:
    """Return time-weighted means. Each reading holds until the next one, but not longer than the longest gap."""
    until = np.append(times[1:], bounds[-1])
    until = np.minimum(until, times + np.timedelta64(longest_gap // MICROSECOND, "us"))
    cuts = np.unique(np.concatenate([times, until, bounds]))
    starts, lengths = cuts[:-1], np.diff(cuts).astype(np.float64)
    holding = np.searchsorted(times, starts, side="right") - 1
    event = np.searchsorted(bounds, starts, side="right") - 1
    held = (holding >= 0) & (starts < until[holding]) & (event >= 0) & (event < len(bounds) - 1)
    event, lengths, levels = event[held], lengths[held], readings[holding[held]]
    count = len(bounds) - 1
    return _divide(np.bincount(event, levels * lengths, count), np.bincount(event, lengths, count))


def _sums(bounds: Instants, times: Instants, readings: Values) -> Values:
    """Return sums of amounts. An amount on a bound belongs to the event that ends there."""
    event = np.searchsorted(bounds, times, side="left") - 1
    within = (event >= 0) & (event < len(bounds) - 1)
    count = len(bounds) - 1
    sums = np.bincount(event[within], readings[within], count)
    return np.where(np.bincount(event[within], minlength=count) > 0, sums, np.nan)


def _last(bounds: Instants, times: Instants, readings: Values) -> Values:
    """Return the last reading in each event that has one."""
    before = np.searchsorted(times, bounds, side="left")
    return np.where(before[1:] > before[:-1], readings[before[1:] - 1], np.nan)


def _differences(bounds: Instants, times: Instants, readings: Values, longest_gap: timedelta) -> Values:
    """Return the increase of a counter during each event, interpolated at the bounds.

    It is unknown across gaps longer than the longest one, and where the counter was reset.
    """
    grid_times = times.astype(np.int64).astype(np.float64)
    at = np.interp(bounds.astype(np.int64).astype(np.float64), grid_times, readings, left=np.nan, right=np.nan)
    after = np.searchsorted(times, bounds, side="left").clip(0, len(times) - 1)
    on_it = times[after] == bounds
    before = np.where(on_it, after, (after - 1).clip(0))
    at[times[after] - times[before] > np.timedelta64(longest_gap // MICROSECOND, "us")] = np.nan
    restarts = np.concatenate([[0], np.cumsum(np.diff(readings) < 0)])
    return np.where(restarts[after[1:]] == restarts[before[:-1]], np.diff(at), np.nan)


def _divide(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> Values:
    quotients: Values = np.divide(numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0)
    return quotients
