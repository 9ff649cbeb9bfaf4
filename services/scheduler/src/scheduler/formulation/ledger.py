"""The ledger of a problem: every priced term, and what a schedule costs by name."""

from dataclasses import dataclass

from flexmodel.problem import Array, Problem

from scheduler.formulation.aggregates import Aggregates, of_problem
from scheduler.formulation.breaches import breaches
from scheduler.formulation.commitments import custom
from scheduler.formulation.peaks import peaks
from scheduler.formulation.site import energy
from scheduler.formulation.terms import Each, Largest
from scheduler.formulation.tiebreak import fullness


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
    terms = (*energy(problem, aggregates), *peaks(problem, aggregates), *soft, *fullness(problem))
    taken = {name for term in terms for name in term.names}
    broken = frozenset(name for term in soft for name in term.names)
    return Ledger((*terms, *custom(problem, aggregates, taken)), aggregates, broken)
