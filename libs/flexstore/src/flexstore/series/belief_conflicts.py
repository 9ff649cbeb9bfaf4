"""Which beliefs say something new, compared with those that are known of the same time."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from flexstore.series.belief_batch import DETERMINISTIC, KEY_COLUMNS
from flexstore.series.binary_format import BeliefRows


class WriteOutcome(IntEnum):
    NEW = 0
    CHANGED = 1
    """The same belief is known with another value."""
    UNCHANGED = 2
    """It is known, or repeats what its source said last while nobody has said otherwise since."""


def classify(rows: BeliefRows, known: BeliefRows, plain: bool) -> NDArray[np.uint8]:
    """A verdict per row. Both in the order of the key; only if the rows are plain may they be repetitions.

    The same in SQL, for when too much is known to bring it here, is `writing.UPSERT`.
    """
    verdicts = np.full(len(rows), WriteOutcome.NEW, np.uint8)
    if not len(known):
        return verdicts
    before = _find_predecessors(rows, known)
    there = before >= 0
    last = known[before]  # where there is none, any
    same = there & _equal_in(rows, last, KEY_COLUMNS)
    equal_value = rows["event_value"] == last["event_value"]
    verdicts[same] = np.where(equal_value[same], WriteOutcome.UNCHANGED, WriteOutcome.CHANGED)
    if plain:
        repeats = there & ~same & equal_value & _equal_in(rows, last, ("sensor_id", "event_start", "source_id"))
        repeats &= (last["belief_time"] < rows["belief_time"]) & (last["cumulative_probability"] == DETERMINISTIC)
        repeats &= _is_sole_belief(known)[before] & ~_has_rival(rows, known, before)
        verdicts[repeats] = WriteOutcome.UNCHANGED
    return verdicts


def _find_predecessors(rows: BeliefRows, known: BeliefRows) -> NDArray[np.int64]:
    """The place of the last known belief whose key is that of the row or before it; -1 if there is none."""
    both = np.concatenate([known, rows])
    order = np.lexsort(
        [both[name] for name in reversed(KEY_COLUMNS)]
    )  # stable: of equal keys the known one comes first
    ours = order >= len(known)
    return np.cumsum(~ours)[ours] - 1


def _equal_in(some: BeliefRows, others: BeliefRows, names: tuple[str, ...]) -> NDArray[np.bool_]:
    equal: NDArray[np.bool_] = np.logical_and.reduce([some[name] == others[name] for name in names])
    return equal


STATEMENT_COLUMNS = ("sensor_id", "event_start", "belief_time")


def _is_sole_belief(known: BeliefRows) -> NDArray[np.bool_]:
    """Whether nobody else said anything of the event at the same time, and not in several values."""
    together = _equal_in(known[1:], known[:-1], STATEMENT_COLUMNS)
    alone = np.ones(len(known), np.bool_)
    alone[1:] &= ~together
    alone[:-1] &= ~together
    return alone


def _has_rival(rows: BeliefRows, known: BeliefRows, before: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether another belief of the event is known from the very time of ours, but later in the order of the key."""
    after = np.minimum(before + 1, len(known) - 1)
    return (before + 1 < len(known)) & _equal_in(rows, known[after], STATEMENT_COLUMNS)
