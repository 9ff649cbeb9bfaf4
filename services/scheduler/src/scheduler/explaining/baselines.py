"""Baselines without a plan: doing nothing, and charging everything at once.

In both, panels and other producers without a stock give all they can, consumers without a stock stay off, and a process
runs as early as it can. Doing nothing leaves stocks alone; charging at once fills each at full power, from the start,
up to its highest requirement, or to the brim if there is none.
"""

from dataclasses import dataclass

import numpy as np
from flexmodel.errors import FlexmeshError
from flexmodel.problem import Array, Problem, ProcessType, Stocks

from scheduler.formulation.ledger import Ledger
from scheduler.formulation.stocks import decay_factors, hard_soc_limits
from scheduler.process_placement import place_process

LEEWAY = 1e-6
"""MW or MWh by which a baseline may miss a limit and still count as keeping it."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """One way to run the devices without a plan."""

    name: str
    cost: float
    """The total cost."""
    breaches: float
    """The part of the cost that is for broken soft limits."""
    keeps_limits: bool
    """True if all hard limits are kept; otherwise it was not possible and its cost is no yardstick."""


def unplanned_baselines(problem: Problem, ledger: Ledger) -> list[Baseline]:
    """Return both baselines of a problem with finite limits on every device."""
    idle = _idle_power(problem)
    baselines = []
    for name, power in (("doing nothing", idle), ("charging at once", _charging_power(problem, idle))):
        stock = _stock_levels(problem, power)
        costs = ledger.costs(power, stock)
        breaches = sum(cost for label, cost in costs.items() if label in ledger.breaches)
        baselines.append(
            Baseline(name, sum(costs.values()), breaches, _keeps_hard_limits(problem, ledger, power, stock))
        )
    return baselines


def _idle_power(problem: Problem) -> Array:
    """Return the power of all devices while stocks are left alone."""
    devices = problem.devices
    producer = (devices.stock < 0) & (devices.power_max <= 0).all(axis=1)
    power = np.where(producer[:, None], devices.power_min, np.clip(0.0, devices.power_min, devices.power_max))
    for process in problem.processes:
        kind = ProcessType.BREAKABLE if process.type is ProcessType.BREAKABLE else ProcessType.INFLEXIBLE
        try:
            runs = place_process(np.zeros(problem.window.steps), process.steps, kind, process.allowed)
        except FlexmeshError:
            continue
        power[process.device] = np.where(runs, process.power, 0.0)
    return power


def _charging_power(problem: Problem, idle: Array) -> Array:
    """Return the power of all devices while stocks are filled at full power, step after step: each needs the last."""
    devices, stocks, hours = problem.devices, problem.stocks, problem.window.hours
    kept, share = decay_factors(stocks.storage_efficiency)
    level, soc = _target_level(stocks), stocks.initial.copy()
    turns = _rounds(problem)
    power = idle.copy()
    for step in range(problem.window.steps):
        inflow = share[:, step] * hours
        after = kept[:, step] * soc + inflow * stocks.gain[:, step]
        for turn in turns:
            stock, efficiency = devices.stock[turn], devices.charging_efficiency[turn, step]
            room = np.maximum(level[stock] - after[stock], 0) / np.maximum(inflow[stock] * efficiency, 1e-12)
            charge = np.clip(np.minimum(room, devices.power_max[turn, step]), idle[turn, step], None)
            after[stock] += inflow[stock] * _stock_inflow(problem, turn, charge, step)
            power[turn, step] = charge
        soc = after
    return power


def _rounds(problem: Problem) -> list[Array]:
    """Return rounds of devices in which no two share a stock: those who share fill it one after the other."""
    stocked = np.flatnonzero(problem.devices.stock >= 0)
    order = stocked[np.argsort(problem.devices.stock[stocked], kind="stable")]
    stock = problem.devices.stock[order]
    rank = np.arange(len(order)) - np.searchsorted(stock, stock)
    return [order[rank == turn] for turn in range(int(rank.max(initial=-1)) + 1)]


def _target_level(stocks: Stocks) -> Array:
    """Return the highest required state of charge, else the capacity, else the initial state."""
    requirements = np.stack([stocks.minima, stocks.targets, stocks.hard_minima, stocks.hard_targets])
    highest = np.max(np.where(np.isnan(requirements), -np.inf, requirements), axis=(0, 2), initial=-np.inf)
    ceiling = np.where(np.isnan(stocks.soc_max), np.fmax(highest, stocks.initial), stocks.soc_max)
    level: Array = np.where(np.isfinite(highest), np.minimum(highest, ceiling), ceiling)
    return level


def _stock_inflow(problem: Problem, devices: Array, power: Array, step: int) -> Array:
    """Return MW into the stock for MW drawn."""
    charge = problem.devices.charging_efficiency[devices, step]
    discharge = 1 / np.maximum(problem.devices.discharging_efficiency[devices, step], 1e-9)
    into: Array = power * np.where(power > 0, charge, discharge)
    return into


def _stock_levels(problem: Problem, power: Array) -> Array:
    """Return the state of charge at the end of every step."""
    devices, stocks = problem.devices, problem.stocks
    kept, share = decay_factors(stocks.storage_efficiency)
    stocked = np.flatnonzero(devices.stock >= 0)
    inflow = stocks.gain.copy()
    factor = np.where(power > 0, devices.charging_efficiency, 1 / np.maximum(devices.discharging_efficiency, 1e-9))
    np.add.at(inflow, devices.stock[stocked], (power * factor)[stocked])
    levels, soc = np.zeros(inflow.shape), stocks.initial
    for step in range(problem.window.steps):
        soc = kept[:, step] * soc + share[:, step] * problem.window.hours * inflow[:, step]
        levels[:, step] = soc
    return levels


def _keeps_hard_limits(problem: Problem, ledger: Ledger, power: Array, stock: Array) -> bool:
    low, high = hard_soc_limits(problem.stocks)
    net = ledger.aggregates.sums(power)
    within = (
        (stock >= low - LEEWAY).all()
        and (stock <= high + LEEWAY).all()
        and (net >= ledger.aggregates.lower - LEEWAY).all()
        and (net <= ledger.aggregates.upper + LEEWAY).all()
    )
    balanced = all(np.abs(power[node.devices].sum(axis=0)).max(initial=0.0) <= LEEWAY for node in problem.nodes)
    coupled = all(
        np.abs(power[c.devices] / c.coefficients[:, None] - power[c.devices[0]] / c.coefficients[0]).max() <= LEEWAY
        for c in problem.couplings
    )
    in_modes = all(
        ((power[b.device] >= b.bands[:, :1] - LEEWAY) & (power[b.device] <= b.bands[:, 1:] + LEEWAY)).any(axis=0).all()
        for b in problem.bands
    )
    return bool(within and balanced and coupled and in_modes)
