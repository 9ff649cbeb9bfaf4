"""Sorts the ledger's terms onto the quantities they price: by step where that is exact, else as largest deviations.

A largest deviation over a group of steps is a variable with a row for each step. Steps at which the quantity cannot
leave the baseline are left out; when a single step remains the largest deviation is that step's, and no variable is
needed.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from flexmodel.problem import Array, Index, Mask

from scheduler.formulation.pieces import Kinked
from scheduler.formulation.terms import Each, Largest, Subject


@dataclass(frozen=True, slots=True)
class Crest:
    """A largest deviation that needs variables: `group` (rows, steps) numbers them, -1 where it cannot matter."""

    term: Largest
    group: Index


def sort(
    terms: Iterable[Each | Largest], subject: Subject, lowest: Array, highest: Array
) -> tuple[list[Kinked], list[Crest]]:
    """Prices by step, spread over all rows of the quantity, and the largest deviations that remain."""
    layers: list[Kinked] = []
    crests: list[Crest] = []
    for term in terms:
        if term.subject != subject:
            continue
        if isinstance(term, Each):
            _lay(layers, term, lowest.shape)
            continue
        reach = _reach(term, lowest, highest)
        if reach.any():
            single, group = _split(term, reach)
            _lay(layers, single, lowest.shape)
            if (group >= 0).any():
                crests.append(Crest(term, group))
    return [Kinked(np.nan_to_num(layer.baseline), layer.up, layer.down) for layer in layers], crests


def _lay(layers: list[Kinked], term: Each, shape: tuple[int, ...]) -> None:
    """Put the term on the first layer whose baselines are the same or not yet chosen wherever both are active."""
    active = ~np.isnan(term.baseline) & ((term.up != 0) | (term.down != 0))
    if not active.any():
        return
    for layer in layers:
        taken = layer.baseline[term.rows]
        if (~active | np.isnan(taken) | (taken == term.baseline)).all():
            break
    else:
        layer = Kinked(np.full(shape, np.nan), np.zeros(shape), np.zeros(shape))
        layers.append(layer)
    layer.baseline[term.rows] = np.where(active, term.baseline, layer.baseline[term.rows])
    layer.up[term.rows] += np.where(active, term.up, 0.0)
    layer.down[term.rows] += np.where(active, term.down, 0.0)


def _reach(term: Largest, lowest: Array, highest: Array) -> Mask:
    """Where the quantity can leave the baseline, at a price."""
    beyond = highest[term.rows] - term.baseline if term.side > 0 else term.baseline - lowest[term.rows]
    return (beyond > _DUST) & (term.price > 0)


def _split(term: Largest, reach: Mask) -> tuple[Each, Index]:
    """The groups with one reachable step as a price by step, and the other groups."""
    group = np.where(reach, term.groups, -1)
    size = np.bincount(group[group >= 0], minlength=1)
    alone = (group >= 0) & (size[np.maximum(group, 0)] == 1)
    charge = np.where(alone, term.price, 0.0)
    none = np.zeros(charge.shape)
    up, down = (charge, none) if term.side > 0 else (none, -charge)
    return Each(term.names, term.subject, term.rows, term.baseline, up, down), np.where(alone, -1, group)


_DUST = 1e-12
