"""Conflicts between new beliefs and stored ones: which rows are new, changed or redundant, and which are replaced."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from flexstore.series.belief_batch import DETERMINISTIC, KEY_COLUMNS
from flexstore.series.binary_format import ROW_DTYPE, BeliefRows, to_datetimes
from flexstore.store import Connection

STATEMENT_COLUMNS = ("sensor_id", "event_start", "belief_time")
"""The columns that beliefs about one event at one belief time have in common."""


class WriteOutcome(IntEnum):
    """The result of writing one belief."""

    NEW = 0
    CHANGED = 1
    """The same belief was stored with another value."""
    UNCHANGED = 2
    """The belief was stored already, or repeats its source's previous belief while no other belief came between."""


def classify(rows: BeliefRows, stored: BeliefRows, deduplicate: bool) -> NDArray[np.uint8]:
    """Return the `WriteOutcome` of each new row. `belief_writes.UPSERT` is the same rule in SQL, for large amounts.

    Args:
        rows: New rows in the order of the key.
        stored: All stored rows about the same sensors and period, in the order of the key.
        deduplicate: Treat a row that repeats its source's previous belief as unchanged.
    """
    outcomes = np.full(len(rows), WriteOutcome.NEW, np.uint8)
    if not len(stored):
        return outcomes
    place = _find_predecessors(rows, stored)
    has_predecessor = place >= 0
    predecessor = stored[place]  # any row where there is none
    same = has_predecessor & _equal_in(rows, predecessor, KEY_COLUMNS)
    equal_value = rows["event_value"] == predecessor["event_value"]
    outcomes[same] = np.where(equal_value[same], WriteOutcome.UNCHANGED, WriteOutcome.CHANGED)
    if deduplicate:
        repeats = has_predecessor & ~same & equal_value
        repeats &= _equal_in(rows, predecessor, ("sensor_id", "event_start", "source_id"))
        repeats &= (predecessor["belief_time"] < rows["belief_time"]) & (
            predecessor["cumulative_probability"] == DETERMINISTIC
        )
        repeats &= _is_sole_belief(stored)[place] & ~_has_rival(rows, stored, place)
        outcomes[repeats] = WriteOutcome.UNCHANGED
    return outcomes


def _find_predecessors(rows: BeliefRows, stored: BeliefRows) -> NDArray[np.int64]:
    """Return the index of the last stored row whose key is at most that of each new row; -1 if there is none."""
    both = np.concatenate([stored, rows])
    order = np.lexsort([both[name] for name in reversed(KEY_COLUMNS)])  # stable: of equal keys, stored rows come first
    is_new = order >= len(stored)
    return np.cumsum(~is_new)[is_new] - 1


def _equal_in(some: BeliefRows, others: BeliefRows, names: tuple[str, ...]) -> NDArray[np.bool_]:
    equal: NDArray[np.bool_] = np.logical_and.reduce([some[name] == others[name] for name in names])
    return equal


def _is_sole_belief(stored: BeliefRows) -> NDArray[np.bool_]:
    """Return for each stored row whether it is the only one about its event at its belief time."""
    together = _equal_in(stored[1:], stored[:-1], STATEMENT_COLUMNS)
    sole = np.ones(len(stored), np.bool_)
    sole[1:] &= ~together
    sole[:-1] &= ~together
    return sole


def _has_rival(rows: BeliefRows, stored: BeliefRows, place: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return for each new row whether the stored row after its predecessor has the same event and belief time."""
    after = np.minimum(place + 1, len(stored) - 1)
    return (place + 1 < len(stored)) & _equal_in(rows, stored[after], STATEMENT_COLUMNS)


def has_probabilistic(rows: BeliefRows) -> bool:
    """Return whether any row belongs to a probabilistic belief, that is, has another probability than 0.5."""
    return bool((rows["cumulative_probability"] != DETERMINISTIC).any())


async def delete_replaced(con: Connection, rows: BeliefRows) -> None:
    """Delete stored rows that probabilistic beliefs replace, and that an upsert would not overwrite.

    A probabilistic belief replaces everything its source stated about the event at the same belief time, at whatever
    probabilities.

    Args:
        con: A connection in the transaction that writes the rows.
        rows: New rows in the order of the key.
    """
    starts, belief_times = rows["event_start"], rows["belief_time"]
    span = to_datetimes(np.array([starts.min(), starts.max(), belief_times.min(), belief_times.max()]))
    sensors, sources = (np.unique(rows[name]).tolist() for name in ("sensor_id", "source_id"))
    if await con.fetchval(SELECT_MAY_REPLACE, *span, sensors, sources):
        keys = (
            to_datetimes(rows[name]) if ROW_DTYPE[name].kind == "M" else rows[name].tolist() for name in KEY_COLUMNS
        )
        await con.execute(DELETE_REPLACED, *span[:2], *keys)


SELECT_MAY_REPLACE = """
select exists (
    select from unnest($5::int[]) as batch (sensor_id) cross join lateral (
        select from belief
        where belief.sensor_id = batch.sensor_id and belief.event_start between $1 and $2
            and belief.belief_time between $3 and $4 and belief.source_id = any($6::int[])
        limit 1
    ) stored
)
"""

DELETE_REPLACED = """
with rows as materialized (
    select * from unnest($3::int[], $4::timestamptz[], $5::timestamptz[], $6::int[], $7::real[])
    as rows (sensor_id, event_start, belief_time, source_id, cumulative_probability)
),
former as materialized (
    select stored.* from (select distinct sensor_id, event_start, belief_time, source_id from rows) stated
    cross join lateral (
        select belief.sensor_id, belief.event_start, belief.belief_time, belief.source_id, belief.cumulative_probability
        from belief
        where belief.sensor_id = stated.sensor_id and belief.event_start = stated.event_start
            and belief.belief_time = stated.belief_time and belief.source_id = stated.source_id
            and belief.event_start between $1 and $2
    ) stored
    except
    select * from rows
)
delete from belief using former
where belief.sensor_id = former.sensor_id and belief.event_start = former.event_start
    and belief.belief_time = former.belief_time and belief.source_id = former.source_id
    and belief.cumulative_probability = former.cumulative_probability and belief.event_start between $1 and $2
"""
