"""Quantities with a piecewise linear cost: one column for each piece between two baselines, and no rows.

    X = constant + Σ_k sign_k · x_k,      cost(X) = base + Σ_k slope_k · sign_k · x_k

The piece with the gentlest slope is home: its column keeps the quantity's own values. Pieces above it count up from
its end, pieces below it count down from its start. Where the cost has a sharp lowest point instead (a target, say),
all pieces count from there. So a penalty is paid on the breach itself and is never the difference of two large
numbers. Where the slopes rise the cheapest filling is the right one. Where a slope falls (production earns more than
consumption costs, say) the program alone would fill the pieces out of order: those kinks are `concave` and need a
binary choice.

Terms of the ledger become prices by step where that is exact, else largest deviations. The largest deviation of a
group of steps is a variable with a row for each step:

    m_g ≥ (price_j / price_g) · (±(X_j − q_j))  for all j ∈ g,    m_g ≥ 0,    cost price_g · m_g

with price_g the highest price in the group, so that m is in the quantity's own unit. Steps at which the quantity cannot
leave the baseline are left out; when a single step remains the largest deviation is that step's, and no variable is
needed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from flexmodel.problem import Array, Index, Mask
from numpy.typing import ArrayLike

from scheduler.formulation.builder import Builder
from scheduler.formulation.terms import LargestTerm, StepTerm, Subject

CROSSED = 1e-9
"""Overlap up to which the crossed ends of a range still are a point."""


@dataclass(frozen=True, slots=True)
class Kink:
    """A price that changes at a baseline: `up` per unit above, `down` per unit below it. Arrays are (rows, steps)."""

    baseline: Array
    up: Array
    down: Array


@dataclass(frozen=True, slots=True)
class PiecewiseCost:
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
    """The columns of a quantity: X = constant + Σ_k sign_k · column_k."""

    cost: PiecewiseCost
    columns: Index
    sign: Array
    constant: Array

    def add_to_rows(
        self,
        builder: Builder,
        rows: Index,
        factor: ArrayLike,
        which: Index | slice = slice(None),
        steps: slice = slice(None),
    ) -> None:
        """Add `factor · X` to rows (rows, steps), without the constant, which the caller moves to the other side."""
        for columns, sign in zip(self.columns, self.sign, strict=True):
            builder.add_coefficients(rows, columns[which, steps], sign[which, steps] * factor)

    def values(self, x: Array) -> Array:
        """Return the quantity (rows, steps) of a solution."""
        padded = np.append(x, 0.0)
        total: Array = self.constant + (self.sign * padded[self.columns]).sum(axis=0)
        return total


def piecewise_cost(lowest: Array, highest: Array, kinks: Sequence[Kink]) -> PiecewiseCost:
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
    origin = np.where(sharp, take_piece(left, home), np.clip(0.0, take_piece(left, home), take_piece(right, home)))
    counted = np.where(sharp | ~exists.any(axis=0), 0.0, take_piece(slopes, home) * origin)
    base = sum((_cost_of(origin, kink) for kink in kinks), np.zeros(lowest.shape)) - counted
    return PiecewiseCost(left, right, slopes, exists, home, sharp, base)


def take_piece(values: Array, piece: Index) -> Array:
    """Return the values (rows, steps) of one piece at each place."""
    picked: Array = values[0] if len(values) == 1 else np.take_along_axis(values, piece[None], axis=0)[0]
    return picked


def _cost_of(values: Array, kink: Kink) -> Array:
    """Return the cost of values, zero where nothing is priced, so that an absent baseline may be anything."""
    priced = (kink.up != 0) | (kink.down != 0)
    gap = values - np.where(priced, kink.baseline, values)
    return np.where(gap > 0, kink.up, kink.down) * gap


def _ordered(cuts: list[Array], bends: list[Array], shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Return cuts in rising order with their bends. Equal cuts become one; cuts without a bend move out of the way."""
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


def add_pieces(builder: Builder, name: str, where: Mask, cost: PiecewiseCost) -> Pieces:
    """Add the columns of a quantity at the (rows, steps) where it is needed."""
    exists = cost.exists & where
    number = np.arange(len(exists))[:, None, None]
    sign = np.where(number < cost.home, -1.0, 1.0)
    with np.errstate(invalid="ignore"):
        width = cost.right - cost.left
    natural = (number == cost.home) & ~cost.sharp
    lower = np.where(natural, cost.left, 0.0)
    upper = np.where(natural, cost.right, width)
    fixed, sharp = where & ~exists.any(axis=0), where & cost.sharp
    lowest, highest = cost.left[0], cost.right[-1]
    point = highest.copy()
    crossed = lowest > highest + CROSSED
    point[crossed] = (lowest[crossed] + highest[crossed]) / 2  # what neither the devices nor the caps allow
    constant = np.where(fixed, point, np.where(sharp, take_piece(cost.left, cost.home), 0.0))
    columns = np.array(
        [
            builder.add_columns(f"{name}.{k}" if k else name, exists[k], lower[k], upper[k], cost.slope[k] * sign[k])
            for k in range(len(exists))
        ]
    )
    builder.offset += float(np.sum(cost.base, where=where))
    return Pieces(cost, columns, sign, constant)


@dataclass(frozen=True, slots=True)
class LargestDeviation:
    """A largest deviation that needs variables: `group` (rows, steps) numbers them, -1 where it cannot matter."""

    term: LargestTerm
    group: Index


def sort_terms(
    terms: Iterable[StepTerm | LargestTerm], subject: Subject, lowest: Array, highest: Array
) -> tuple[list[Kink], list[LargestDeviation]]:
    """Return prices by step, spread over all rows of the quantity, and the largest deviations that remain."""
    layers: list[Kink] = []
    crests: list[LargestDeviation] = []
    for term in terms:
        if term.subject != subject:
            continue
        if isinstance(term, StepTerm):
            _add_to_layers(layers, term, lowest.shape)
            continue
        reach = _reachable(term, lowest, highest)
        if reach.any():
            single, group = _split_term(term, reach)
            _add_to_layers(layers, single, lowest.shape)
            if (group >= 0).any():
                crests.append(LargestDeviation(term, group))
    return [Kink(np.nan_to_num(layer.baseline), layer.up, layer.down) for layer in layers], crests


def _add_to_layers(layers: list[Kink], term: StepTerm, shape: tuple[int, ...]) -> None:
    """Put the term on the first layer whose baselines are the same or not yet chosen wherever both are active."""
    active = ~np.isnan(term.baseline) & ((term.up != 0) | (term.down != 0))
    if not active.any():
        return
    for layer in layers:
        taken = layer.baseline[term.rows]
        if (~active | np.isnan(taken) | (taken == term.baseline)).all():
            break
    else:
        layer = Kink(np.full(shape, np.nan), np.zeros(shape), np.zeros(shape))
        layers.append(layer)
    layer.baseline[term.rows] = np.where(active, term.baseline, layer.baseline[term.rows])
    layer.up[term.rows] += np.where(active, term.up, 0.0)
    layer.down[term.rows] += np.where(active, term.down, 0.0)


def _reachable(term: LargestTerm, lowest: Array, highest: Array) -> Mask:
    """Return where the quantity can leave the baseline, at a price."""
    beyond = highest[term.rows] - term.baseline if term.side > 0 else term.baseline - lowest[term.rows]
    return (beyond > NEGLIGIBLE) & (term.price > 0)


def _split_term(term: LargestTerm, reach: Mask) -> tuple[StepTerm, Index]:
    """Return the groups with one reachable step as a price by step, and the other groups."""
    group = np.where(reach, term.groups, -1)
    size = np.bincount(group[group >= 0], minlength=1)
    alone = (group >= 0) & (size[np.maximum(group, 0)] == 1)
    charge = np.where(alone, term.price, 0.0)
    none = np.zeros(charge.shape)
    up, down = (charge, none) if term.side > 0 else (none, -charge)
    return StepTerm(term.names, term.subject, term.rows, term.baseline, up, down), np.where(alone, -1, group)


NEGLIGIBLE = 1e-12
"""MW or MWh beyond a baseline that do not count as leaving it."""


def add_largest_deviations(builder: Builder, name: str, crests: Sequence[LargestDeviation], quantity: Pieces) -> None:
    """Add columns and rows of all groups."""
    for number, (term, group) in enumerate((crest.term, crest.group) for crest in crests):
        active = group >= 0
        top = np.zeros(int(group.max()) + 1)
        np.maximum.at(top, group[active], term.price[active])
        crest = builder.add_columns(f"{name}.{number}", top > 0, 0.0, np.inf, top)
        highest = np.where(active, top[group], 1.0)
        factor = np.where(active, term.side * term.price / highest, 0.0)
        rest = np.where(active, factor * (term.baseline - quantity.constant[term.rows]), 0.0)
        rows = builder.add_rows(f"{name}.{number}", active, -np.inf, rest)
        quantity.add_to_rows(builder, rows, factor, term.rows)
        builder.add_coefficients(rows, np.where(active, crest[group], -1), -1.0)
