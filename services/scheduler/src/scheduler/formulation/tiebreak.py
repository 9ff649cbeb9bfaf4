"""The tie-break: of two equally cheap schedules, prefer the one whose storage is full sooner.

    Σ_j  π_j · (soc_max − SoC_j)⁺          π_j in currency per MWh

The weights are small against the prices (a ten-thousandth of their spread over the whole window), part of the objective
and reported.
"""

from collections.abc import Iterator

import numpy as np
from flexmodel.problem import Problem

from scheduler.formulation.terms import Each


def fullness(problem: Problem) -> Iterator[Each]:
    """One term for all stocks that prefer to be full."""
    stocks = problem.stocks
    eager = np.flatnonzero((stocks.fullness_price > 0).any(axis=1) & ~np.isnan(stocks.soc_max))
    if len(eager):
        yield Each(
            names=tuple(f"prefer a full storage {stocks.first_device[s]} sooner" for s in eager),
            subject="stock",
            rows=eager,
            baseline=np.repeat(stocks.soc_max[eager, None], problem.window.steps, axis=1),
            up=np.zeros((len(eager), problem.window.steps)),
            down=-stocks.fullness_price[eager],
        )
