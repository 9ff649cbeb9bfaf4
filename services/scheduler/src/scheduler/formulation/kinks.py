"""Sorts the ledger's terms onto the quantities they price: by step where that is exact, else as largest deviations.

A largest deviation over a group of steps is a variable with a row for each step. Steps at which the quantity cannot
leave the baseline are left out; when a single step remains the largest deviation is that step's, and no variable is
needed.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from flexmodel.problem import Array

from scheduler.formulation.pieces import Kinked
from scheduler.formulation.terms import Each, Largest, Subject


def sort(
    terms: Iterable[Each | Largest], subject: Subject, lowest: Array, highest: Array
) -> tuple[list[Kinked], list[Largest]]:
    """Prices by step, spread over all rows of the quantity, and the largest deviations that remain."""
    layers: list[Kinked] = []
    largest: list[Largest] = []
    for term in terms:
        if term.subject != subject:
            continue
        if isinstance(term, Largest):
            single, several = _split(term, lowest, highest)
            largest.extend([several] if (several.group >= 0).any() else [])
            if not single.up.any() and not single.down.any():
                continue
            term = single
        _lay(layers, term, lowest.shape)
    return [Kinked(np.nan_to_num(layer.baseline), layer.up, layer.down) for layer in layers], largest


def _lay(layers: list[Kinked], term: Each, shape: tuple[int, ...]) -> None:
    """Put the term on the first layer whose baselines are the same or not yet chosen wherever both are active."""
    active = ~np.isnan(term.baseline) & ((term.up != 0) | (term.down != 0))
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


def _split(term: Largest, lowest: Array, highest: Array) -> tuple[Each, Largest]:
    """The groups with one reachable step as a price by step, and the other groups."""
    low, high = lowest[term.rows], highest[term.rows]
    reach = high > term.baseline + _DUST if term.side > 0 else low < term.baseline - _DUST
    group = np.where(reach & (term.price > 0), term.group, -1)
    size = np.bincount(group[group >= 0], minlength=1)
    alone = (group >= 0) & (size[np.maximum(group, 0)] == 1)
    charge = np.where(alone, term.price, 0.0)
    none = np.zeros(charge.shape)
    up, down = (charge, none) if term.side > 0 else (none, -charge)
    single = Each(term.names, term.subject, term.rows, term.baseline, up, down)
    return single, replace(term, group=np.where(alone, -1, group))


_DUST = 1e-12
