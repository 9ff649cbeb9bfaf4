"""The power of devices: one column for each direction that is possible at a step, nodes and couplings.

    P_{d,j} = up_{d,j} − down_{d,j} + fixed_{d,j},      power_min ≤ P ≤ power_max

A device needs two columns only while it can go both ways and its stock tells the directions apart (it loses energy,
or shares the stock with another device, so that they must not work against each other). Otherwise one column carries
both signs.

Nodes are commodities without grid connection: at every step their production is consumed. The ports of a coupling keep
a fixed proportion.

    Σ_{d∈node} P_{d,j} = 0
    P_{d,j} · γ_0 = P_{0,j} · γ_d      for every port d other than the first, γ > 0 consuming, γ < 0 producing
"""

from dataclasses import dataclass

import numpy as np
from flexmodel.errors import Invalid
from flexmodel.problem import Array, Devices, Index, Mask, Problem
from numpy.typing import ArrayLike

from scheduler.formulation.builder import Builder


@dataclass(frozen=True, slots=True)
class PowerColumns:
    """Columns (devices, steps), and the power where it is fixed."""

    up: Index
    down: Index
    fixed: Array
    lowest: Array
    highest: Array
    charge: Array
    """MW into the stock per MW of `up` (or of the single column)."""
    discharge: Array
    """MW out of the stock per MW of `down`."""

    def add_to_rows(self, builder: Builder, rows: Index, devices: Index, factor: ArrayLike = 1.0) -> None:
        """Add the net power of devices to rows (devices, steps)."""
        builder.add_coefficients(rows, self.up[devices], factor)
        builder.add_coefficients(rows, self.down[devices], np.negative(factor))

    def values(self, x: Array) -> Array:
        """Return the net power (devices, steps) of a solution."""
        padded = np.append(x, 0.0)
        net: Array = padded[self.up] - padded[self.down] + self.fixed
        return net


def add_power(builder: Builder, devices: Devices) -> PowerColumns:
    """Add the columns of all devices."""
    lowest, highest = devices.power_min, devices.power_max
    _require_limits(devices)
    charge, discharge = devices.charging_efficiency, 1 / np.maximum(devices.discharging_efficiency, 1e-9)
    moving = highest > lowest
    two_way = moving & (lowest < 0) & (highest > 0)
    split = two_way & _directions_differ(devices)
    feeding = moving & (highest <= 0) & (devices.stock >= 0)[:, None]
    up = builder.add_columns("power.up", moving & ~feeding, np.where(split, 0.0, lowest), highest)
    down = builder.add_columns("power.down", split | feeding, np.where(feeding, -highest, 0.0), -lowest)
    return PowerColumns(up, down, np.where(moving, 0.0, highest), lowest, highest, charge, discharge)


def _directions_differ(devices: Devices) -> Mask:
    """Return where charging and discharging move the stock differently or must exclude each other (devices, steps)."""
    stocked = devices.stock >= 0
    sharers = np.bincount(devices.stock[stocked], minlength=1)
    shared = stocked & (sharers[np.maximum(devices.stock, 0)] > 1)
    lossy = np.abs(devices.charging_efficiency * devices.discharging_efficiency - 1) > 1e-12
    return stocked[:, None] & (lossy | shared[:, None])


def _require_limits(devices: Devices) -> None:
    endless = ~np.isfinite(devices.power_min + devices.power_max).all(axis=1)
    if endless.any():
        label = devices.labels[int(np.argmax(endless))]
        raise Invalid(
            {"flex-model": {"power-capacity": [f"{label} has no limit on its power. Give a power-capacity."]}}
        )


def add_couplings(builder: Builder, problem: Problem, power: PowerColumns) -> None:
    """Add rows (ports but the first, steps) for each coupling."""
    for coupling in problem.couplings:
        first, others = coupling.devices[:1], coupling.devices[1:]
        own, share = coupling.coefficients[0], coupling.coefficients[1:, None]
        known = share * power.fixed[first] - own * power.fixed[others]
        rows = builder.add_rows(f"coupling.{coupling.name}", known == known, known, known)
        power.add_to_rows(builder, rows, others, own)
        power.add_to_rows(builder, rows, first, -share)


def add_nodes(builder: Builder, problem: Problem, power: PowerColumns) -> None:
    """Add a row for each node and step."""
    for node in problem.nodes:
        known = -power.fixed[node.devices].sum(axis=0)
        rows = builder.add_rows(f"node.{node.commodity}", np.ones(known.shape, dtype=bool), known, known)
        power.add_to_rows(builder, rows[None, :], node.devices)
