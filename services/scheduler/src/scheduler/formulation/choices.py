"""Either-or choices that a linear program cannot express, as pairs of bounds.

A choice is a set of columns that must lie either all within their `on` bounds or all within their `off` bounds. It
costs nothing until a linear solution breaks it; then it becomes a binary variable z with the rows

    off_lower + (on_lower − off_lower) · z ≤ x ≤ off_upper + (on_upper − off_upper) · z

There are two types. *Direction*: the devices of one commodity on one stock charge (on) or discharge (off), never
against each other. *Kink*: a net power lies above (on) or below (off) a baseline where its price falls, so that its
pieces are filled in order.
"""

from dataclasses import dataclass, replace

import numpy as np
from flexmodel.problem import Array, Devices, Index, Mask
from scipy.sparse import csr_matrix, hstack, vstack

from scheduler.formulation.builder import Program
from scheduler.formulation.pieces import Pieces
from scheduler.formulation.power import PowerColumns


@dataclass(frozen=True, slots=True)
class Choices:
    """Choices. `column`, `choice` and the bounds have one element for each column of each choice."""

    count: int
    step: Index
    """The step of each choice."""
    expected_broken: Mask
    """Choices that a linear solution will almost surely break."""
    column: Index
    choice: Index
    on_lower: Array
    on_upper: Array
    off_lower: Array
    off_upper: Array

    def distances(self, x: Array) -> tuple[Array, Array]:
        """Return the distances of a solution from the `on` and from the `off` bounds of each choice."""
        values = x[self.column]
        distances = []
        for lower, upper in ((self.on_lower, self.on_upper), (self.off_lower, self.off_upper)):
            distance = np.maximum(lower - values, 0) + np.maximum(values - upper, 0)
            distances.append(np.bincount(self.choice, distance, minlength=self.count))
        return distances[0], distances[1]

    def broken(self, x: Array) -> Mask:
        """Return the choices that a solution breaks."""
        on, off = self.distances(x)
        return np.minimum(on, off) > TOLERANCE

    def prefers_on(self, x: Array) -> Mask:
        """Return for each choice whether `on` is nearer to the solution."""
        on, off = self.distances(x)
        return on < off


TOLERANCE = 1e-9
"""Distance from the nearer bounds up to which a choice counts as kept."""


def fix_choices(program: Program, choices: Choices, decided: Mask, on: Mask) -> Program:
    """Return the program with some choices fixed, as bounds."""
    lower, upper = program.lower.copy(), program.upper.copy()
    entry = decided[choices.choice]
    column, side = choices.column[entry], on[choices.choice][entry]
    np.maximum.at(lower, column, np.where(side, choices.on_lower[entry], choices.off_lower[entry]))
    np.minimum.at(upper, column, np.where(side, choices.on_upper[entry], choices.off_upper[entry]))
    return replace(program, lower=lower, upper=upper)


def add_binaries(program: Program, choices: Choices, chosen: Mask) -> Program:
    """Return the program with a binary column for each selected choice, after all its own columns."""
    number = np.cumsum(chosen) - 1
    entry = np.flatnonzero(chosen[choices.choice])
    column, binary = choices.column[entry], len(program.cost) + number[choices.choice[entry]]
    ends = ((choices.off_lower, choices.on_lower, True), (choices.off_upper, choices.on_upper, False))
    blocks, row_lower, row_upper = [], [program.row_lower], [program.row_upper]
    added = int(chosen.sum())
    width = len(program.cost) + added
    for off, on, is_lower in ends:
        slope = (on - off)[entry]
        moves = np.flatnonzero(slope != 0)
        rows = np.arange(len(moves))
        blocks.append(
            csr_matrix(
                (
                    np.concatenate([np.ones(len(moves)), -slope[moves]]),
                    (np.concatenate([rows, rows]), np.concatenate([column[moves], binary[moves]])),
                ),
                shape=(len(moves), width),
            )
        )
        bound = off[entry][moves]
        row_lower.append(bound if is_lower else np.full(len(moves), -np.inf))
        row_upper.append(np.full(len(moves), np.inf) if is_lower else bound)
    own = hstack([program.matrix, csr_matrix((len(program.row_lower), added))])
    return replace(
        program,
        lower=np.concatenate([program.lower, np.zeros(added)]),
        upper=np.concatenate([program.upper, np.ones(added)]),
        cost=np.concatenate([program.cost, np.zeros(added)]),
        integer=np.concatenate([program.integer, np.ones(added, dtype=bool)]),
        row_lower=np.concatenate(row_lower),
        row_upper=np.concatenate(row_upper),
        matrix=csr_matrix(vstack([own, *blocks])),
    )


def concatenate_choices(parts: list[Choices]) -> Choices:
    """Concatenate choices, renumbered."""
    first = np.cumsum([0, *(part.count for part in parts)])
    return Choices(
        count=int(first[-1]),
        step=np.concatenate([part.step for part in parts]),
        expected_broken=np.concatenate([part.expected_broken for part in parts]),
        column=np.concatenate([part.column for part in parts]),
        choice=np.concatenate([part.choice + start for part, start in zip(parts, first[:-1], strict=True)]),
        on_lower=np.concatenate([part.on_lower for part in parts]),
        on_upper=np.concatenate([part.on_upper for part in parts]),
        off_lower=np.concatenate([part.off_lower for part in parts]),
        off_upper=np.concatenate([part.off_upper for part in parts]),
    )


def direction_choices(program: Program, devices: Devices, power: PowerColumns) -> Choices:
    """Return a choice between charging and discharging for every stock, commodity and step where both are possible."""
    stocked = np.flatnonzero(devices.stock >= 0)
    kinds = {name: number for number, name in enumerate(dict.fromkeys(devices.commodity))}
    commodity = np.array([kinds[name] for name in devices.commodity], dtype=np.int64)
    _, side = np.unique(devices.stock[stocked] * max(len(kinds), 1) + commodity[stocked], return_inverse=True)
    up, down = power.up[stocked], power.down[stocked]
    shape = (int(side.max(initial=-1)) + 1, up.shape[1])
    opens_up, opens_down = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    np.logical_or.at(opens_up, side, up >= 0)
    np.logical_or.at(opens_down, side, down >= 0)
    both = opens_up & opens_down
    number = np.where(both, np.cumsum(both).reshape(shape) - 1, -1)
    steps = np.broadcast_to(np.arange(shape[1]), shape)[both]
    columns, choice, is_up = [], [], []
    for index, upward in ((up, True), (down, False)):
        kept = (index >= 0) & both[side]
        columns.append(index[kept])
        choice.append(number[side][kept])
        is_up.append(np.full(int(kept.sum()), upward))
    column, charging = np.concatenate(columns), np.concatenate(is_up)
    lower, upper = program.lower[column], program.upper[column]
    return Choices(
        count=int(both.sum()),
        step=steps,
        expected_broken=np.zeros(int(both.sum()), dtype=bool),
        column=column,
        choice=np.concatenate(choice),
        on_lower=np.where(charging, lower, 0.0),
        on_upper=np.where(charging, upper, 0.0),
        off_lower=np.where(charging, 0.0, lower),
        off_upper=np.where(charging, 0.0, upper),
    )


def kink_choices(program: Program, pieces: Pieces) -> Choices:
    """Return a choice for every baseline where the price of net power falls, so that the pieces are filled in order."""
    concave = pieces.cost.concave & (pieces.columns >= 0)
    place = np.argwhere(concave)  # (piece above the kink, row, step)
    column, choice, empty, full = [], [], [], []
    for piece, columns in enumerate(pieces.columns):
        numbers = columns[place[:, 1], place[:, 2]]
        kept = np.flatnonzero(numbers >= 0)
        own = numbers[kept]
        counts_up = pieces.sign[piece][place[kept, 1], place[kept, 2]] > 0
        low = np.where(counts_up, program.lower[own], program.upper[own])
        high = np.where(counts_up, program.upper[own], program.lower[own])
        above = piece >= place[kept, 0]
        column.append(own)
        choice.append(kept)
        empty.append(np.where(above, low, np.nan))
        full.append(np.where(above, np.nan, high))
    columns_, forced_off, forced_on = np.concatenate(column), np.concatenate(empty), np.concatenate(full)
    lower, upper = program.lower[columns_], program.upper[columns_]
    return Choices(
        count=len(place),
        step=place[:, 2],
        expected_broken=np.ones(len(place), dtype=bool),
        column=columns_,
        choice=np.concatenate(choice).astype(np.int64),
        on_lower=np.where(np.isnan(forced_on), lower, forced_on),
        on_upper=np.where(np.isnan(forced_on), upper, forced_on),
        off_lower=np.where(np.isnan(forced_off), lower, forced_off),
        off_upper=np.where(np.isnan(forced_off), upper, forced_off),
    )


def negative_price_steps(net: Pieces) -> Mask:
    """Return the steps at which drawing power can earn money, so that wasting it may pay."""
    negative: Mask = ((net.cost.slope < 0) & net.cost.exists).any(axis=(0, 1))
    return negative
