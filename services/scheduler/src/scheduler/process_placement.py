"""Placement of processes by price alone; ties go to the earliest."""

import math
from datetime import timedelta

import numpy as np
from flexmodel.errors import FlexmeshError
from flexmodel.problem import Array, Mask, ProcessType
from numpy.lib.stride_tricks import sliding_window_view


class NoRoomError(FlexmeshError):
    """The time restrictions leave no room for the process."""


def process_steps(duration: timedelta, resolution: timedelta, steps: int) -> int:
    """Return the number of steps of a process: rounded up, and never more than the window has."""
    return min(math.ceil(duration / resolution), steps)


def place_process(prices: Array, steps: int, kind: ProcessType, allowed: Mask, dearest: bool = False) -> Mask:
    """Return the steps in which a process runs, `steps` in all, only where `allowed`.

    INFLEXIBLE: as soon as it can run through. SHIFTABLE: the cheapest unbroken run. BREAKABLE: the cheapest steps. With
    `dearest` the other way round (for processes that produce).

    Raises:
        NoRoomError: There are not enough allowed steps.
    """
    value = -prices if dearest else prices
    runs = np.zeros(len(prices), dtype=bool)
    if kind is ProcessType.BREAKABLE:
        ranked = [step for step in np.argsort(value, kind="stable").tolist() if allowed[step]]
        if len(ranked) < steps:
            raise NoRoomError(_no_room(steps, len(ranked)))
        runs[ranked[:steps]] = True
        return runs
    offered = possible_starts(allowed, steps)
    if not offered.any():
        raise NoRoomError(_no_room(steps, None))
    totals = sliding_window_view(value, steps).sum(axis=1)
    first = int(np.argmax(offered)) if kind is ProcessType.INFLEXIBLE else _cheapest(totals, offered)
    runs[first : first + steps] = True
    return runs


def possible_starts(allowed: Mask, steps: int) -> Mask:
    """Return the steps at which a run of this many steps can start."""
    starts = np.zeros(len(allowed), dtype=bool)
    starts[: len(allowed) - steps + 1] = sliding_window_view(allowed, steps).all(axis=1)
    return starts


def _cheapest(totals: Array, offered: Mask) -> int:
    """Return the earliest of the cheapest; sums that differ by rounding only are equal."""
    candidates = np.where(offered[: len(totals)], totals, np.inf)
    best = candidates.min()
    return int(np.argmax(candidates <= best + 1e-9 * max(1.0, abs(best))))


def _no_room(steps: int, free: int | None) -> str:
    left = "no unbroken run of that length" if free is None else f"{free} of them"
    return f"The process needs {steps} steps, but the time restrictions leave {left} within the window."
