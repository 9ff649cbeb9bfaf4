"""Reads a solution back into a schedule."""

from collections.abc import Iterator

import numpy as np
from flexmodel.problem import Array, Problem
from flexmodel.schedule import Check, Schedule, Status

from scheduler.formulation.aggregates import Aggregates
from scheduler.formulation.breaches import limits
from scheduler.formulation.model import Model
from scheduler.formulation.terms import clean
from scheduler.solving.marginals import marginals
from scheduler.solving.optimise import Outcome

DIGITS = 12
"""Digits kept: a watt beside a hundred megawatts keeps its own."""


def schedule(model: Model, outcome: Outcome) -> Schedule:
    """The schedule of a solution, with its costs computed from the definitions of what is priced."""
    problem = model.problem
    power = tidy(np.clip(model.power.values(outcome.solution.x), model.power.lowest, model.power.highest))
    stock = tidy(model.storage.soc.values(outcome.solution.x))
    costs = model.ledger.costs(power, stock)
    cost = float(sum(costs.values()))
    bound = min(outcome.bound + model.program.offset, cost)
    if cost - bound <= 1e-12 * abs(cost) + 1e-12:
        bound = cost
    return Schedule(
        window=problem.window,
        currency=problem.currency,
        power=power,
        soc=np.concatenate([problem.stocks.initial[:, None], stock], axis=1),
        costs=costs,
        cost=cost,
        bound=bound,
        gap=(cost - bound) / max(abs(cost), 1e-3),
        status=Status.OPTIMAL if outcome.proven else Status.FEASIBLE,
        solver=outcome.solver,
        marginal=marginals(model, outcome),
        checks=tuple(checks(problem, power, stock)),
        warnings=problem.warnings,
    )


def tidy(values: Array) -> Array:
    """Without dust, and without minus zero: each row keeps the same number of digits below its own largest value."""
    largest = np.abs(values).max(axis=1, initial=0.0)
    digits = DIGITS - np.ceil(np.log10(np.where(largest > 0, largest, 1.0))).astype(int)
    rounded = np.zeros(values.shape)
    for count in np.unique(digits).tolist():
        rounded[digits == count] = np.round(values[digits == count], count)
    return rounded + 0.0


def checks(problem: Problem, power: Array, stock: Array) -> Iterator[Check]:
    """How every soft limit was kept."""
    aggregates = Aggregates(problem.window.steps)
    every = list(limits(problem, aggregates))
    net = aggregates.sums(power)
    for limit in every:
        values = (stock if limit.subject == "stock" else net)[limit.rows]
        above = clean(values - limit.bound, limit.bound)
        excess = np.abs(above) if limit.above is not None and limit.below is not None else above
        if limit.above is None:
            excess = -above
        bound = -limit.bound if limit.subject == "power" and limit.above is None else limit.bound
        for row, index in enumerate(limit.owners.tolist()):
            steps = np.flatnonzero(~np.isnan(limit.bound[row]))
            if len(steps):
                yield Check(limit.field, limit.owner, index, steps, bound[row, steps] + 0.0, excess[row, steps] + 0.0)
