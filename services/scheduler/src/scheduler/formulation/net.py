"""The net power of aggregates, tied to the devices' columns only where something depends on it.

    Σ_{d∈a} P_{d,j} = X_{a,j},      lower_{a,j} ≤ X_{a,j} ≤ upper_{a,j}

Where the cost of X is a straight line, no hard limit can bind and no largest deviation refers to it, the price goes on
the devices' own columns and there is neither row nor column.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from flexmodel.problem import Array, Index

from scheduler.formulation.builder import Builder
from scheduler.formulation.pieces import (
    Pieces,
    add_largest_deviations,
    add_pieces,
    piecewise_cost,
    sort_terms,
    take_piece,
)
from scheduler.formulation.power import PowerColumns
from scheduler.formulation.terms import Aggregates, LargestTerm, StepTerm


@dataclass(frozen=True, slots=True)
class NetColumns:
    """The aggregates' columns and rows (aggregates, steps); rows are -1 where the price is on the devices."""

    pieces: Pieces
    rows: Index
    slope: Array
    """Price of the net power per MW and step where there is no row."""


def add_net(
    builder: Builder, aggregates: Aggregates, power: PowerColumns, terms: Sequence[StepTerm | LargestTerm]
) -> NetColumns:
    """Add columns, rows and prices of all aggregates."""
    least, most, fixed = (aggregates.sums(values) for values in (power.lowest, power.highest, power.fixed))
    number, device = aggregates.memberships()
    lower, upper = aggregates.lower, aggregates.upper
    lowest, highest = np.maximum(least, lower), np.minimum(most, upper)
    kinks, crests = sort_terms(terms, "power", lowest, highest)
    cost = piecewise_cost(lowest, highest, kinks)
    needed = (lower > least) | (upper < most) | (cost.exists.sum(axis=0) > 1)
    for crest in crests:
        needed[crest.term.rows] |= crest.group >= 0
    slope: Array = np.where(needed | ~cost.exists.any(axis=0), 0.0, take_piece(cost.slope, cost.home))
    pieces = add_pieces(builder, "net", needed, cost)
    builder.add_costs(power.up[device], slope[number])
    builder.add_costs(power.down[device], -slope[number])
    builder.offset += float(np.sum(cost.base + slope * fixed, where=~needed))
    balance = pieces.constant - fixed
    rows = builder.add_rows("net", needed, balance, balance)
    pieces.add_to_rows(builder, rows, -1.0)
    power.add_to_rows(builder, rows[number], device)
    add_largest_deviations(builder, "net.largest", crests, pieces)
    return NetColumns(pieces, rows, slope)
