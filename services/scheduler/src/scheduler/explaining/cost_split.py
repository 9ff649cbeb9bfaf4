"""Split of costs by the device that causes them.

Energy is split exactly: at every step a device pays, or earns, the price that applies to the site's net power. Costs
with one device or one stock behind them belong to that device. Peaks, breaches of the site and commitments on a sum
are shared.
"""

from dataclasses import dataclass

import numpy as np
from flexmodel.problem import Array, Problem

from scheduler.formulation.ledger import Ledger
from scheduler.formulation.terms import StepTerm


@dataclass(frozen=True, slots=True)
class CostSplit:
    """Costs by device and name, and costs by name that no device causes alone. Together they are all costs."""

    devices: tuple[dict[str, float], ...]
    shared: dict[str, float]


def split_costs(problem: Problem, ledger: Ledger, power: Array, stock: Array) -> CostSplit:
    """Split the costs of device powers (devices, steps) and stocks at the end of each step (stocks, steps)."""
    split = CostSplit(tuple({} for _ in problem.devices.labels), {})
    net = ledger.aggregates.sums(power)
    energies = {f"{site.commodity} net energy" for site in problem.sites}
    for term in ledger.terms:
        if isinstance(term, StepTerm) and term.names[0] in energies and not term.baseline.any():
            _split_energy(split, ledger, term, power, net)
            continue
        costs = term.costs(net if term.subject == "power" else stock)
        for name, row, cost in zip(term.names, term.rows.tolist(), costs.tolist(), strict=True):
            device = _owner(problem, ledger, term.subject, row)
            _add(split.shared if device is None else split.devices[device], name, cost)
    return split


def _split_energy(split: CostSplit, ledger: Ledger, term: StepTerm, power: Array, net: Array) -> None:
    (row,) = term.rows.tolist()
    price = np.where(net[row] > 0, term.up[0], term.down[0])
    members = ledger.aggregates.members[row]
    for device, cost in zip(members.tolist(), (power[members] @ price).tolist(), strict=True):
        _add(split.devices[device], term.names[0], cost)


def _owner(problem: Problem, ledger: Ledger, subject: str, row: int) -> int | None:
    if subject == "stock":
        return int(problem.stocks.first_device[row])
    members = ledger.aggregates.members[row]
    return int(members[0]) if len(members) == 1 else None


def _add(costs: dict[str, float], name: str, cost: float) -> None:
    costs[name] = costs.get(name, 0.0) + cost + 0.0
