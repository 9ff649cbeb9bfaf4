"""The largest deviation of a group of steps as a variable.

    m_g ≥ (price_j / price_g) · (±(X_j − q_j))  for all j ∈ g,    m_g ≥ 0,    cost price_g · m_g

with price_g the highest price in the group, so that m is in the quantity's own unit.
"""

from collections.abc import Sequence

import numpy as np

from scheduler.formulation.builder import Builder
from scheduler.formulation.pieces import Pieces
from scheduler.formulation.terms import Largest


def add_largest(builder: Builder, name: str, terms: Sequence[Largest], quantity: Pieces) -> None:
    """Columns and rows of all groups."""
    for number, term in enumerate(terms):
        active = term.group >= 0
        top = np.zeros(int(term.group.max()) + 1)
        np.maximum.at(top, term.group[active], term.price[active])
        crest = builder.columns(f"{name}.{number}", top > 0, 0.0, np.inf, top)
        highest = np.where(active, top[np.maximum(term.group, 0)], 1.0)
        share = np.where(active, term.price / highest, 0.0)
        rest = np.where(active, share * term.side * (np.nan_to_num(term.baseline) - quantity.constant[term.rows]), 0.0)
        spread = np.full(quantity.constant.shape, -1, dtype=np.int64)
        rows = builder.rows(f"{name}.{number}", active, -np.inf, rest)
        spread[term.rows] = rows
        factor = np.zeros(spread.shape)
        factor[term.rows] = share * term.side
        quantity.put(builder, spread, factor)
        builder.put(rows, np.where(active, crest[np.maximum(term.group, 0)], -1), -1.0)
