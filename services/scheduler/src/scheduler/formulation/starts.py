"""Processes that are planned together with other devices.

SHIFTABLE:  Σ_s z_s = 1,    P_j = power · Σ_{j−n < s ≤ j} z_s        z_s ∈ {0, 1}: starts at step s
BREAKABLE:  Σ_j z_j = n,    P_j = power · z_j                          z_j ∈ {0, 1}: runs in step j

An INFLEXIBLE process starts at the first step from which it can run through; its z is offered there only.
"""

import numpy as np
from flexmodel.problem import Array, Index, Kind, Problem, Process

from scheduler.formulation.builder import Builder
from scheduler.formulation.power import Power
from scheduler.processes.plan import admissible, plan


def add_starts(builder: Builder, problem: Problem, power: Power) -> tuple[Index, ...]:
    """Columns (steps) and a row for each step of every process; gives the columns."""
    return tuple(_add(builder, f"process.{number}", process, power) for number, process in enumerate(problem.processes))


def guess(process: Process, problem: Problem) -> Array:
    """The best start if nothing but the price mattered, as values of the columns; the earliest of equals."""
    prices = {site.commodity: site.consumption_price for site in problem.sites}
    price = prices.get(problem.devices.commodity[process.device], np.zeros(problem.window.steps))
    runs = plan(price, process.steps, process.kind, process.allowed, dearest=process.power < 0)
    if process.kind is not Kind.BREAKABLE:
        runs = np.arange(len(runs)) == np.argmax(runs)
    return runs.astype(np.float64)


def _add(builder: Builder, name: str, process: Process, power: Power) -> Index:
    device, steps = process.device, len(process.allowed)
    run = 1 if process.kind is Kind.BREAKABLE else process.steps
    offered = admissible(process.allowed, run)
    if process.kind is Kind.INFLEXIBLE:
        offered &= np.cumsum(offered) == 1
    start = builder.columns(name, offered, 0.0, 1.0, integer=True)
    once = np.array([process.steps if run == 1 else 1.0])
    builder.put(builder.rows(f"{name}.once", once > 0, once, once), start, 1.0)
    known = -power.fixed[device]
    rows = builder.rows(f"{name}.power", np.ones(steps, dtype=bool), known, known)
    power.put(builder, rows[None, :], np.array([device]))
    builder.put(_while_running(rows, run), start, -process.power)
    return start


def _while_running(rows: Index, run: int) -> Index:
    """(run, steps): the rows of the steps that a start at each step covers."""
    padded = np.concatenate([rows, np.full(run, -1)])
    covered: Index = padded[np.arange(len(rows)) + np.arange(run)[:, None]]
    return covered
