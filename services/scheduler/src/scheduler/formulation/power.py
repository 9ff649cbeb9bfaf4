"""The power of devices: one column for each direction that is open at a step.

    P_{d,j} = up_{d,j} − down_{d,j} + fixed_{d,j},      power_min ≤ P ≤ power_max

A device needs two columns only while it can go both ways and its stock tells the directions apart (it loses energy,
or shares the stock with another device, so that they must not work against each other). Otherwise one column carries
both signs.
"""

from dataclasses import dataclass

import numpy as np
from flexmodel.errors import Invalid
from flexmodel.problem import Array, Devices, Index, Mask
from numpy.typing import ArrayLike

from scheduler.formulation.builder import Builder


@dataclass(frozen=True, slots=True)
class Power:
    """Columns (devices, steps) and what is fixed."""

    up: Index
    down: Index
    fixed: Array
    lowest: Array
    highest: Array
    charge: Array
    """MW into the stock per MW of `up` (or of the single column)."""
    discharge: Array
    """MW out of the stock per MW of `down`."""

    def put(self, builder: Builder, rows: Index, devices: Index, factor: ArrayLike = 1.0) -> None:
        """Add the net power of devices to rows (devices, steps)."""
        builder.put(rows, self.up[devices], factor)
        builder.put(rows, self.down[devices], np.negative(factor))

    def values(self, x: Array) -> Array:
        """Net power (devices, steps) of a solution."""
        padded = np.append(x, 0.0)
        net: Array = padded[self.up] - padded[self.down] + self.fixed
        return net


def add_power(builder: Builder, devices: Devices) -> Power:
    """The columns of all devices."""
    lowest, highest = devices.power_min, devices.power_max
    _refuse_endless(devices)
    charge, discharge = devices.charging_efficiency, 1 / np.maximum(devices.discharging_efficiency, 1e-9)
    moving = highest > lowest
    two_way = moving & (lowest < 0) & (highest > 0)
    split = two_way & _told_apart(devices)
    feeding = moving & (highest <= 0) & (devices.stock >= 0)[:, None]
    up = builder.columns("power.up", moving & ~feeding, np.where(split, 0.0, lowest), highest)
    down = builder.columns("power.down", split | feeding, np.where(feeding, -highest, 0.0), -lowest)
    return Power(up, down, np.where(moving, 0.0, highest), lowest, highest, charge, discharge)


def _told_apart(devices: Devices) -> Mask:
    """Where charging and discharging move the stock differently or must exclude each other (devices, steps)."""
    stocked = devices.stock >= 0
    sharers = np.bincount(devices.stock[stocked], minlength=1)
    shared = stocked & (sharers[np.maximum(devices.stock, 0)] > 1)
    lossy = np.abs(devices.charging_efficiency * devices.discharging_efficiency - 1) > 1e-12
    return stocked[:, None] & (lossy | shared[:, None])


def _refuse_endless(devices: Devices) -> None:
    endless = ~np.isfinite(devices.power_min + devices.power_max).all(axis=1)
    if endless.any():
        label = devices.labels[int(np.argmax(endless))]
        raise Invalid(
            {"flex-model": {"power-capacity": [f"{label} has no limit on its power. Give a power-capacity."]}}
        )
