"""Peak tariffs: the largest excess over the sunk peak is charged once per window.

    max_j  price_j · (X_j − sunk_j)⁺        and the mirror image for production

A tariff whose price or sunk peak changes within the window still charges once: for the dearest excess.
"""

from collections.abc import Iterator

import numpy as np
from flexmodel.problem import Array, Problem

from scheduler.formulation.aggregates import Aggregates
from scheduler.formulation.terms import Largest


def peaks(problem: Problem, aggregates: Aggregates) -> Iterator[Largest]:
    """A term for each site and direction with a peak price."""
    for site in problem.sites:
        number = aggregates.find(site.devices)
        if site.peak_consumption_price is not None:
            name = f"{site.commodity} consumption peak"
            yield _peak(name, number, site.peak_consumption, site.peak_consumption_price, +1)
        if site.peak_production_price is not None:
            name = f"{site.commodity} production peak"
            yield _peak(name, number, site.peak_production, site.peak_production_price, -1)


def _peak(name: str, number: int, sunk: Array | None, price: Array, side: int) -> Largest:
    baseline = side * (np.zeros(price.shape) if sunk is None else sunk)[None, :]
    return Largest(
        names=(name,),
        subject="power",
        rows=np.array([number]),
        baseline=baseline,
        price=np.nan_to_num(price)[None, :],
        side=side,
        told_apart_by=(),
    )
