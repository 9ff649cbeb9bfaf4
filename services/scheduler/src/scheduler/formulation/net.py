"""The net power of aggregates, tied to the devices' columns only where something depends on it.

    Σ_{d∈a} P_{d,j} = X_{a,j},      lower_{a,j} ≤ X_{a,j} ≤ upper_{a,j}

Where the cost of X is a straight line, no cap can bind and no largest deviation looks at it, the price goes on the
devices' own columns and there is neither row nor column.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from flexmodel.problem import Array, Index, Mask

from scheduler.formulation.builder import Builder
from scheduler.formulation.pieces import Cost, Pieces, add_largest, add_pieces, at_piece, price, sort
from scheduler.formulation.power import Power
from scheduler.formulation.terms import Aggregates, Each, Largest


@dataclass(frozen=True, slots=True)
class Net:
    """The aggregates' columns and rows (aggregates, steps); rows are -1 where the price is on the devices."""

    pieces: Pieces
    rows: Index
    slope: Array
    """Where there is no row: the price of the net power, per MW and step."""


def add_net(builder: Builder, aggregates: Aggregates, power: Power, terms: Sequence[Each | Largest]) -> Net:
    """Columns, rows and prices of all aggregates."""
    least, most = aggregates.sums(power.lowest), aggregates.sums(power.highest)
    lower, upper = aggregates.lower, aggregates.upper
    lowest, highest = np.maximum(least, lower), np.minimum(most, upper)
    kinks, crests = sort(terms, "power", lowest, highest)
    cost = price(lowest, highest, kinks)
    needed = (lower > least) | (upper < most) | (cost.exists.sum(axis=0) > 1)
    for crest in crests:
        needed[crest.term.rows] |= crest.group >= 0
    pieces = add_pieces(builder, "net", needed, cost)
    fixed = aggregates.sums(power.fixed)
    slope = _price_devices(builder, aggregates, power, needed, cost, fixed)
    balance = pieces.constant - fixed
    rows = builder.rows("net", needed, balance, balance)
    pieces.put(builder, rows, -1.0)
    number, device = aggregates.pairs()
    power.put(builder, rows[number], device)
    add_largest(builder, "net.largest", crests, pieces)
    return Net(pieces, rows, slope)


def _price_devices(
    builder: Builder, aggregates: Aggregates, power: Power, needed: Mask, cost: Cost, fixed: Array
) -> Array:
    """Price the devices directly where the aggregate has no column; gives that price, per MW and step."""
    slope: Array = np.where(needed | ~cost.exists.any(axis=0), 0.0, at_piece(cost.slope, cost.home))
    number, device = aggregates.pairs()
    builder.price(power.up[device], slope[number])
    builder.price(power.down[device], -slope[number])
    builder.offset += float(np.sum(cost.base + slope * fixed, where=~needed))
    return slope
