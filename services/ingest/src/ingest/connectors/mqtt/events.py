"""Readings of moments become values of events: means of levels, sums of amounts, differences of counters."""

from datetime import datetime, timedelta, tzinfo
from typing import Literal

import numpy as np
import polars as pl
from flexmodel.quantities import tidy
from flexmodel.time import Instants, ceil, floor, instant
from numpy.typing import NDArray

from ingest.connectors.fitting import slots
from ingest.data.repository import Sensor
from ingest.data.rules import DAY, MICROSECOND, Values

Meaning = Literal["level", "last", "amount", "counter", "event"]
"""What a reading says of its sensor; docs/how-to/mqtt.md tells users when to take which."""

QUARTER = timedelta(minutes=15)
"""Every time zone of today is off UTC by a multiple of this, so every tick of a local clock is one of this in UTC."""


def ticks(start: datetime, end: datetime, resolution: timedelta, zone: tzinfo) -> Instants:
    """Where the events begin that meet [start, end], and where the last of them ends, on the local clock from midnight.

    A local day that is 23 or 25 hours long has as many events of an hour, and still one of a day.
    """
    fine = timedelta(microseconds=np.gcd(resolution // MICROSECOND, QUARTER // MICROSECOND).item())
    day = timedelta(days=1)
    grid = pl.datetime_range(
        floor(start - day, fine), ceil(end + day, fine), fine, time_unit="us", time_zone="UTC", eager=True
    )
    wall = grid.dt.convert_time_zone(str(zone)).dt.replace_time_zone(None).to_physical().to_numpy()
    moments: Instants = grid.dt.replace_time_zone(None).to_numpy()
    found = moments[wall % DAY % (resolution // MICROSECOND) == 0]
    first = np.searchsorted(found, instant(start), side="right") - 1
    last = np.searchsorted(found, instant(end), side="left")
    bounds: Instants = found[first : last + 1]
    return bounds


def event_starts(times: Instants, time_is: Literal["start", "end"], sensor: Sensor) -> Instants:
    """The starts of the events that are told by a time within them, or by about when they end."""
    if time_is == "start":
        return _floored(times, sensor)
    ends = _floored(times + np.timedelta64(sensor.resolution // 2), sensor)
    return _floored(ends - np.timedelta64(1, "us"), sensor)


def _floored(times: Instants, sensor: Sensor) -> Instants:
    rows = pl.DataFrame({"start": times.astype("datetime64[us]")})
    found: Instants = rows.select(slots(sensor)).to_series().to_numpy()
    return found


def values_of(meaning: Meaning, bounds: Instants, times: Instants, readings: Values, longest_gap: timedelta) -> Values:
    """The value of each event between two bounds; not a number where the readings do not tell. Times ascend."""
    if len(times) == 0:
        return np.full(len(bounds) - 1, np.nan)
    if meaning == "counter":
        found = _differences(bounds, times, readings, longest_gap)
    elif meaning == "level":
        found = _means(bounds, times, readings, longest_gap)
    elif meaning == "amount":
        found = _sums(bounds, times, readings)
    else:
        found = _last(bounds, times, readings)
    return tidy(found)


def _means(bounds: Instants, times: Instants, readings: Values, longest_gap: timedelta) -> Values:
    """Each reading holds until the next, though no longer than the longest gap; an event is the mean of what held."""
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
    """An amount was there since the reading before, so one that comes on a bound belongs to the event that ends."""
    event = np.searchsorted(bounds, times, side="left") - 1
    within = (event >= 0) & (event < len(bounds) - 1)
    count = len(bounds) - 1
    sums = np.bincount(event[within], readings[within], count)
    return np.where(np.bincount(event[within], minlength=count) > 0, sums, np.nan)


def _last(bounds: Instants, times: Instants, readings: Values) -> Values:
    """The last reading in each event that has one."""
    before = np.searchsorted(times, bounds, side="left")
    return np.where(before[1:] > before[:-1], readings[before[1:] - 1], np.nan)


def _differences(bounds: Instants, times: Instants, readings: Values, longest_gap: timedelta) -> Values:
    """What a counter counted during each event. On a bound it stands between the readings on either side.

    Unknown where these are further apart than the longest gap, and where it went backwards: then it started anew.
    """
    moments = times.astype(np.int64).astype(np.float64)
    at = np.interp(bounds.astype(np.int64).astype(np.float64), moments, readings, left=np.nan, right=np.nan)
    after = np.searchsorted(times, bounds, side="left").clip(0, len(times) - 1)
    on_it = times[after] == bounds
    before = np.where(on_it, after, (after - 1).clip(0))
    at[times[after] - times[before] > np.timedelta64(longest_gap // MICROSECOND, "us")] = np.nan
    restarts = np.concatenate([[0], np.cumsum(np.diff(readings) < 0)])
    return np.where(restarts[after[1:]] == restarts[before[:-1]], np.diff(at), np.nan)


def _divide(above: NDArray[np.float64], below: NDArray[np.float64]) -> Values:
    quotients: Values = np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
    return quotients
