"""A batch of beliefs to store: arrays of equal length, converted to rows in the order of the table's primary key."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from flexmodel.errors import Invalid
from numpy.typing import NDArray

from flexstore.series.binary_format import ROW_DTYPE, BeliefRows, DatetimeArray
from flexstore.timescale import CHUNK_INTERVAL

KEY_COLUMNS = ("sensor_id", "event_start", "belief_time", "source_id", "cumulative_probability")
DETERMINISTIC = np.float32(0.5)
"""The cumulative probability of a belief that is a single value."""
LARGEST_VALUE = 1e100
"""The largest number that is a value. No measure is larger, and sums of millions of these are still finite."""


@dataclass(frozen=True, slots=True)
class BeliefBatch:
    """Beliefs to store. Where all beliefs have the same sensor, belief time, source or probability, it is one scalar.

    Times are datetime64[us] in UTC (see `to_datetime64`). Values that are NaN are not stored.
    """

    sensor: int | NDArray[np.integer]
    event_start: DatetimeArray
    belief_time: np.datetime64 | DatetimeArray
    values: NDArray[np.float64]
    source: int | NDArray[np.integer]
    probability: float | NDArray[np.floating] = 0.5
    """The cumulative probability: 0.5 for single values, other values for the quantiles of a probabilistic belief."""


def to_datetime64(time: datetime) -> np.datetime64:
    """Convert an aware datetime to datetime64[us] in UTC.

    Raises:
        ValueError: The datetime has no time zone.
    """
    if time.tzinfo is None:
        raise ValueError(f"{time.isoformat()} has no time zone, so it is no moment in time.")
    return np.datetime64(time.astimezone(UTC).replace(tzinfo=None), "us")


def to_rows(beliefs: BeliefBatch) -> BeliefRows:
    """Convert a batch to rows in the order of the key. Of several rows with one key, the last is kept.

    Raises:
        Invalid: A value is larger than `LARGEST_VALUE`.
    """
    rows = np.empty(len(beliefs.values), ROW_DTYPE)
    rows["sensor_id"] = beliefs.sensor
    rows["event_start"] = beliefs.event_start
    rows["belief_time"] = beliefs.belief_time
    rows["source_id"] = beliefs.source
    rows["cumulative_probability"] = beliefs.probability
    rows["event_value"] = np.add(beliefs.values, 0.0)  # turns minus zero into zero
    too_large = np.abs(rows["event_value"]) > LARGEST_VALUE
    if too_large.any():
        first = rows["event_value"][too_large.argmax()]
        raise Invalid({"values": [f"{first} is not between -1e100 and 1e100, in the unit of the sensor."]})
    missing = np.isnan(rows["event_value"])
    if missing.any():
        rows = rows[~missing]
    return rows if _is_sorted(rows) else _sort(rows)


def _is_sorted(rows: BeliefRows) -> bool:
    """Return whether every key is greater than the previous one, as in an ordinary series."""
    greater = np.zeros(max(len(rows) - 1, 0), dtype=np.bool_)
    equal = ~greater
    for name in KEY_COLUMNS:
        before, after = rows[name][:-1], rows[name][1:]
        greater |= equal & (before < after)
        equal &= before == after
    return bool(greater.all())


def _sort(rows: BeliefRows) -> BeliefRows:
    """Sort by the key and keep the last row of each key."""
    rows = rows[np.lexsort([rows[name] for name in reversed(KEY_COLUMNS)])]
    last = np.ones(len(rows), dtype=np.bool_)
    last[:-1] = np.any([rows[name][:-1] != rows[name][1:] for name in KEY_COLUMNS], axis=0)
    return rows[last]


def split_revisions(rows: BeliefRows) -> list[BeliefRows]:
    """Split rows of one source into parts with at most one belief per event, older beliefs in earlier parts."""
    first = np.ones(len(rows), dtype=np.bool_)
    first[1:] = np.any([rows[name][:-1] != rows[name][1:] for name in ("sensor_id", "event_start")], axis=0)
    if first.all():
        return [rows]
    count = np.arange(len(rows))
    revision = count - np.maximum.accumulate(np.where(first, count, 0))
    return [rows[revision == number] for number in range(int(revision.max()) + 1)]


def split_by_chunk(rows: BeliefRows) -> list[BeliefRows]:
    """Split rows by TimescaleDB chunk, in order of time."""
    chunk = rows["event_start"].astype(np.int64) // (CHUNK_INTERVAL // timedelta(microseconds=1))
    if (chunk == chunk[0]).all():
        return [rows]
    if (chunk[1:] < chunk[:-1]).any():
        order = np.argsort(chunk, kind="stable")
        rows, chunk = rows[order], chunk[order]
    return np.split(rows, np.flatnonzero(np.diff(chunk)) + 1)
