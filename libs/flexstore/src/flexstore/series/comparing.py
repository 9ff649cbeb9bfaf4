"""Which beliefs say something new, compared with those that are known of the same time."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from flexstore.series.beliefs import CERTAIN, KEY
from flexstore.series.wire import Rows


class Verdict(IntEnum):
    NEW = 0
    CHANGED = 1
    """The same belief is known with another value."""
    UNCHANGED = 2
    """It is known, or repeats what its source said last while nobody has said otherwise since."""


def compare(rows: Rows, known: Rows, plain: bool) -> NDArray[np.uint8]:
    """A verdict per row. Both in the order of the key; only if the rows are plain may they be repetitions.

    The same in SQL, for when too much is known to bring it here, is `writing.UPSERT`.
    """
    verdicts = np.full(len(rows), Verdict.NEW, np.uint8)
    if not len(known):
        return verdicts
    before = _last_up_to(rows, known)
    there = before >= 0
    last = known[before]  # where there is none, any
    same = there & _equal(rows, last, KEY)
    equal_value = rows["event_value"] == last["event_value"]
    verdicts[same] = np.where(equal_value[same], Verdict.UNCHANGED, Verdict.CHANGED)
    if plain:
        repeats = there & ~same & equal_value & _equal(rows, last, ("sensor_id", "event_start", "source_id"))
        repeats &= (last["belief_time"] < rows["belief_time"]) & (last["cumulative_probability"] == CERTAIN)
        repeats &= _alone(known)[before] & ~_contested(rows, known, before)
        verdicts[repeats] = Verdict.UNCHANGED
    return verdicts


def _last_up_to(rows: Rows, known: Rows) -> NDArray[np.int64]:
    """The place of the last known belief whose key is that of the row or before it; -1 if there is none."""
    both = np.concatenate([known, rows])
    order = np.lexsort([both[name] for name in reversed(KEY)])  # stable: of equal keys the known one comes first
    ours = order >= len(known)
    return np.cumsum(~ours)[ours] - 1


def _equal(some: Rows, others: Rows, names: tuple[str, ...]) -> NDArray[np.bool_]:
    equal: NDArray[np.bool_] = np.logical_and.reduce([some[name] == others[name] for name in names])
    return equal


MOMENT_OF_BELIEF = ("sensor_id", "event_start", "belief_time")


def _alone(known: Rows) -> NDArray[np.bool_]:
    """Whether nobody else said anything of the event at the same time, and not in several values."""
    together = _equal(known[1:], known[:-1], MOMENT_OF_BELIEF)
    alone = np.ones(len(known), np.bool_)
    alone[1:] &= ~together
    alone[:-1] &= ~together
    return alone


def _contested(rows: Rows, known: Rows, before: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether another belief of the event is known from the very time of ours, but later in the order of the key."""
    after = np.minimum(before + 1, len(known) - 1)
    return (before + 1 < len(known)) & _equal(rows, known[after], MOMENT_OF_BELIEF)
