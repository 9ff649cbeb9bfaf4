"""Dual prices of a solution, as prices per MWh.

site:   −dual of the net power row / Δ         one more MWh drawn in a step costs that much
stock:  −dual of the balance row               one more MWh in the stock saves that much
limits: −reduced cost of a column at its upper bound / Δ
"""

import numpy as np
from flexmodel.problem import Array
from flexmodel.schedule import Marginal

from scheduler.formulation.model import Model
from scheduler.formulation.pieces import Pieces
from scheduler.solving.optimise import Outcome


def marginals(model: Model, outcome: Outcome) -> Marginal:
    """The prices behind the solution."""
    problem, hours = model.problem, model.problem.window.hours
    own = outcome.solution.duals
    duals = np.append(own, 0.0)
    reduced = np.append(outcome.program.cost - outcome.program.matrix.T @ own, 0.0)
    up, down = reduced[model.power.up], reduced[model.power.down]
    single = (model.power.up >= 0) & (model.power.down < 0)
    numbers = np.array([model.ledger.aggregates.find(site.devices) for site in problem.sites], dtype=np.int64)
    net = model.net.slope - duals[model.net.rows]
    capped = _ends(model.net.pieces, reduced, model.ledger.aggregates.lower, model.ledger.aggregates.upper)
    full = _ends(
        model.storage.soc, reduced, np.full_like(problem.stocks.gain, -np.inf), model.storage.soc.cost.right[-1]
    )
    empty = _ends(model.storage.soc, reduced, model.storage.soc.cost.left[0], np.full_like(problem.stocks.gain, np.inf))
    return Marginal(
        site=_plain(net[numbers] / hours),
        stock=_plain(-duals[model.storage.rows]),
        device_up=_plain(np.maximum(-up, 0) / hours),
        device_down=_plain(np.maximum(np.where(single, up, -down), 0) / hours),
        site_up=_plain(capped[1][numbers] / hours),
        site_down=_plain(capped[0][numbers] / hours),
        stock_up=_plain(full[1]),
        stock_down=_plain(empty[0]),
    )


def _ends(pieces: Pieces, reduced: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
    """What moving the lower and the upper end of a range outwards saves, where the range ends at these limits."""
    low, high = np.zeros(lower.shape), np.zeros(lower.shape)
    cost = pieces.cost
    for k in range(len(pieces.columns)):
        outward = -pieces.sign[k] * reduced[pieces.columns[k]]
        there = pieces.columns[k] >= 0
        high += np.where(there & (cost.right[k] == upper), np.maximum(outward, 0), 0.0)
        low += np.where(there & (cost.left[k] == lower), np.maximum(-outward, 0), 0.0)
    return low, high


def _plain(values: Array) -> Array:
    rounded: Array = np.round(values, 9) + 0.0
    return rounded
