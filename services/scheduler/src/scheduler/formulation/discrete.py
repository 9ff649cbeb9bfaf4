"""Integer columns of devices: operation modes and processes.

Operation modes: at every step a device runs in exactly one of its power bands. Bands are cut to what the device's
limits allow at the step; a band that they exclude has no column.

    Σ_b y_{b,j} = 1,     Σ_b y_{b,j} · low_{b,j} ≤ P_{d,j} ≤ Σ_b y_{b,j} · high_{b,j},     y ∈ {0, 1}

Processes that are planned together with other devices:

    SHIFTABLE:  Σ_s z_s = 1,    P_j = power · Σ_{j−n < s ≤ j} z_s        z_s ∈ {0, 1}: starts at step s
    BREAKABLE:  Σ_j z_j = n,    P_j = power · z_j                          z_j ∈ {0, 1}: runs in step j

An INFLEXIBLE process starts at the first step from which it can run through; it has a column z for that step only.
"""

import numpy as np
from flexmodel.problem import Array, Bands, Index, Problem, Process, ProcessType

from scheduler.formulation.builder import Builder
from scheduler.formulation.power import PowerColumns
from scheduler.process_placement import place_process, possible_starts


def add_modes(builder: Builder, problem: Problem, power: PowerColumns) -> tuple[Index, ...]:
    """Add columns (bands, steps) and three rows for each step of every device with bands. Returns the columns."""
    return tuple(_add_modes(builder, f"bands.{number}", bands, power) for number, bands in enumerate(problem.bands))


def likely_modes(modes: Index, x: Array) -> Array:
    """Return the band that a fractional solution leans to at every step, as values of the columns."""
    leaning = np.where(modes >= 0, x[modes], -np.inf)
    return np.where(np.arange(len(modes))[:, None] == np.argmax(leaning, axis=0), 1.0, 0.0)


def _add_modes(builder: Builder, name: str, bands: Bands, power: PowerColumns) -> Index:
    device = bands.device
    low = np.maximum(bands.bands[:, :1], power.lowest[device])
    high = np.minimum(bands.bands[:, 1:], power.highest[device])
    every = np.ones(power.fixed.shape[1], dtype=bool)
    mode = builder.add_columns(name, low <= high, 0.0, 1.0, integer=True)
    builder.add_coefficients(builder.add_rows(f"{name}.one", every, 1.0, 1.0), mode, 1.0)
    known = -power.fixed[device]
    for rows, edge in (
        (builder.add_rows(f"{name}.low", every, known, np.inf), low),
        (builder.add_rows(f"{name}.high", every, -np.inf, known), high),
    ):
        power.add_to_rows(builder, rows[None, :], np.array([device]))
        builder.add_coefficients(rows, mode, -edge)
    return mode


def add_processes(builder: Builder, problem: Problem, power: PowerColumns) -> tuple[Index, ...]:
    """Add columns (steps) and a row for each step of every process. Returns the columns."""
    return tuple(
        _add_process(builder, f"process.{number}", process, power) for number, process in enumerate(problem.processes)
    )


def cheapest_starts(process: Process, problem: Problem) -> Array:
    """Return the best start judged by price alone, as values of the columns; the earliest of equals."""
    prices = {site.commodity: site.consumption_price for site in problem.sites}
    price = prices.get(problem.devices.commodity[process.device], np.zeros(problem.window.steps))
    runs = place_process(price, process.steps, process.type, process.allowed, dearest=process.power < 0)
    if process.type is not ProcessType.BREAKABLE:
        runs = np.arange(len(runs)) == np.argmax(runs)
    return runs.astype(np.float64)


def _add_process(builder: Builder, name: str, process: Process, power: PowerColumns) -> Index:
    device, steps = process.device, len(process.allowed)
    run = 1 if process.type is ProcessType.BREAKABLE else process.steps
    offered = possible_starts(process.allowed, run)
    if process.type is ProcessType.INFLEXIBLE:
        offered &= np.cumsum(offered) == 1
    start = builder.add_columns(name, offered, 0.0, 1.0, integer=True)
    once = np.array([process.steps if run == 1 else 1.0])
    builder.add_coefficients(builder.add_rows(f"{name}.once", once > 0, once, once), start, 1.0)
    known = -power.fixed[device]
    rows = builder.add_rows(f"{name}.power", np.ones(steps, dtype=bool), known, known)
    power.add_to_rows(builder, rows[None, :], np.array([device]))
    builder.add_coefficients(_while_running(rows, run), start, -process.power)
    return start


def _while_running(rows: Index, run: int) -> Index:
    """Return the rows (run, steps) of the steps that a start at each step covers."""
    padded = np.concatenate([rows, np.full(run, -1)])
    covered: Index = padded[np.arange(len(rows)) + np.arange(run)[:, None]]
    return covered
