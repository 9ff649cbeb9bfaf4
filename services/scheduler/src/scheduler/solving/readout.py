"""Readout of a solution: the schedule, how soft limits were kept, and marginal prices.

Marginal prices are the dual prices of the solution, per MWh:

    net power:  λ = −dual of the net row / Δ         one more MWh drawn in a step costs that much
    stock:      −dual of the balance row             one more MWh in the stock saves that much
    limits:     −reduced cost of a column at its bound (/ Δ for power)

The addition of a connection's limits to the price of energy is the distance of λ from the price of energy and
commitments there: the interval between their slopes to the left and to the right of the net power.
"""

from collections.abc import Iterator

import numpy as np
from flexmodel.problem import Array, Problem
from flexmodel.schedule import LimitCheck, Marginal, Schedule, ScheduleStatus

from scheduler.formulation.breaches import soft_limits
from scheduler.formulation.model import Model
from scheduler.formulation.pieces import Pieces
from scheduler.formulation.terms import Aggregates, StepTerm, without_rounding_dust
from scheduler.solving.search import Outcome

DIGITS = 12
"""Significant digits kept: a watt beside a hundred megawatts keeps its own."""


def build_schedule(model: Model, outcome: Outcome) -> Schedule:
    """Return the schedule of a solution, with its costs computed from the definitions of the priced terms."""
    problem = model.problem
    power = round_rows(np.clip(model.power.values(outcome.solution.x), model.power.lowest, model.power.highest))
    stock = round_rows(model.stocks.soc.values(outcome.solution.x))
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
        status=ScheduleStatus.OPTIMAL if outcome.proven else ScheduleStatus.FEASIBLE,
        solver=outcome.solver,
        marginal=marginal_prices(model, outcome),
        checks=tuple(check_soft_limits(problem, power, stock)),
        warnings=problem.warnings,
    )


def round_rows(values: Array) -> Array:
    """Round so that each row keeps the same number of digits below its largest value, without minus zero."""
    largest = np.abs(values).max(axis=1, initial=0.0)
    digits = DIGITS - np.ceil(np.log10(np.where(largest > 0, largest, 1.0))).astype(int)
    rounded = np.zeros(values.shape)
    for count in np.unique(digits).tolist():
        rounded[digits == count] = np.round(values[digits == count], count)
    return rounded + 0.0


def check_soft_limits(problem: Problem, power: Array, stock: Array) -> Iterator[LimitCheck]:
    """Yield how every soft limit was kept."""
    aggregates = Aggregates.of_problem(problem)
    net = aggregates.sums(power)
    for limit in soft_limits(problem, aggregates):
        values = (stock if limit.subject == "stock" else net)[limit.rows]
        above = without_rounding_dust(values - limit.bound, limit.bound)
        excess = np.abs(above) if limit.above is not None and limit.below is not None else above
        if limit.above is None:
            excess = -above
        bound = -limit.bound if limit.subject == "power" and limit.above is None else limit.bound
        for row, index in enumerate(limit.owners.tolist()):
            steps = np.flatnonzero(~np.isnan(limit.bound[row]))
            if len(steps):
                yield LimitCheck(
                    limit.field, limit.owner, index, steps, bound[row, steps] + 0.0, excess[row, steps] + 0.0
                )


AT_KINK = 1e-9
"""MW within which the net power is at a baseline."""


def marginal_prices(model: Model, outcome: Outcome) -> Marginal:
    """Return the marginal prices of a solution."""
    hours = model.problem.window.hours
    program, own = outcome.program, outcome.solution.duals
    duals, reduced = np.append(own, 0.0), np.append(program.cost - program.matrix.T @ own, 0.0)
    up, down = reduced[model.power.up], reduced[model.power.down]
    single = (model.power.up >= 0) & (model.power.down < 0)
    net = model.net.slope - duals[model.net.rows]
    limits = _of_limits(model, outcome.solution.x, net)
    sites, groups = model.ledger.aggregates.sites, model.ledger.aggregates.groups
    bottom, top = _ends(model.stocks.soc, reduced)
    return Marginal(
        site=_rounded(net[sites] / hours),
        stock=_rounded(-duals[model.stocks.rows]),
        device_up=_rounded(np.maximum(-up, 0) / hours),
        device_down=_rounded(np.maximum(np.where(single, up, -down), 0) / hours),
        site_up=_rounded(np.maximum(limits[sites], 0) / hours),
        site_down=_rounded(np.maximum(-limits[sites], 0) / hours),
        group_up=_rounded(np.maximum(limits[groups], 0) / hours),
        group_down=_rounded(np.maximum(-limits[groups], 0) / hours),
        stock_up=_rounded(top),
        stock_down=_rounded(bottom),
    )


def _of_limits(model: Model, x: Array, net: Array) -> Array:
    """Return what limits add to (or take from) the price of each aggregate's net power, per MW and step."""
    power = model.ledger.aggregates.sums(model.power.values(x))
    left, right = np.zeros(net.shape), np.zeros(net.shape)
    for term in model.ledger.terms:
        if isinstance(term, StepTerm) and term.subject == "power" and term.names[0] not in model.ledger.breaches:
            above = np.nan_to_num(power[term.rows] - term.baseline)
            left[term.rows] += np.where(above > AT_KINK, term.up, term.down)
            right[term.rows] += np.where(above < -AT_KINK, term.down, term.up)
    low, high = np.minimum(left, right), np.maximum(left, right)
    return np.maximum(net - high, 0) - np.maximum(low - net, 0)


def _ends(pieces: Pieces, reduced: Array) -> tuple[Array, Array]:
    """Return the savings from moving the lower and the upper end of the whole range outwards."""
    cost, shape = pieces.cost, pieces.constant.shape
    low, high = np.zeros(shape), np.zeros(shape)
    for k in range(len(pieces.columns)):
        outward = -pieces.sign[k] * reduced[pieces.columns[k]]
        exists = pieces.columns[k] >= 0
        high += np.where(exists & (cost.right[k] == cost.right[-1]), np.maximum(outward, 0), 0.0)
        low += np.where(exists & (cost.left[k] == cost.left[0]), np.maximum(-outward, 0), 0.0)
    return low, high


def _rounded(values: Array) -> Array:
    rounded: Array = np.round(values, 9) + 0.0
    return rounded
