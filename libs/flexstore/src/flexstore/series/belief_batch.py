"""Beliefs on their way in: arrays of one length, brought into the order of the table's key."""

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
"""The largest number that is a value. No measure is larger, and sums of millions of these can still be counted."""

LATE_AFTER = timedelta(days=7)
"""What changes about events longer ago may change a day that is already summed up, see `flexstore.daily_rollups`."""
MARK_DUE = """
due as (
    insert into belief_day_due (sensor_id, first_event, last_event)
    select sensor_id, min(event_start), max(event_start) from {changed} group by sensor_id
)
"""
"""SQL: what changes in this statement has to be summed up again."""


@dataclass(frozen=True, slots=True)
class BeliefBatch:
    """What sources believed, at some time, of the values of events. What is one for all may be given once.

    DatetimeArray are datetime64[us] in UTC; `moment` makes one. A value that is NaN says nothing and is not stored.
    """

    sensor: int | NDArray[np.integer]
    event_start: DatetimeArray
    belief_time: np.datetime64 | DatetimeArray
    values: NDArray[np.float64]
    source: int | NDArray[np.integer]
    probability: float | NDArray[np.floating] = 0.5


def to_datetime64(time: datetime) -> np.datetime64:
    """An aware moment as arrays hold it."""
    if time.tzinfo is None:
        raise ValueError(f"{time.isoformat()} has no time zone, so it is no moment in time.")
    return np.datetime64(time.astimezone(UTC).replace(tzinfo=None), "us")


def to_rows(beliefs: BeliefBatch) -> BeliefRows:
    """The beliefs as rows in the order of the key, each key once: of several with one key the last counts."""
    rows = np.empty(len(beliefs.values), ROW_DTYPE)
    rows["sensor_id"] = beliefs.sensor
    rows["event_start"] = beliefs.event_start
    rows["belief_time"] = beliefs.belief_time
    rows["source_id"] = beliefs.source
    rows["cumulative_probability"] = beliefs.probability
    rows["event_value"] = np.add(beliefs.values, 0.0)  # there is no minus zero here
    too_large = np.abs(rows["event_value"]) > LARGEST_VALUE
    if too_large.any():
        first = rows["event_value"][too_large.argmax()]
        raise Invalid({"values": [f"{first} is not between -1e100 and 1e100, in the unit of the sensor."]})
    unsaid = np.isnan(rows["event_value"])
    if unsaid.any():
        rows = rows[~unsaid]
    return rows if _in_order(rows) else _put_in_order(rows)


def _in_order(rows: BeliefRows) -> bool:
    """Whether every key is greater than the one before, as those of an ordinary series are."""
    greater = np.zeros(max(len(rows) - 1, 0), dtype=np.bool_)
    equal = ~greater
    for name in KEY_COLUMNS:
        before, after = rows[name][:-1], rows[name][1:]
        greater |= equal & (before < after)
        equal &= before == after
    return bool(greater.all())


def _put_in_order(rows: BeliefRows) -> BeliefRows:
    rows = rows[np.lexsort([rows[name] for name in reversed(KEY_COLUMNS)])]
    last = np.ones(len(rows), dtype=np.bool_)
    last[:-1] = np.any([rows[name][:-1] != rows[name][1:] for name in KEY_COLUMNS], axis=0)
    return rows[last]


def split_revisions(rows: BeliefRows) -> list[BeliefRows]:
    """Rows of one source such that each part holds at most one per event, older beliefs in earlier parts."""
    first = np.ones(len(rows), dtype=np.bool_)
    first[1:] = np.any([rows[name][:-1] != rows[name][1:] for name in ("sensor_id", "event_start")], axis=0)
    if first.all():
        return [rows]
    count = np.arange(len(rows))
    age = count - np.maximum.accumulate(np.where(first, count, 0))
    return [rows[age == generation] for generation in range(int(age.max()) + 1)]


def split_by_chunk(rows: BeliefRows) -> list[BeliefRows]:
    """The rows of one chunk of time after the other."""
    chunk = rows["event_start"].astype(np.int64) // (CHUNK_INTERVAL // timedelta(microseconds=1))
    if (chunk == chunk[0]).all():
        return [rows]
    if (chunk[1:] < chunk[:-1]).any():
        order = np.argsort(chunk, kind="stable")
        rows, chunk = rows[order], chunk[order]
    return np.split(rows, np.flatnonzero(np.diff(chunk)) + 1)
