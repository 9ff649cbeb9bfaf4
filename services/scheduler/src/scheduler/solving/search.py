"""Search for the cheapest solution of a model: linear first, integers only where the linear solution needs them.

1. Solve without any choice. If the solution keeps every choice by itself, it is optimal.
2. Fix the broken choices the way the solution leans (processes: by price alone) and solve again. If that costs the
   same, it is optimal. Otherwise it is a schedule to fall back on.
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
    """Limits of the search."""

    seconds: float = 60.0
    gap: float = 1e-7
    """Gap, relative to the cost without breaches, at which an integer solution counts as optimal."""
    fleet: int = 100_000
    """Number of columns from which the structure of fleets is used."""
    every_binary: bool = False
    """Give the solver every choice as a binary at once (slow; to check the short cut)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The best solution found, with the linear program (choices as bounds) of which it is an optimum."""

    program: Program
    solution: Solution
    bound: float
    proven: bool
    solver: str


SEARCHING = 0.8
"""Share of the remaining time that a search for integers may take; the rest is for fixing its choices."""


class NoSolutionError(Exception):
    """The constraints contradict one another."""


class NoTimeError(Exception):
    """The deadline came before any solution was found."""


def find_optimum(model: Model, options: SolverOptions) -> Outcome:
    """Return the cheapest solution that keeps every choice.

    Raises:
        NoSolutionError: The constraints contradict one another.
        NoTimeError: The deadline came before any solution was found.
    """
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
        self.can_matter: Mask = self.choices.expected_broken | negative_price_steps(model.net.pieces)[self.choices.step]

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
        leaning = self._fix_and_solve(program, broken, self.choices.prefers_on(relaxed.x))
        self.tolerance = self.options.gap * max(self._cost_without_breaches(relaxed.x), 1e-3)
        if leaning is not None and not self.options.every_binary and self._is_within_tolerance(leaning, relaxed.bound):
            return replace(leaning, bound=relaxed.bound, proven=True)
        return self._search(relaxed, broken, leaning)

    def _search(self, relaxed: Solution, broken: Mask, best: Outcome | None) -> Outcome:
        chosen = np.ones(len(broken), dtype=bool) if self.options.every_binary else broken | self.can_matter
        bound = relaxed.bound
        while True:
            if self._seconds_left() <= 0:
                return self._stop_at_deadline(best, bound)
            binary = add_binaries(self.program, self.choices, chosen)
            answer = solve_integer(binary, self._seconds_left() * SEARCHING, self.tolerance / 2)
            if answer.status is SolverStatus.INFEASIBLE:
                raise NoSolutionError
            bound = max(bound, answer.bound)
            if answer.status is SolverStatus.NOTHING:
                return self._stop_at_deadline(best, bound)
            x = answer.x[: len(self.program.cost)]
            newly = self.choices.broken(x) & ~chosen
            best = self._better(
                best, self._fix_and_solve(_rounded(self.program, x), chosen, self.choices.prefers_on(x))
            )
            if not newly.any() and (best is None or not self._is_within_tolerance(best, answer.objective)):
                every = np.ones(len(chosen), dtype=bool)
                best = self._better(
                    best, self._fix_and_solve(_rounded(self.program, x), every, self.choices.prefers_on(x))
                )
            if best is not None and (
                self._is_within_tolerance(best, bound) or not newly.any() or self._seconds_left() <= 0
            ):
                return self._finished(best, bound)
            chosen = chosen | newly
            if not newly.any():
                return self._stop_at_deadline(best, bound)

    def _better(self, one: Outcome | None, other: Outcome | None) -> Outcome | None:
        if one is None or other is None:
            return one or other
        return min(one, other, key=lambda outcome: outcome.solution.objective)

    def _fix_and_solve(self, program: Program, decided: Mask, on: Mask) -> Outcome | None:
        """Fix choices as bounds, and those that break in turn, until none is broken."""
        decided, on = decided.copy(), on.copy()
        while True:
            tight = fix_choices(program, self.choices, decided, on)
            solution = self._linear(tight)
            if solution.status is not SolverStatus.OPTIMAL:
                return None
            broken = self.choices.broken(solution.x)
            if not broken.any():
                return Outcome(tight, solution, -np.inf, False, solution.solver)
            on = np.where(broken & ~decided, self.choices.prefers_on(solution.x), on)
            decided |= broken

    def _is_within_tolerance(self, outcome: Outcome, bound: float) -> bool:
        return outcome.solution.objective - bound <= self.tolerance

    def _cost_without_breaches(self, x: Array) -> float:
        """Return the cost of a solution without breaches, whose prices would drown all else in a relative gap."""
        ledger, model = self.model.ledger, self.model
        costs = ledger.costs(model.power.values(x), model.stocks.soc.values(x))
        return abs(sum(cost for name, cost in costs.items() if name not in ledger.breaches))

    def _finished(self, best: Outcome, bound: float) -> Outcome:
        return replace(best, bound=bound, proven=self._is_within_tolerance(best, bound), solver=f"scip+{best.solver}")

    def _stop_at_deadline(self, best: Outcome | None, bound: float) -> Outcome:
        if best is None:
            raise NoTimeError
        return self._finished(best, bound)

    def _linear(self, program: Program) -> Solution:
        fleet = solve_fleet(program, self.model.stocks.rows) if len(program.cost) >= self.options.fleet else None
        return fleet if fleet is not None else solve_linear(program, self._seconds_left())

    def _seconds_left(self) -> float:
        return self.deadline - time.monotonic()


def _rounded(program: Program, x: Array) -> Program:
    """Return the program with its integers fixed, as bounds."""
    value = np.round(x)
    lower = np.where(program.integer, value, program.lower)
    upper = np.where(program.integer, value, program.upper)
    return replace(program, lower=lower, upper=upper)
