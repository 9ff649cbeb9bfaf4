"""Series on the steps of a planning window: resampling, segments to arrays, and filling of gaps.

Flows (power, prices, efficiencies) have one value per step; stocks (states of charge) one per instant at the *end* of
each step. NaN means that nothing is known, or required, there.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import gcd
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from flexmodel.problem import Array, Window
from flexmodel.time import Instants, instant, steps
from flexmodel.values import Segments

Overlap = Literal["first", "min", "max"]
"""The value that counts where several overlap."""

LONGEST_HOLD = timedelta(days=1)
FINEST = 60_000_000
"""Microseconds: a shift of events against the steps by less than a minute is ignored."""


class MissingData(ValueError):  # noqa: N818  reads better without "Error"
    """A series without values over a period for which they are needed."""

    def __init__(self, start: datetime, end: datetime) -> None:
        super().__init__(f"no values from {start.isoformat()} to {end.isoformat()}")
        self.start = start
        self.end = end


@dataclass(frozen=True, slots=True)
class Gap:
    """A period without values of its own, and the value used there."""

    start: datetime
    end: datetime
    value: float


@dataclass(frozen=True, slots=True)
class FilledSeries:
    """A series without gaps, and the gaps that were filled."""

    values: Array
    gaps: tuple[Gap, ...] = ()


def to_steps(starts: Instants, values: Array, resolution: timedelta, window: Window) -> Array:
    """Resample a sensor's events (sorted by start) to one value per step: repeated, or the mean of known values.

    Values of an instantaneous sensor (no resolution) count only where they fall on the start of a step.
    """
    ticks = steps(window.start, window.resolution, window.steps)
    if len(starts) == 0:
        return np.full(window.steps, np.nan)
    if not resolution:
        return _pick(starts, values, ticks)
    if resolution == window.resolution and np.array_equal(starts, ticks):
        return values.copy()
    cell = _common_cell(starts, resolution, window)
    per_step = _microseconds(window.resolution) // cell
    cells = steps(window.start, timedelta(microseconds=cell), window.steps * per_step)
    known = _sample(starts, values, resolution, cells)
    return known if per_step == 1 else _mean_known(known.reshape(window.steps, per_step))


def to_instants(starts: Instants, values: Array, resolution: timedelta, window: Window, overlap: Overlap) -> Array:
    """Resample a sensor's events to one value per end of step. An event with a duration counts at both its ends."""
    ticks = end_instants(window)
    if len(starts) == 0:
        return np.full(window.steps, np.nan)
    if not resolution:
        return _pick(starts, values, ticks)
    beginning = _sample(starts, values, resolution, ticks)
    ending = _pick(starts + np.timedelta64(_microseconds(resolution), "us"), values, ticks)
    return _choose(np.stack([ending, beginning]), overlap)


def segments_to_steps(segments: Segments, window: Window, overlap: Overlap = "first") -> Array:
    """Return segments as one value per step. A step counts only if a segment covers all of it."""
    result = np.full(window.steps, np.nan)
    for segment in segments.items:
        begin = _ticks_before(segment.start, window)
        end = (segment.end - window.start) // window.resolution
        _put(result, begin, end, segment.value, overlap)
    return result


def segments_to_instants(segments: Segments, window: Window, overlap: Overlap = "first") -> Array:
    """Return segments and points as one value per end of step, both ends of a segment included."""
    result = np.full(window.steps, np.nan)
    for segment in segments.items:
        begin = _ticks_before(segment.start, window) - 1
        end = (segment.end - window.start) // window.resolution
        _put(result, begin, end, segment.value, overlap)
    return result


def end_instants(window: Window) -> Instants:
    """Return the ends of the steps."""
    return steps(window.start + window.resolution, window.resolution, window.steps)


def hold_last(values: Array, window: Window, lead: int = 0, longest: timedelta = LONGEST_HOLD) -> FilledSeries:
    """Fill gaps with the last known value.

    Args:
        values: One value per step.
        window: The planning window.
        lead: The number of leading values that lie before the window. They fill gaps and are not returned.
        longest: The longest time for which a value is held.

    Raises:
        MissingData: If a gap is longer, or lies before all values.
    """
    known = ~np.isnan(values)
    positions = np.arange(len(values))
    last = np.maximum.accumulate(np.where(known, positions, -1))
    age = (positions - last) * window.resolution.total_seconds()
    usable = (last >= 0) & (age <= longest.total_seconds())
    runs = _runs(~known[lead:])
    for begin, end in runs:
        if not usable[lead + begin : lead + end].all():
            raise MissingData(*_period(window, begin, end))
    filled = np.where(known, values, values[last])[lead:]
    return FilledSeries(filled, tuple(Gap(*_period(window, begin, end), float(filled[begin])) for begin, end in runs))


def _period(window: Window, begin: int, end: int) -> tuple[datetime, datetime]:
    return window.start + begin * window.resolution, window.start + end * window.resolution


def _ticks_before(moment: datetime, window: Window) -> int:
    """Return the number of ticks between the start of the window and a moment."""
    return -((window.start - moment) // window.resolution)


def _put(result: Array, begin: int, end: int, value: float, overlap: Overlap) -> None:
    """Write a value over some positions, unless the one that is there counts."""
    part = result[max(begin, 0) : max(end, 0)]
    if overlap == "min":
        np.fmin(part, value, out=part)
    elif overlap == "max":
        np.fmax(part, value, out=part)
    else:
        part[np.isnan(part)] = value


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the half-open ranges of positions where a mask is true."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]


def _microseconds(length: timedelta) -> int:
    return length // timedelta(microseconds=1)


def _common_cell(starts: Instants, resolution: timedelta, window: Window) -> int:
    """Return the longest time, in microseconds, that divides both the events and the steps."""
    cell = gcd(_microseconds(resolution), _microseconds(window.resolution))
    shift = int((starts[0] - instant(window.start)).astype(np.int64))
    return gcd(cell, shift) if gcd(cell, shift) >= FINEST else cell


def _sample(starts: Instants, values: Array, resolution: timedelta, at: Instants) -> Array:
    """Return the value of the event that lasts at each instant."""
    index = np.searchsorted(starts, at, side="right") - 1
    inside = (index >= 0) & (at < starts[index] + np.timedelta64(_microseconds(resolution), "us"))
    return np.where(inside, values[index], np.nan)


def _pick(starts: Instants, values: Array, at: Instants) -> Array:
    """Return the value of the event that starts exactly at each instant."""
    index = np.minimum(np.searchsorted(starts, at), len(starts) - 1)
    return np.where(starts[index] == at, values[index], np.nan)


def _mean_known(cells: Array) -> Array:
    """Return the mean of the known values of each row."""
    known = ~np.isnan(cells)
    count = known.sum(axis=1)
    total = np.where(known, cells, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _choose(candidates: Array, overlap: Overlap) -> Array:
    """Return one of two rows' values in each column, if any is known."""
    first, second = candidates
    if overlap == "min":
        chosen: Array = np.fmin(first, second)
    elif overlap == "max":
        chosen = np.fmax(first, second)
    else:
        chosen = np.where(np.isnan(first), second, first)
    return chosen
