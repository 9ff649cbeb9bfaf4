"""Quantities with a piecewise linear cost: one column for each piece between two baselines, and no rows.

    X = constant + Σ_k sign_k · x_k,      cost(X) = base + Σ_k slope_k · sign_k · x_k

The piece with the gentlest slope is home: its column keeps the quantity's own values. Pieces above it count up from
its end, pieces below it count down from its start. Where the cost has a sharp lowest point instead (a target, say),
all pieces count from there. So a penalty is paid on the breach itself and is never the difference of two large
numbers. Where the slopes rise the cheapest filling is the right one. Where a slope falls (production earns more than
consumption costs, say) the program alone would fill the pieces out of order: those kinks are `concave` and need a
binary choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from flexmodel.problem import Array, Index, Mask
from numpy.typing import ArrayLike

from scheduler.formulation.builder import Builder

CROSSED = 1e-9
"""By how much the ends of a range may cross and still be a point."""


@dataclass(frozen=True, slots=True)
class Kinked:
    """A price that changes at a baseline: `up` per unit above it, `down` per unit below it. Arrays are (rows,
    steps)."""

    baseline: Array
    up: Array
    down: Array


@dataclass(frozen=True, slots=True)
class Cost:
    """A piecewise linear cost over a range, as pieces (pieces, rows, steps) from low to high."""

    left: Array
    right: Array
    slope: Array
    exists: Mask
    home: Index
    """The piece with the gentlest slope, or the one above the lowest point where that is `sharp` (rows, steps)."""
    sharp: Mask
    base: Array
    """The constant part of the cost (rows, steps); all of it where the range is a point."""

    @property
    def concave(self) -> Mask:
        """Pieces (after the first) that are cheaper per unit than the piece before them."""
        steps = np.diff(self.slope, axis=0)
        tolerance = 1e-12 * np.abs(self.slope).max(axis=0, initial=0.0)
        concave = np.zeros(self.exists.shape, dtype=bool)
        concave[1:] = self.exists[1:] & self.exists[:-1] & (steps < -tolerance)
        return concave


@dataclass(frozen=True, slots=True)
class Pieces:
    """The columns of a quantity. X = constant + Σ_k sign_k · column_k."""

    cost: Cost
    columns: Index
    sign: Array
    constant: Array

    def put(
        self,
        builder: Builder,
        rows: Index,
        factor: ArrayLike,
        which: Index | slice = slice(None),
        steps: slice = slice(None),
    ) -> None:
        """Add `factor · X` to rows (rows, steps); the constant is the caller's to move to the other side."""
        for columns, sign in zip(self.columns, self.sign, strict=True):
            builder.put(rows, columns[which, steps], sign[which, steps] * factor)

    def values(self, x: Array) -> Array:
        """The quantity (rows, steps) of a solution."""
        padded = np.append(x, 0.0)
        total: Array = self.constant + (self.sign * padded[self.columns]).sum(axis=0)
        return total


def price(lowest: Array, highest: Array, kinks: Sequence[Kinked]) -> Cost:
    """Cut the range [lowest, highest] at the baselines where the price changes."""
    slope = np.zeros(lowest.shape)
    cuts: list[Array] = []
    bends: list[Array] = []
    for kink in kinks:
        bend = kink.up - kink.down
        slope = slope + kink.down
        if ((kink.baseline > lowest) & (kink.baseline < highest) & (bend != 0)).any():
            cuts.append(kink.baseline)
            bends.append(bend)
        else:
            slope = slope + np.where(kink.baseline <= lowest, bend, 0.0)
    edges, bend = _ordered(cuts, bends, lowest.shape)
    edges = np.clip(edges, lowest, highest)
    left = np.concatenate([lowest[None], edges])
    right = np.concatenate([edges, highest[None]])
    slopes = slope + np.concatenate([np.zeros((1, *lowest.shape)), np.cumsum(bend, axis=0)])
    exists = right > left
    lowest_point = np.zeros(exists.shape, dtype=bool)
    lowest_point[1:] = exists[1:] & exists[:-1] & (slopes[1:] > 0) & (slopes[:-1] < 0)
    sharp = lowest_point.any(axis=0)
    gentlest = np.argmin(np.where(exists, np.abs(slopes), np.inf), axis=0)
    home = np.where(sharp, np.argmax(lowest_point, axis=0), gentlest)
    there = np.where(sharp, at_piece(left, home), np.clip(0.0, at_piece(left, home), at_piece(right, home)))
    counted = np.where(sharp | ~exists.any(axis=0), 0.0, at_piece(slopes, home) * there)
    base = sum((_cost_of(there, kink) for kink in kinks), np.zeros(lowest.shape)) - counted
    return Cost(left, right, slopes, exists, home, sharp, base)


def at_piece(values: Array, piece: Index) -> Array:
    """The values (rows, steps) of one piece at each place."""
    picked: Array = values[0] if len(values) == 1 else np.take_along_axis(values, piece[None], axis=0)[0]
    return picked


def _cost_of(values: Array, kink: Kinked) -> Array:
    """The cost of values; zero where nothing is priced, so that an absent baseline may be anything."""
    priced = (kink.up != 0) | (kink.down != 0)
    gap = values - np.where(priced, kink.baseline, values)
    return np.where(gap > 0, kink.up, kink.down) * gap


def _ordered(cuts: list[Array], bends: list[Array], shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Cuts in rising order with their bends; equal cuts become one, and cuts without a bend move out of the way."""
    if not cuts:
        return np.zeros((0, *shape)), np.zeros((0, *shape))
    cut, bend = np.array(cuts), np.array(bends)
    for later in range(1, len(cut)):
        for earlier in range(later):
            same = cut[earlier] == cut[later]
            bend[earlier] += np.where(same, bend[later], 0.0)
            bend[later] = np.where(same, 0.0, bend[later])
    cut = np.where(bend == 0, np.inf, cut)
    order = np.argsort(cut, axis=0, kind="stable")
    return np.take_along_axis(cut, order, axis=0), np.take_along_axis(bend, order, axis=0)


def add_pieces(builder: Builder, name: str, where: Mask, cost: Cost) -> Pieces:
    """The columns for a quantity at the (rows, steps) where it is needed."""
    exists = cost.exists & where
    number = np.arange(len(exists))[:, None, None]
    sign = np.where(number < cost.home, -1.0, 1.0)
    with np.errstate(invalid="ignore"):
        width = cost.right - cost.left
    natural = (number == cost.home) & ~cost.sharp
    lower = np.where(natural, cost.left, 0.0)
    upper = np.where(natural, cost.right, width)
    columns = np.array(
        [
            builder.columns(f"{name}.{k}" if k else name, exists[k], lower[k], upper[k], cost.slope[k] * sign[k])
            for k in range(len(exists))
        ]
    )
    fixed, sharp = where & ~exists.any(axis=0), where & cost.sharp
    lowest, highest = cost.left[0], cost.right[-1]
    point = highest.copy()
    crossed = lowest > highest + CROSSED
    point[crossed] = (lowest[crossed] + highest[crossed]) / 2  # what neither the devices nor the caps allow
    constant = np.where(fixed, point, np.where(sharp, at_piece(cost.left, cost.home), 0.0))
    builder.offset += float(np.sum(cost.base, where=where))
    return Pieces(cost, columns, sign, constant)
