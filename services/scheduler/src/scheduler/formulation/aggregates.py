"""Sets of devices whose summed power is priced or capped: a site, a group, the scope of a commitment, one device."""

from collections.abc import Iterable

import numpy as np
from flexmodel.problem import Array, Group, Index, Problem, Site


class Aggregates:
    """The sets, each once however many prices refer to it, with the hard caps on their sum."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.members: list[Index] = []
        self._lower: list[Array] = []
        self._upper: list[Array] = []
        self._known: dict[bytes, int] = {}

    def find(self, devices: Index) -> int:
        """The number of the set with these devices, which is added if it is new."""
        ordered = np.unique(devices)
        key = ordered.tobytes()
        if key not in self._known:
            self._known[key] = len(self.members)
            self.members.append(ordered)
            self._lower.append(np.full(self.steps, -np.inf))
            self._upper.append(np.full(self.steps, np.inf))
        return self._known[key]

    def find_each(self, devices: Iterable[int]) -> Index:
        """The numbers of sets with one device each."""
        return np.array([self.find(np.array([device], dtype=np.int64)) for device in devices], dtype=np.int64)

    def cap(self, number: int, lower: Array, upper: Array) -> None:
        """Limit the sum of a set; NaN is no limit."""
        self._lower[number] = np.fmax(self._lower[number], lower)
        self._upper[number] = np.fmin(self._upper[number], upper)

    def __len__(self) -> int:
        return len(self.members)

    @property
    def lower(self) -> Array:
        return np.array(self._lower).reshape(len(self), self.steps)

    @property
    def upper(self) -> Array:
        return np.array(self._upper).reshape(len(self), self.steps)

    def pairs(self) -> tuple[Index, Index]:
        """Every membership as (set, device)."""
        sizes = [len(devices) for devices in self.members]
        none = np.zeros(0, dtype=np.int64)
        return np.repeat(np.arange(len(self)), sizes), np.concatenate([none, *self.members])

    def sums(self, values: Array) -> Array:
        """The sums (sets, steps) of values given by device (devices, steps)."""
        total = np.zeros((len(self), self.steps))
        for number, devices in enumerate(self.members):
            total[number] = values[devices].sum(axis=0)
        return total


def of_problem(problem: Problem) -> Aggregates:
    """The sites first, in their order, then the groups, with their hard caps."""
    aggregates = Aggregates(problem.window.steps)
    parts: list[Site | Group] = [*problem.sites, *problem.groups]
    for part in parts:
        aggregates.cap(aggregates.find(part.devices), part.power_min, part.power_max)
    return aggregates
