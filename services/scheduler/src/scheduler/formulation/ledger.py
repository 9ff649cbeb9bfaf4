"""The ledger of a problem: every priced term, and the cost of a schedule by name.

Energy: a site pays for its net energy. Consumption is netted against production within the step, over flexible and
inflexible devices alike.

    Σ_j  Δ · (consumption_price_j · X_j⁺ − production_price_j · X_j⁻),    X_j = Σ_{d∈site} P_{d,j} = X_j⁺ − X_j⁻

Peaks: the largest excess over the sunk peak is charged once per window. A tariff whose price or sunk peak changes
within the window still charges once: for the dearest excess.

    max_j  price_j · (X_j − sunk_j)⁺        and the mirror image for production

Commitments: the user's own prices on deviating from a baseline, at every step. They are already per MW and step: a
price per energy was multiplied by the step, a price per power was not.

    Σ_j  up_j · (X_j − baseline_j)⁺ − down_j · (baseline_j − X_j)⁺

Tie-break: of two equally cheap schedules, prefer the one whose stock is full sooner. The weights are small against the
prices (a ten-thousandth of their spread over the whole window), part of the objective and reported.

    Σ_j  π_j · (soc_max − SoC_j)⁺          π_j in currency per MWh
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from flexmodel.problem import Array, Index, Problem

from scheduler.formulation.breaches import breach_terms
from scheduler.formulation.terms import Aggregates, LargestTerm, StepTerm


@dataclass(frozen=True, slots=True)
class Ledger:
    """Terms and the aggregates they refer to."""

    terms: tuple[StepTerm | LargestTerm, ...]
    aggregates: Aggregates
    breaches: frozenset[str]
    """Names of the costs of broken limits."""

    def costs(self, power: Array, stock: Array) -> dict[str, float]:
        """Return the cost by name of device powers (devices, steps) and stocks at the end of each step (stocks, steps).

        Computed from the definitions of the terms alone, so it checks what the solver minimised.
        """
        net = self.aggregates.sums(power)
        total: dict[str, float] = {}
        for term in self.terms:
            costs = term.costs(net if term.subject == "power" else stock)
            for name, cost in zip(term.names, costs.tolist(), strict=True):
                total[name] = total.get(name, 0.0) + cost
        return {name: cost + 0.0 for name, cost in total.items()}


def build_ledger(problem: Problem) -> Ledger:
    """Collect all terms of a problem."""
    aggregates = Aggregates.of_problem(problem)
    soft = tuple(breach_terms(problem, aggregates))
    terms = (*_energy_terms(problem, aggregates), *_peak_terms(problem, aggregates), *soft, *_tie_break_terms(problem))
    taken = {name for term in terms for name in term.names}
    broken = frozenset(name for term in soft for name in term.names)
    return Ledger((*terms, *_commitment_terms(problem, aggregates, taken)), aggregates, broken)


def _energy_terms(problem: Problem, aggregates: Aggregates) -> Iterator[StepTerm]:
    """One term for each site."""
    hours = problem.window.hours
    for number, site in enumerate(problem.sites):
        yield StepTerm(
            names=(f"{site.commodity} net energy",),
            subject="power",
            rows=aggregates.sites[[number]],
            baseline=np.zeros((1, problem.window.steps)),
            up=site.consumption_price[None, :] * hours,
            down=site.production_price[None, :] * hours,
        )


def _peak_terms(problem: Problem, aggregates: Aggregates) -> Iterator[LargestTerm]:
    """A term for each site and direction with a peak price."""
    for number, site in enumerate(problem.sites):
        row = aggregates.sites[[number]]
        if site.peak_consumption_price is not None:
            name = f"{site.commodity} consumption peak"
            yield _peak_term(name, row, site.peak_consumption, site.peak_consumption_price, +1)
        if site.peak_production_price is not None:
            name = f"{site.commodity} production peak"
            yield _peak_term(name, row, site.peak_production, site.peak_production_price, -1)


def _peak_term(name: str, rows: Index, sunk: Array | None, price: Array, side: int) -> LargestTerm:
    baseline = side * (np.zeros(price.shape) if sunk is None else sunk)[None, :]
    return LargestTerm(
        names=(name,),
        subject="power",
        rows=rows,
        baseline=baseline,
        price=np.nan_to_num(price)[None, :],
        side=side,
        grouped_by=(),
    )


def _commitment_terms(problem: Problem, aggregates: Aggregates, taken: Collection[str]) -> Iterator[StepTerm]:
    """A term for each commitment. A name that one of our own terms has already is marked."""
    for number, commitment in enumerate(problem.commitments):
        name = commitment.name
        yield StepTerm(
            names=(f"{name} (custom)" if name in taken else name,),
            subject="power",
            rows=aggregates.commitments[[number]],
            baseline=commitment.baseline[None, :],
            up=np.nan_to_num(commitment.up_price)[None, :],
            down=np.nan_to_num(commitment.down_price)[None, :],
        )


def _tie_break_terms(problem: Problem) -> Iterator[StepTerm]:
    """One term for all stocks that prefer to be full."""
    stocks = problem.stocks
    preferred = np.flatnonzero((stocks.tie_break_price > 0).any(axis=1) & ~np.isnan(stocks.soc_max))
    if len(preferred):
        yield StepTerm(
            names=tuple(f"prefer a full storage {stocks.first_device[s]} sooner" for s in preferred),
            subject="stock",
            rows=preferred,
            baseline=np.repeat(stocks.soc_max[preferred, None], problem.window.steps, axis=1),
            up=np.zeros((len(preferred), problem.window.steps)),
            down=-stocks.tie_break_price[preferred],
        )
