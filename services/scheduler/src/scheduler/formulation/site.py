"""What a site pays for its net energy.

    Σ_j  Δ · (consumption_price_j · X_j⁺ − production_price_j · X_j⁻),    X_j = Σ_{d∈site} P_{d,j} = X_j⁺ − X_j⁻

Consumption is netted against production within the step, over flexible and inflexible devices alike.
"""

from collections.abc import Iterator

import numpy as np
from flexmodel.problem import Problem

from scheduler.formulation.aggregates import Aggregates
from scheduler.formulation.terms import Each


def energy(problem: Problem, aggregates: Aggregates) -> Iterator[Each]:
    """One term for each site."""
    hours = problem.window.hours
    for site in problem.sites:
        yield Each(
            names=(f"{site.commodity} net energy",),
            subject="power",
            rows=np.array([aggregates.find(site.devices)]),
            baseline=np.zeros((1, problem.window.steps)),
            up=site.consumption_price[None, :] * hours,
            down=site.production_price[None, :] * hours,
        )
