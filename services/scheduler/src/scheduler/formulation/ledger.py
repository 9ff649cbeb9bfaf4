"""Ledger."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from flexmodel.problem import Array, Problem

from scheduler.formulation.breaches import breaches
from scheduler.formulation.terms import Aggregates, Each, Largest, of_problem


@dataclass(frozen=True, slots=True)
class Ledger:
    """Terms and the aggregates they refer to."""

    terms: tuple[Each | Largest, ...]
    aggregates: Aggregates
    breaches: frozenset[str]
    """The names of the costs of broken limits."""

    def costs(self, power: Array, stock: Array) -> dict[str, float]:
        """The cost by name of device powers (devices, steps) and stocks at the end of each step (stocks, steps).

        Computed from the terms' definitions alone, so it checks what the solver minimised.
        """
        net = self.aggregates.sums(power)
        total: dict[str, float] = {}
        for term in self.terms:
            costs = term.costs(net if term.subject == "power" else stock)
            for name, cost in zip(term.names, costs.tolist(), strict=True):
                total[name] = total.get(name, 0.0) + cost
        return {name: cost + 0.0 for name, cost in total.items()}


def read(problem: Problem) -> Ledger:
    """All terms of a problem."""
    aggregates = of_problem(problem)
    soft = tuple(breaches(problem, aggregates))
    terms = (*energy(problem, aggregates), *peaks(problem, aggregates), *soft, *tie_break(problem))
    taken = {name for term in terms for name in term.names}
    broken = frozenset(name for term in soft for name in term.names)
    return Ledger((*terms, *custom(problem, aggregates, taken)), aggregates, broken)


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


def tie_break(problem: Problem) -> Iterator[Each]:
    """One term for all stocks that prefer to be full."""
    stocks = problem.stocks
    preferred = np.flatnonzero((stocks.tie_break_price > 0).any(axis=1) & ~np.isnan(stocks.soc_max))
    if len(preferred):
        yield Each(
            names=tuple(f"prefer a full storage {stocks.first_device[s]} sooner" for s in preferred),
            subject="stock",
            rows=preferred,
            baseline=np.repeat(stocks.soc_max[preferred, None], problem.window.steps, axis=1),
            up=np.zeros((len(preferred), problem.window.steps)),
            down=-stocks.tie_break_price[preferred],
        )
