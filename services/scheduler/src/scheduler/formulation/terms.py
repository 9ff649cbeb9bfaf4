"""What costs money: prices on deviations of a net power or of a stock, each under the name it is reported by.

    Each:     Σ_j  up_j · (X_j − q_j)⁺ − down_j · (q_j − X_j)⁺
    Largest:  Σ_g  max_{j∈g}  price_j · (±(X_j − q_j))⁺

X is the net power of an aggregate of devices (MW) or the energy in a stock (MWh), q the baseline. A penalty on being
low is a negative `down`; a positive one is a revenue. Rows of the arrays are aggregates or stocks, columns are steps.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from flexmodel.problem import Array, Index, Mask

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
