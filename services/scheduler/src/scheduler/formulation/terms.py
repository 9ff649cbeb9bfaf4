"""Priced terms: prices on deviations of a net power or of a stock, each under the name it is reported by.

    StepTerm:     Σ_j  up_j · (X_j − q_j)⁺ − down_j · (q_j − X_j)⁺
    LargestTerm:  Σ_g  max_{j∈g}  price_j · (±(X_j − q_j))⁺

X is the net power of an aggregate of devices (MW) or the energy in a stock (MWh), q the baseline. A penalty on being
low is a negative `down`; a positive one is a revenue. Rows of the arrays are aggregates or stocks, columns are steps.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from flexmodel.problem import Array, Group, Index, Mask, Problem, Site

Subject = Literal["power", "stock"]


@dataclass(frozen=True, slots=True)
class StepTerm:
    """A price on deviations at every step. No step with a NaN baseline is priced."""

    names: tuple[str, ...]
    """One for each row."""
    subject: Subject
    rows: Index
    """Indices of aggregates or stocks."""
    baseline: Array
    up: Array
    """Currency per MW and step, or per MWh and step."""
    down: Array

    def costs(self, values: Array) -> Array:
        """Return the cost of each row for the values (rows, steps) of all aggregates or stocks."""
        deviation = without_rounding_dust(values[self.rows] - self.baseline, self.baseline)
        price = np.where(deviation > 0, self.up, self.down)
        total: Array = np.where(np.isnan(deviation), 0.0, price * deviation).sum(axis=1)
        return total


@dataclass(frozen=True, slots=True)
class LargestTerm:
    """A price on the dearest deviation only, within a group of steps."""

    names: tuple[str, ...]
    subject: Subject
    rows: Index
    baseline: Array
    price: Array
    side: int
    """+1: deviations above the baseline; -1: below."""
    grouped_by: tuple[Array, ...]
    """Steps with equal values of all these arrays (rows, steps) form a group; without any, all steps do."""

    @property
    def groups(self) -> Index:
        """Numbers of groups (rows, steps), -1 where inactive. No number occurs in two rows."""
        active = ~np.isnan(self.baseline)
        if self.grouped_by:
            return number_groups(active, *self.grouped_by)
        return np.where(active, np.arange(len(active))[:, None], -1)

    def costs(self, values: Array) -> Array:
        """Return the cost of each row for the values (rows, steps) of all aggregates or stocks."""
        deviation = self.side * without_rounding_dust(values[self.rows] - self.baseline, self.baseline)
        charge = np.where(deviation > 0, self.price * deviation, 0.0)
        row, step = np.nonzero(charge)
        total = np.zeros(len(self.rows))
        if len(row):
            group = self.groups[row, step]
            distinct, place = np.unique(group, return_inverse=True)
            dearest, owner = np.zeros(len(distinct)), np.zeros(len(distinct), dtype=np.int64)
            np.maximum.at(dearest, place, charge[row, step])
            owner[place] = row
            np.add.at(total, owner, dearest)
        return total


def without_rounding_dust(deviation: Array, baseline: Array) -> Array:
    """Return deviations without rounding dust: a price of 1e7 would turn 1e-12 MW into money."""
    return np.where(np.abs(deviation) <= DUST * np.maximum(1.0, np.abs(baseline)), 0.0, deviation)


DUST = 1e-10
"""Relative size of a deviation that counts as rounding."""


def number_groups(active: Mask, *values: Array) -> Index:
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


@dataclass(frozen=True, slots=True)
class Aggregates:
    """Sets of devices whose summed power is priced or limited: the devices of a site, of a group or of a commitment,
    or one device. Each set occurs once, however many prices refer to it."""

    members: tuple[Index, ...]
    lower: Array
    """Hard limits on the sum (sets, steps), infinite where there are none."""
    upper: Array
    sites: Index
    """The set of each site."""
    groups: Index
    """The set of each group."""
    devices: Index
    """The set of each device with a soft limit of its own, -1 for the others."""
    commitments: Index
    """The set of each commitment."""

    @classmethod
    def of_problem(cls, problem: Problem) -> "Aggregates":
        """Number the sets of a problem: those of sites first, then of groups, single devices and commitments."""
        known: dict[bytes, int] = {}
        members: list[Index] = []

        def number(devices: Index) -> int:
            ordered = np.unique(devices)
            key = ordered.tobytes()
            if key not in known:
                known[key] = len(members)
                members.append(ordered)
            return known[key]

        sites = np.array([number(site.devices) for site in problem.sites], dtype=np.int64)
        groups = np.array([number(group.devices) for group in problem.groups], dtype=np.int64)
        devices = np.full(len(problem.devices), -1, dtype=np.int64)
        for limit in (problem.devices.consumption_cap, problem.devices.production_cap):
            for device in np.flatnonzero((~np.isnan(limit)).any(axis=1)):
                devices[device] = number(np.array([device], dtype=np.int64))
        commitments = np.array([number(commitment.devices) for commitment in problem.commitments], dtype=np.int64)
        shape = (len(members), problem.window.steps)
        lower, upper = np.full(shape, -np.inf), np.full(shape, np.inf)
        connections: list[Site | Group] = [*problem.sites, *problem.groups]
        for row, connection in zip([*sites, *groups], connections, strict=True):
            lower[row] = np.fmax(lower[row], connection.power_min)
            upper[row] = np.fmin(upper[row], connection.power_max)
        return cls(tuple(members), lower, upper, sites, groups, devices, commitments)

    def memberships(self) -> tuple[Index, Index]:
        """Return every membership as (set, device)."""
        sizes = [len(devices) for devices in self.members]
        none = np.zeros(0, dtype=np.int64)
        return np.repeat(np.arange(len(sizes)), sizes), np.concatenate([none, *self.members])

    def sums(self, values: Array) -> Array:
        """Return the sums (sets, steps) of values given by device (devices, steps)."""
        total = np.zeros((len(self.members), values.shape[1]))
        for number, devices in enumerate(self.members):
            total[number] = values[devices].sum(axis=0)
        return total
