"""Operation modes: at every step a device runs in exactly one of its power bands.

Σ_b y_{b,j} = 1,     Σ_b y_{b,j} · low_{b,j} ≤ P_{d,j} ≤ Σ_b y_{b,j} · high_{b,j},     y ∈ {0, 1}

Bands are cut to what the device's limits allow at the step; a band that they exclude is not offered.
"""

import numpy as np
from flexmodel.problem import Array, Bands, Index, Problem

from scheduler.formulation.builder import Builder
from scheduler.formulation.power import Power


def add_bands(builder: Builder, problem: Problem, power: Power) -> tuple[Index, ...]:
    """Columns (bands, steps) and three rows for each step of every device with bands; gives the columns."""
    return tuple(_add(builder, f"bands.{number}", bands, power) for number, bands in enumerate(problem.bands))


def guess(modes: Index, x: Array) -> Array:
    """The band that a solution without whole numbers leans to at every step, as values of the columns."""
    leaning = np.where(modes >= 0, x[modes], -np.inf)
    return np.where(np.arange(len(modes))[:, None] == np.argmax(leaning, axis=0), 1.0, 0.0)


def _add(builder: Builder, name: str, bands: Bands, power: Power) -> Index:
    device = bands.device
    low = np.maximum(bands.bands[:, :1], power.lowest[device])
    high = np.minimum(bands.bands[:, 1:], power.highest[device])
    every = np.ones(power.fixed.shape[1], dtype=bool)
    mode = builder.columns(name, low <= high, 0.0, 1.0, integer=True)
    builder.put(builder.rows(f"{name}.one", every, 1.0, 1.0), mode, 1.0)
    known = -power.fixed[device]
    for rows, edge in (
        (builder.rows(f"{name}.low", every, known, np.inf), low),
        (builder.rows(f"{name}.high", every, -np.inf, known), high),
    ):
        power.put(builder, rows[None, :], np.array([device]))
        builder.put(rows, mode, -edge)
    return mode
