"""Terms."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from flexmodel.problem import Array, Group, Index, Mask, Problem, Site

Subject = Literal["power", "stock"]


@dataclass(frozen=True, slots=True)
class Each:
    """Deviations priced at every step. A NaN baseline means: not at this step."""

    names: tuple[str, ...]
    """One for each row."""
    subject: Subject
    rows: Index
    """Which aggregates or stocks."""
    baseline: Array
    up: Array
    """Currency per MW (and step) or per MWh (and step)."""
    down: Array

    def costs(self, values: Array) -> Array:
        """The cost of each row for the values (rows, steps) of all aggregates or stocks."""
        deviation = clean(values[self.rows] - self.baseline, self.baseline)
        price = np.where(deviation > 0, self.up, self.down)
        total: Array = np.where(np.isnan(deviation), 0.0, price * deviation).sum(axis=1)
        return total


@dataclass(frozen=True, slots=True)
class Largest:
    """Only the dearest deviation within a group of steps is paid."""

    names: tuple[str, ...]
    subject: Subject
    rows: Index
    baseline: Array
    price: Array
    side: int
    """+1: what lies above the baseline; -1: what lies below."""
    told_apart_by: tuple[Array, ...]
    """Steps with equal values of all of these (rows, steps) form a group; with none of them, all steps do."""

    @property
    def groups(self) -> Index:
        """(rows, steps) numbers of groups, -1 where inactive. No number occurs in two rows."""
        active = ~np.isnan(self.baseline)
        if self.told_apart_by:
            return runs(active, *self.told_apart_by)
        return np.where(active, np.arange(len(active))[:, None], -1)

    def costs(self, values: Array) -> Array:
        """The cost of each row for the values (rows, steps) of all aggregates or stocks."""
        deviation = self.side * clean(values[self.rows] - self.baseline, self.baseline)
        charge = np.where(deviation > 0, self.price * deviation, 0.0)
        row, step = np.nonzero(charge)
        total = np.zeros(len(self.rows))
        if len(row):
            group = self.groups[row, step]
            found, place = np.unique(group, return_inverse=True)
            dearest, owner = np.zeros(len(found)), np.zeros(len(found), dtype=np.int64)
            np.maximum.at(dearest, place, charge[row, step])
            owner[place] = row
            np.add.at(total, owner, dearest)
        return total


def clean(deviation: Array, baseline: Array) -> Array:
    """Deviations without rounding dust: a price of 1e7 would turn 1e-12 MW into money."""
    return np.where(np.abs(deviation) <= DUST * np.maximum(1.0, np.abs(baseline)), 0.0, deviation)


DUST = 1e-10


def runs(active: Mask, *values: Array) -> Index:
    """Number the groups in which only the largest deviation counts.

    A row whose values are each the same at all active steps is one group. Otherwise every run of equal values is one,
    and a value that comes back later starts another.
    """
    steady = np.ones(len(active), dtype=bool)
    fresh = np.ones(active.shape, dtype=bool)
    if active.shape[1] > 1:
        same = active[:, 1:] & active[:, :-1]
        for value in values:
            same &= value[:, 1:] == value[:, :-1]
            low = np.min(value, axis=1, where=active, initial=np.inf)
            high = np.max(value, axis=1, where=active, initial=-np.inf)
            steady &= low >= high
        fresh[:, 1:] = ~same
    fresh[steady, 1:] = False
    number = np.cumsum(fresh).reshape(active.shape) - 1
    return np.where(active, number, -1)


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
