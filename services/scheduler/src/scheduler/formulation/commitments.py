"""Custom commitments: the user's own prices on deviating from a baseline, at every step.

    Σ_j  up_j · (X_j − baseline_j)⁺ − down_j · (baseline_j − X_j)⁺

Prices are already per MW and step: a price per energy was multiplied by the step, a price per power was not.
"""

from collections.abc import Collection, Iterator

import numpy as np
from flexmodel.problem import Problem

from scheduler.formulation.aggregates import Aggregates
from scheduler.formulation.terms import Each


def custom(problem: Problem, aggregates: Aggregates, taken: Collection[str]) -> Iterator[Each]:
    """A term for each commitment. A name that is already taken by one of ours is marked."""
    for commitment in problem.commitments:
        name = commitment.name
        yield Each(
            names=(f"{name} (custom)" if name in taken else name,),
            subject="power",
            rows=np.array([aggregates.find(commitment.devices)]),
            baseline=commitment.baseline[None, :],
            up=np.nan_to_num(commitment.up_price)[None, :],
            down=np.nan_to_num(commitment.down_price)[None, :],
        )
