"""Devices: their power limits, hard and soft, and their efficiencies; inflexible ones with the power that was read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from flexmodel.parts import Device, Inflexible, Trigger
from flexmodel.problem import Array, Bands, Devices

from scheduler.resolve.limits import Direction, device_limits, hard
from scheduler.resolve.placements import Placement
from scheduler.resolve.profiles import Profiles


@dataclass(frozen=True, slots=True)
class _Row:
    """One device."""

    consumption: Direction
    production: Direction
    charging_efficiency: Array
    discharging_efficiency: Array


def devices(trigger: Trigger, profiles: Profiles, placements: Sequence[Placement] = ()) -> Devices:
    """All devices, flexible ones first."""
    tasks = {placement.process.device: placement for placement in placements}
    rows = [
        _task(tasks[index], profiles) if index in tasks else _flexible(device, trigger.currency, profiles)
        for index, device in enumerate(trigger.devices)
    ]
    rows += [_inflexible(device, profiles) for device in trigger.inflexible]
    stock = np.full(len(rows), -1, dtype=np.int64)
    for index, device in enumerate(trigger.devices):
        stock[index] = -1 if device.stock is None else device.stock

    def table(of: Callable[[_Row], Array]) -> Array:
        return np.array([of(row) for row in rows], dtype=np.float64).reshape(len(rows), trigger.window.steps)

    everyone: list[Device | Inflexible] = [*trigger.devices, *trigger.inflexible]
    return Devices(
        labels=tuple(device.label for device in everyone),
        commodity=tuple(device.commodity for device in everyone),
        power_min=table(lambda row: -row.production.hard),
        power_max=table(lambda row: row.consumption.hard),
        flexible=np.arange(len(rows)) < len(trigger.devices),
        stock=stock,
        charging_efficiency=table(lambda row: row.charging_efficiency),
        discharging_efficiency=table(lambda row: row.discharging_efficiency),
        consumption_cap=table(lambda row: row.consumption.soft),
        production_cap=table(lambda row: row.production.soft),
        consumption_breach_price=table(lambda row: row.consumption.price),
        production_breach_price=table(lambda row: row.production.price),
    )


def _flexible(device: Device, currency: str, profiles: Profiles) -> _Row:
    return _Row(
        *device_limits(device, currency, profiles),
        profiles.known(device.charging_efficiency, "", 1.0, f"charging-efficiency of {device.label}"),
        profiles.known(device.discharging_efficiency, "", 1.0, f"discharging-efficiency of {device.label}"),
    )


def _task(placement: Placement, profiles: Profiles) -> _Row:
    """A process runs at its power or not at all; one whose time is found already is fixed."""
    power = np.full(profiles.window.steps, placement.process.power)
    ones = np.ones(profiles.window.steps)
    if placement.runs is not None:
        power = np.where(placement.runs, power, 0.0)
        return _Row(hard(power), hard(-power), ones, ones)
    return _Row(hard(np.maximum(power, 0.0)), hard(np.maximum(-power, 0.0)), ones, ones)


def _inflexible(device: Inflexible, profiles: Profiles) -> _Row:
    """The power that was read; nothing where nothing is known."""
    power = profiles.known(device.reference, "MW", 0.0, f"The power of {device.label}") * device.sign
    ones = np.ones(profiles.window.steps)
    return _Row(hard(power), hard(-power), ones, ones)


def bands(trigger: Trigger) -> tuple[Bands, ...]:
    """The operation modes of the devices that have any."""
    return tuple(
        Bands(index, np.array(device.bands, dtype=np.float64))
        for index, device in enumerate(trigger.devices)
        if device.bands
    )
