"""Dual prices of a solution, as prices per MWh.

    net power:  λ = −dual of the net row / Δ         one more MWh drawn in a step costs that much
    stock:      −dual of the balance row             one more MWh in the stock saves that much
    limits:     −reduced cost of a column at its bound (/ Δ for power)

What the limits of a connection add to the price of energy is the distance of λ from what energy and commitments cost
there: the interval between their slopes to the left and to the right of the net power.
"""

import numpy as np
from flexmodel.problem import Array, Index
from flexmodel.schedule import Marginal

from scheduler.formulation.model import Model
from scheduler.formulation.pieces import Pieces
from scheduler.formulation.terms import Each
from scheduler.solving.optimise import Outcome

AT_KINK = 1e-9
"""MW within which the net power is at a baseline."""


def marginals(model: Model, outcome: Outcome) -> Marginal:
    """The prices behind the solution."""
    problem, hours = model.problem, model.problem.window.hours
    program, own = outcome.program, outcome.solution.duals
    duals, reduced = np.append(own, 0.0), np.append(program.cost - program.matrix.T @ own, 0.0)
    up, down = reduced[model.power.up], reduced[model.power.down]
    single = (model.power.up >= 0) & (model.power.down < 0)
    net = model.net.slope - duals[model.net.rows]
    limits = _of_limits(model, outcome.solution.x, net)
    find = model.ledger.aggregates.find
    sites: Index = np.array([find(site.devices) for site in problem.sites], dtype=np.int64)
    groups: Index = np.array([find(group.devices) for group in problem.groups], dtype=np.int64)
    bottom, top = _ends(model.storage.soc, reduced)
    return Marginal(
        site=_plain(net[sites] / hours),
        stock=_plain(-duals[model.storage.rows]),
        device_up=_plain(np.maximum(-up, 0) / hours),
        device_down=_plain(np.maximum(np.where(single, up, -down), 0) / hours),
        site_up=_plain(np.maximum(limits[sites], 0) / hours),
        site_down=_plain(np.maximum(-limits[sites], 0) / hours),
        group_up=_plain(np.maximum(limits[groups], 0) / hours),
        group_down=_plain(np.maximum(-limits[groups], 0) / hours),
        stock_up=_plain(top),
        stock_down=_plain(bottom),
    )


def _of_limits(model: Model, x: Array, net: Array) -> Array:
    """What limits add to (or take from) the price of each aggregate's net power, per MW and step."""
    power = model.ledger.aggregates.sums(model.power.values(x))
    left, right = np.zeros(net.shape), np.zeros(net.shape)
    for term in model.ledger.terms:
        if isinstance(term, Each) and term.subject == "power" and term.names[0] not in model.ledger.breaches:
            above = np.nan_to_num(power[term.rows] - term.baseline)
            left[term.rows] += np.where(above > AT_KINK, term.up, term.down)
            right[term.rows] += np.where(above < -AT_KINK, term.down, term.up)
    low, high = np.minimum(left, right), np.maximum(left, right)
    return np.maximum(net - high, 0) - np.maximum(low - net, 0)


def _ends(pieces: Pieces, reduced: Array) -> tuple[Array, Array]:
    """What moving the lower and the upper end of the whole range outwards saves."""
    cost, shape = pieces.cost, pieces.constant.shape
    low, high = np.zeros(shape), np.zeros(shape)
    for k in range(len(pieces.columns)):
        outward = -pieces.sign[k] * reduced[pieces.columns[k]]
        there = pieces.columns[k] >= 0
        high += np.where(there & (cost.right[k] == cost.right[-1]), np.maximum(outward, 0), 0.0)
        low += np.where(there & (cost.left[k] == cost.left[0]), np.maximum(-outward, 0), 0.0)
    return low, high


def _plain(values: Array) -> Array:
    rounded: Array = np.round(values, 9) + 0.0
    return rounded
