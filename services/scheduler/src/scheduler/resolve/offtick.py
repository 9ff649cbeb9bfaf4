"""Wishes about the state of charge at a moment between two steps, carried over to the steps around it.

With a wish for value v at moment t, between the ends of steps p < t < n, and C(x, y), D(x, y) the most energy that can
be stored and drawn from x to y:

    target       at p  from v − C(p, t) to v + D(p, t)      at n  exactly v
    minimum      at p  at least v − C(p, t)                 at n  at least v − D(t, n)
    maximum      at p  at most v + D(p, t)                  at n  at most v + C(t, n)
    known state  at n  from v − D(t, n) to v + C(t, n)      (the state at the start, measured during the first step)
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
from flexmodel.problem import Array, Window
from flexmodel.values import Segment, Segments, VariableQuantity

Kind = Literal["minima", "maxima", "targets"]


@dataclass(frozen=True, slots=True)
class Reach:
    """How fast a stock can be filled and drained, in MW per step, and the limits that no wish may pass."""

    charge: Array
    discharge: Array
    lowest: float
    highest: float


@dataclass(slots=True)
class Projection:
    """The bounds that off-tick wishes put on the ends of steps; NaN where there is none."""

    minima: Array
    maxima: Array
    targets: Array

    @classmethod
    def empty(cls, steps: int) -> "Projection":
        return cls(*(np.full(steps, np.nan) for _ in range(3)))

    def at_least(self, step: int, value: float, reach: Reach) -> None:
        """Of two bounds at one step the stricter counts; none passes the limits of the stock."""
        if 0 <= step < len(self.minima):
            self.minima[step] = np.fmax(self.minima[step], np.fmax(value, reach.lowest))

    def at_most(self, step: int, value: float, reach: Reach) -> None:
        if 0 <= step < len(self.maxima):
            self.maxima[step] = np.fmin(self.maxima[step], np.fmin(value, reach.highest))

    def exactly(self, step: int, value: float) -> None:
        if 0 <= step < len(self.targets):
            self.targets[step] = value


def between_steps(quantity: VariableQuantity | None, window: Window) -> list[Segment]:
    """The points in time, inside the window, that do not fall on the end of a step."""
    if not isinstance(quantity, Segments):
        return []
    return [
        item
        for item in quantity.items
        if item.start == item.end
        and window.start < item.start < window.end
        and (item.start - window.start) % window.resolution
    ]


def project(kind: Kind, points: Iterable[Segment], window: Window, reach: Reach, onto: Projection) -> None:
    """Adds the bounds of some off-tick wishes of one kind."""
    for point in points:
        step, before, after = _around(point.start, window)
        value = point.value
        if kind in ("targets", "minima"):
            onto.at_least(step - 1, value - reach.charge[step] * before, reach)
        if kind in ("targets", "maxima"):
            onto.at_most(step - 1, value + reach.discharge[step] * before, reach)
        if kind == "targets":
            onto.exactly(step, value)
        elif kind == "minima":
            onto.at_least(step, value - reach.discharge[step] * after, reach)
        else:
            onto.at_most(step, value + reach.charge[step] * after, reach)


def project_known_state(at: datetime, value: float, window: Window, reach: Reach, onto: Projection) -> None:
    """Adds the bounds that follow from the state measured during the first step."""
    if window.start < at < window.start + window.resolution:
        _, _, after = _around(at, window)
        onto.at_least(0, value - reach.discharge[0] * after, reach)
        onto.at_most(0, value + reach.charge[0] * after, reach)


def _around(moment: datetime, window: Window) -> tuple[int, float, float]:
    """The step in which a moment lies, and the hours from its start to the moment and from there to its end."""
    step, into = divmod(moment - window.start, window.resolution)
    before = into / window.resolution * window.hours
    return step, before, window.hours - before
