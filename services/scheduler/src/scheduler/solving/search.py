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
from scheduler.formulation.choices import directions, fixed, join, kinks, with_binaries
from scheduler.formulation.model import Model
from scheduler.solving.engine import Answer, Solution, solve_integer, solve_linear
from scheduler.solving.fleet.solve import solve_fleet


@dataclass(frozen=True, slots=True)
class Options:
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


def optimise(model: Model, options: Options) -> Outcome:
    """The cheapest solution that makes every choice."""
    return _Search(model, options).run()


class _Search:
    def __init__(self, model: Model, options: Options) -> None:
        self.model = model
        self.program = model.program
        self.options = options
        self.deadline = time.monotonic() + options.seconds
        self.tolerance = 0.0
        self.choices = join(
            [directions(model.program, model.problem.devices, model.power), kinks(model.program, model.net.pieces)]
        )
        self.tempted = self.choices.certain | _tempted(model)[self.choices.step]

    def run(self) -> Outcome:
        relaxed = self._linear(self.program)
        if relaxed.answer is Answer.INFEASIBLE:
            raise NoSolutionError
        if relaxed.answer is Answer.NOTHING:
            raise NoTimeError
        broken = self.choices.broken(relaxed.x)
        whole = self.program.integer.any()
        if not whole and not broken.any() and not self.options.every_binary:
            return Outcome(self.program, relaxed, relaxed.bound, relaxed.answer is Answer.OPTIMAL, relaxed.solver)
        program = _rounded(self.program, self.model.guess(relaxed.x)) if whole else self.program
        leaning = self._settle(program, broken, self.choices.nearest(relaxed.x))
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
            binary = with_binaries(self.program, self.choices, chosen)
            answer = solve_integer(binary, self._left() * SEARCHING, self.tolerance / 2)
            if answer.answer is Answer.INFEASIBLE:
                raise NoSolutionError
            bound = max(bound, answer.bound)
            if answer.answer is Answer.NOTHING:
                return self._late(best, bound)
            x = answer.x[: len(self.program.cost)]
            newly = self.choices.broken(x) & ~chosen
            best = self._better(best, self._settle(_rounded(self.program, x), chosen, self.choices.nearest(x)))
            if not newly.any() and (best is None or not self._close(best, answer.objective)):
                every = np.ones(len(chosen), dtype=bool)
                best = self._better(best, self._settle(_rounded(self.program, x), every, self.choices.nearest(x)))
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
            tight = fixed(program, self.choices, made, on)
            solution = self._linear(tight)
            if solution.answer is not Answer.OPTIMAL:
                return None
            broken = self.choices.broken(solution.x)
            if not broken.any():
                return Outcome(tight, solution, -np.inf, False, solution.solver)
            on = np.where(broken & ~made, self.choices.nearest(solution.x), on)
            made |= broken

    def _close(self, outcome: Outcome, bound: float) -> bool:
        return outcome.solution.objective - bound <= self.tolerance

    def _worth(self, x: Array) -> float:
        """What a solution costs apart from broken limits, whose prices would drown everything else in a relative
        gap."""
        ledger, model = self.model.ledger, self.model
        costs = ledger.costs(model.power.values(x), model.storage.soc.values(x))
        return abs(sum(cost for name, cost in costs.items() if name not in ledger.breaches))

    def _finished(self, best: Outcome, bound: float) -> Outcome:
        return replace(best, bound=bound, proven=self._close(best, bound), solver=f"scip+{best.solver}")

    def _late(self, best: Outcome | None, bound: float) -> Outcome:
        if best is None:
            raise NoTimeError
        return self._finished(best, bound)

    def _linear(self, program: Program) -> Solution:
        fleet = solve_fleet(program, self.model.storage.rows) if len(program.cost) >= self.options.fleet else None
        return fleet if fleet is not None else solve_linear(program, self._left())

    def _left(self) -> float:
        return self.deadline - time.monotonic()


def _rounded(program: Program, x: Array) -> Program:
    """The program with its own whole numbers as bounds."""
    value = np.round(x)
    lower = np.where(program.integer, value, program.lower)
    upper = np.where(program.integer, value, program.upper)
    return replace(program, lower=lower, upper=upper)


def _tempted(model: Model) -> Mask:
    """Steps at which drawing power can earn money, so that wasting it may pay."""
    cost = model.net.pieces.cost
    negative: Mask = ((cost.slope < 0) & cost.exists).any(axis=(0, 1))
    return negative
