"""Devices: power limits, efficiencies, inflexible power, operation modes and processes.

Rules for the power limits of a device with capacities for both directions and for each of them:

* Without a power capacity the larger directional one stands in, step by step; where there is none, or where the only
  one given is zero, a fallback does (the site's capacity, for example).
* A directional capacity is never more than the power capacity, which also stands in where it has no value.
* One directional capacity alone, if not zero, closes the other direction; a zero leaves the other at the power
  capacity.
* A capacity with a breach price is soft, unless it is zero over the whole window.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from flexmodel.problem import Array, Bands, Devices, Mask, Process, Site, Window
from flexmodel.time import instant, steps
from flexmodel.trigger import Device, Inflexible, Trigger
from flexmodel.values import VariableQuantity

from scheduler.process_placement import place_process, process_steps
from scheduler.resolve.profiles import Profiles
from scheduler.resolve.sites import capped_by


@dataclass(frozen=True, slots=True)
class DirectionLimits:
    """Limits on power in one direction, as non-negative numbers."""

    hard: Array
    soft: Array
    """NaN: no soft limit."""
    price: Array
    """Currency per MW."""


def device_limits(device: Device, currency: str, profiles: Profiles) -> tuple[DirectionLimits, DirectionLimits]:
    """Return the limits on consumption and on production."""

    def capacity(quantity: VariableQuantity | None, field: str) -> Array | None:
        return None if quantity is None else profiles.limit(quantity, f"{field} of {device.label}")

    def price(quantity: VariableQuantity | None, field: str) -> Array | None:
        return profiles.penalty(quantity, f"{currency}/MW", field)

    consumption = capacity(device.consumption_capacity, "consumption-capacity")
    production = capacity(device.production_capacity, "production-capacity")
    power = _power_limit(device, consumption, production, profiles)
    up = price(device.consumption_breach_price, "consumption-breach-price")
    down = price(device.production_breach_price, "production-breach-price")
    return (
        _direction_limit(consumption, production, power, up, device.may_consume),
        _direction_limit(production, consumption, power, down, device.may_produce),
    )


def _power_limit(device: Device, consumption: Array | None, production: Array | None, profiles: Profiles) -> Array:
    """Return the limit that holds in both directions."""
    power = profiles.limit(device.power_capacity, f"power-capacity of {device.label}")
    capacities = [capacity for capacity in (consumption, production) if capacity is not None]
    if device.power_capacity is None and capacities and not (len(capacities) == 1 and _is_zero(capacities[0])):
        power = np.fmax.reduce(capacities)
    unknown = np.isnan(power)
    if device.fallback_capacity is None or not unknown.any():
        return power
    return np.where(unknown, profiles.limit(device.fallback_capacity, f"The capacity of {device.label}"), power)


def _direction_limit(
    own: Array | None, other: Array | None, power: Array, price: Array | None, is_open: bool
) -> DirectionLimits:
    if not is_open or (own is None and other is not None and not _is_zero(other)):
        return hard_limit(np.zeros(len(power)))
    if own is None:
        return hard_limit(power)
    cap = capped_by(own, power)
    return hard_limit(cap) if price is None or not cap.any() else DirectionLimits(power, cap, price)


def hard_limit(cap: Array) -> DirectionLimits:
    """Return a limit that nothing can exceed."""
    return DirectionLimits(cap, np.full(len(cap), np.nan), np.zeros(len(cap)))


def _is_zero(capacity: Array) -> bool:
    """Return whether a capacity is zero wherever it is known, and known somewhere."""
    known = capacity[~np.isnan(capacity)]
    return len(known) > 0 and not known.any()


@dataclass(frozen=True, slots=True)
class PlacedProcess:
    """A process, and the steps in which it runs if these are found already."""

    process: Process
    runs: Mask | None


def place_processes(trigger: Trigger, sites: Sequence[Site]) -> list[PlacedProcess]:
    """Return all processes. The solver finds the cheapest time; the dearest is found here, by price alone."""
    prices = {site.commodity: site.consumption_price for site in sites}
    nothing = np.zeros(trigger.window.steps)
    return [
        _place(index, device, prices.get(device.commodity, nothing), trigger.window)
        for index, device in enumerate(trigger.devices)
        if device.process is not None
    ]


def _place(index: int, device: Device, prices: Array, window: Window) -> PlacedProcess:
    """Raise `NoRoomError` if there is no room for the process."""
    given = device.process
    assert given is not None
    process = Process(
        device=index,
        type=given.type,
        power=given.power,
        steps=process_steps(given.duration, window.resolution, window.steps),
        allowed=_allowed(given.restrictions, window),
    )
    runs = place_process(prices, process.steps, process.type, process.allowed, dearest=given.maximise)
    return PlacedProcess(process, runs if given.maximise else None)


def _allowed(restrictions: Sequence[tuple[datetime, datetime]], window: Window) -> Mask:
    """Return the steps that no restriction touches."""
    begins = steps(window.start, window.resolution, window.steps)
    ends = steps(window.start + window.resolution, window.resolution, window.steps)
    allowed = np.ones(window.steps, dtype=np.bool_)
    for start, end in restrictions:
        allowed &= (ends <= instant(start)) | (begins >= instant(end))
    return allowed


@dataclass(frozen=True, slots=True)
class _Row:
    """One device."""

    consumption: DirectionLimits
    production: DirectionLimits
    charging_efficiency: Array
    discharging_efficiency: Array


def resolve_devices(trigger: Trigger, profiles: Profiles, placements: Sequence[PlacedProcess] = ()) -> Devices:
    """Return all devices, flexible ones first."""
    processes = {placement.process.device: placement for placement in placements}
    rows = [
        _process_row(processes[index], profiles)
        if index in processes
        else _flexible_row(device, trigger.currency, profiles)
        for index, device in enumerate(trigger.devices)
    ]
    rows += [_inflexible_row(device, profiles) for device in trigger.inflexible]
    stock = np.full(len(rows), -1, dtype=np.int64)
    for index, device in enumerate(trigger.devices):
        stock[index] = -1 if device.stock is None else device.stock

    def table(of: Callable[[_Row], Array]) -> Array:
        return np.array([of(row) for row in rows], dtype=np.float64).reshape(len(rows), trigger.window.steps)

    all_devices: list[Device | Inflexible] = [*trigger.devices, *trigger.inflexible]
    return Devices(
        labels=tuple(device.label for device in all_devices),
        commodity=tuple(device.commodity for device in all_devices),
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


def _flexible_row(device: Device, currency: str, profiles: Profiles) -> _Row:
    return _Row(
        *device_limits(device, currency, profiles),
        profiles.steps_or_default(device.charging_efficiency, "", 1.0, f"charging-efficiency of {device.label}"),
        profiles.steps_or_default(device.discharging_efficiency, "", 1.0, f"discharging-efficiency of {device.label}"),
    )


def _process_row(placement: PlacedProcess, profiles: Profiles) -> _Row:
    """A process runs at its power or not at all; one with a known time is fixed."""
    power = np.full(profiles.window.steps, placement.process.power)
    ones = np.ones(profiles.window.steps)
    if placement.runs is not None:
        power = np.where(placement.runs, power, 0.0)
        return _Row(hard_limit(power), hard_limit(-power), ones, ones)
    return _Row(hard_limit(np.maximum(power, 0.0)), hard_limit(np.maximum(-power, 0.0)), ones, ones)


def _inflexible_row(device: Inflexible, profiles: Profiles) -> _Row:
    """The power of an inflexible device, zero where it is unknown."""
    power = profiles.steps_or_default(device.reference, "MW", 0.0, f"The power of {device.label}") * device.sign
    ones = np.ones(profiles.window.steps)
    return _Row(hard_limit(power), hard_limit(-power), ones, ones)


def resolve_bands(trigger: Trigger) -> tuple[Bands, ...]:
    """Return the operation modes of the devices that have any."""
    return tuple(
        Bands(index, np.array(device.operation_modes, dtype=np.float64))
        for index, device in enumerate(trigger.devices)
        if device.operation_modes
    )
