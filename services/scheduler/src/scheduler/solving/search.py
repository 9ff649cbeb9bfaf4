"""Finds the cheapest schedule of a model: linear first, whole numbers only where the linear answer needs them.

1. Solve without any choice. If the solution makes every choice by itself, it is optimal.
2. Make the broken choices the way the solution leans (processes: as if only the price mattered) and solve again. If
   that costs the same, it is optimal. Otherwise it is a schedule to fall back on.
3. Let SCIP make the choices that can matter, check the others, and repeat with those that were broken.
4. Solve once more with the choices as bounds, for exact numbers and dual prices.

The cost is that of the program with every choice as a binary: fewer binaries is a relaxation of it, and its solution,
when no choice is broken, is one of the full program too.
"""

import time
from dataclasses import dataclass, replace

import numpy as np
from flexmodel.problem import Array, Mask

from scheduler.formulation.builder import Program
from scheduler.formulation.choices import (
    add_binaries,
    concatenate_choices,
    direction_choices,
    fix_choices,
    kink_choices,
    negative_price_steps,
)
from scheduler.formulation.model import Model
from scheduler.solving.engine import Solution, SolverStatus, solve_integer, solve_linear
from scheduler.solving.fleet.solve import solve_fleet


@dataclass(frozen=True, slots=True)
class SolverOptions:
    """How hard to try."""

    seconds: float = 60.0
    gap: float = 1e-7
    """Gap, relative to the cost without breaches, at which a solution with whole numbers counts as optimal."""
    fleet: int = 100_000
    """Columns from which the structure of fleets is made use of."""
    every_binary: bool = False
    """Give the solver every choice as a binary at once (slow; to check the short cut)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The best solution found, with the linear program (choices as bounds) that it is an optimum of."""

    program: Program
    solution: Solution
    bound: float
    proven: bool
    solver: str


SEARCHING = 0.8
"""Share of the time left that a search for whole numbers may take; the rest is for settling its answer."""


class NoSolutionError(Exception):
    """The constraints contradict one another."""


class NoTimeError(Exception):
    """The deadline came before any solution."""


def find_optimum(model: Model, options: SolverOptions) -> Outcome:
    """The cheapest solution that makes every choice."""
    return _Search(model, options).run()


class _Search:
    def __init__(self, model: Model, options: SolverOptions) -> None:
        self.model = model
        self.program = model.program
        self.options = options
        self.deadline = time.monotonic() + options.seconds
        self.tolerance = 0.0
        self.choices = concatenate_choices(
            [
                direction_choices(model.program, model.problem.devices, model.power),
                kink_choices(model.program, model.net.pieces),
            ]
        )
        self.tempted = self.choices.expected_broken | negative_price_steps(model.net.pieces)[self.choices.step]

    def run(self) -> Outcome:
        relaxed = self._linear(self.program)
        if relaxed.status is SolverStatus.INFEASIBLE:
            raise NoSolutionError
        if relaxed.status is SolverStatus.NOTHING:
            raise NoTimeError
        broken = self.choices.broken(relaxed.x)
        whole = self.program.integer.any()
        if not whole and not broken.any() and not self.options.every_binary:
            return Outcome(self.program, relaxed, relaxed.bound, relaxed.status is SolverStatus.OPTIMAL, relaxed.solver)
        program = _rounded(self.program, self.model.guess_integers(relaxed.x)) if whole else self.program
        leaning = self._settle(program, broken, self.choices.prefers_on(relaxed.x))
        self.tolerance = self.options.gap * max(self._worth(relaxed.x), 1e-3)
        if leaning is not None and not self.options.every_binary and self._close(leaning, relaxed.bound):
            return replace(leaning, bound=relaxed.bound, proven=True)
        return self._search(relaxed, broken, leaning)

    def _search(self, relaxed: Solution, broken: Mask, best: Outcome | None) -> Outcome:
        chosen = np.ones(len(broken), dtype=bool) if self.options.every_binary else broken | self.tempted
        bound = relaxed.bound
        while True:
            if self._left() <= 0:
                return self._late(best, bound)
            binary = add_binaries(self.program, self.choices, chosen)
            answer = solve_integer(binary, self._left() * SEARCHING, self.tolerance / 2)
            if answer.status is SolverStatus.INFEASIBLE:
                raise NoSolutionError
            bound = max(bound, answer.bound)
            if answer.status is SolverStatus.NOTHING:
                return self._late(best, bound)
            x = answer.x[: len(self.program.cost)]
            newly = self.choices.broken(x) & ~chosen
            best = self._better(best, self._settle(_rounded(self.program, x), chosen, self.choices.prefers_on(x)))
            if not newly.any() and (best is None or not self._close(best, answer.objective)):
                every = np.ones(len(chosen), dtype=bool)
                best = self._better(best, self._settle(_rounded(self.program, x), every, self.choices.prefers_on(x)))
            if best is not None and (self._close(best, bound) or not newly.any() or self._left() <= 0):
                return self._finished(best, bound)
            chosen = chosen | newly
            if not newly.any():
                return self._late(best, bound)

    def _better(self, one: Outcome | None, other: Outcome | None) -> Outcome | None:
        if one is None or other is None:
            return one or other
        return min(one, other, key=lambda outcome: outcome.solution.objective)

    def _settle(self, program: Program, made: Mask, on: Mask) -> Outcome | None:
        """Make choices as bounds, and those that break in turn, until none is broken."""
        made, on = made.copy(), on.copy()
        while True:
            tight = fix_choices(program, self.choices, made, on)
            solution = self._linear(tight)
            if solution.status is not SolverStatus.OPTIMAL:
                return None
            broken = self.choices.broken(solution.x)
            if not broken.any():
                return Outcome(tight, solution, -np.inf, False, solution.solver)
            on = np.where(broken & ~made, self.choices.prefers_on(solution.x), on)
            made |= broken

    def _close(self, outcome: Outcome, bound: float) -> bool:
        return outcome.solution.objective - bound <= self.tolerance

    def _worth(self, x: Array) -> float:
        """What a solution costs apart from broken limits, whose prices would drown everything else in a relative
        gap."""
        ledger, model = self.model.ledger, self.model
        costs = ledger.costs(model.power.values(x), model.stocks.soc.values(x))
        return abs(sum(cost for name, cost in costs.items() if name not in ledger.breaches))

    def _finished(self, best: Outcome, bound: float) -> Outcome:
        return replace(best, bound=bound, proven=self._close(best, bound), solver=f"scip+{best.solver}")

    def _late(self, best: Outcome | None, bound: float) -> Outcome:
        if best is None:
            raise NoTimeError
        return self._finished(best, bound)

    def _linear(self, program: Program) -> Solution:
        fleet = solve_fleet(program, self.model.stocks.rows) if len(program.cost) >= self.options.fleet else None
        return fleet if fleet is not None else solve_linear(program, self._left())

    def _left(self) -> float:
        return self.deadline - time.monotonic()


def _rounded(program: Program, x: Array) -> Program:
    """The program with its own whole numbers as bounds."""
    value = np.round(x)
    lower = np.where(program.integer, value, program.lower)
    upper = np.where(program.integer, value, program.upper)
    return replace(program, lower=lower, upper=upper)
