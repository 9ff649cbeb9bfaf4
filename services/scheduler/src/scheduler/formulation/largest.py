"""The largest deviation of a group of steps as a variable.

    m_g ≥ (price_j / price_g) · (±(X_j − q_j))  for all j ∈ g,    m_g ≥ 0,    cost price_g · m_g

with price_g the highest price in the group, so that m is in the quantity's own unit.
"""

from collections.abc import Sequence

import numpy as np

from scheduler.formulation.builder import Builder
from scheduler.formulation.kinks import Crest
from scheduler.formulation.pieces import Pieces


def add_largest(builder: Builder, name: str, crests: Sequence[Crest], quantity: Pieces) -> None:
    """Columns and rows of all groups."""
    for number, (term, group) in enumerate((crest.term, crest.group) for crest in crests):
        active = group >= 0
        top = np.zeros(int(group.max()) + 1)
        np.maximum.at(top, group[active], term.price[active])
        crest = builder.columns(f"{name}.{number}", top > 0, 0.0, np.inf, top)
        highest = np.where(active, top[group], 1.0)
        factor = np.where(active, term.side * term.price / highest, 0.0)
        rest = np.where(active, factor * (term.baseline - quantity.constant[term.rows]), 0.0)
        rows = builder.rows(f"{name}.{number}", active, -np.inf, rest)
        quantity.put(builder, rows, factor, term.rows)
        builder.put(rows, np.where(active, crest[group], -1), -1.0)
