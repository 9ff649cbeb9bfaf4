"""Of all that is known of events the beliefs that count, found in arrays. In SQL the rule is `reading.BEST`."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flexstore.series.binary_format import DatetimeArray

type Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class CandidateBeliefs:
    """Beliefs about a sensor, in the order of event, time of belief, source and probability."""

    event_start: DatetimeArray
    belief_time: DatetimeArray
    source: NDArray[np.int32]
    probability: NDArray[np.float32]
    values: NDArray[np.float64]


def find_latest(known: CandidateBeliefs) -> tuple[Indices, Indices]:
    """Where the last belief about each event is, and all of those that others are as recent as.

    There are others if several sources spoke at the same time, or one in a spread of values.
    """
    ends = np.ones(len(known.values), np.bool_)
    ends[:-1] = known.event_start[1:] != known.event_start[:-1]
    last = np.flatnonzero(ends)
    if len(last) == len(ends):
        return last, last[:0]
    event = np.cumsum(ends) - ends
    as_recent = known.belief_time == known.belief_time[last][event]
    contested = np.bincount(event[as_recent], minlength=len(last)) > 1
    return last, np.flatnonzero(as_recent & contested[event])


def resolve_ties(known: CandidateBeliefs, last: Indices, rivals: Indices, ranks: dict[int, int]) -> Indices:
    """Where the beliefs are that count, once the rivals are compared by the rank of their source and their middle."""
    chance = known.probability[rivals].astype(np.float64)
    rank = np.array([ranks[source] for source in known.source[rivals].tolist()])
    order = rivals[np.lexsort((chance, np.abs(chance - 0.5), -rank, known.event_start[rivals]))]
    starts = known.event_start[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = starts[1:] != starts[:-1]
    counting = last.copy()
    counting[np.searchsorted(known.event_start[last], starts[first])] = order[first]
    return counting
