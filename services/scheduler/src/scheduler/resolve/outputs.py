"""Output sensors of a schedule, and the values stored on each in its unit, sign and resolution."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

import numpy as np
from flexmodel.problem import Array, Window
from flexmodel.quantities import convert, is_power, is_ratio
from flexmodel.schedule import Schedule
from flexmodel.series import to_steps
from flexmodel.time import ceil, floor, steps, zone
from flexmodel.tree import AssetTree
from flexmodel.trigger import Device, Group, Site, Trigger

Part = Literal["all", "consumption", "production"]
SIGN = "consumption_is_positive"
"""The attribute of sensors and assets that tells the sign of stored power."""
DECIMALS = 6
"""Values are stored to a millionth of their unit."""


@dataclass(frozen=True, slots=True)
class PowerOutput:
    """The summed power of some devices on one sensor."""

    sensor: int
    unit: str
    resolution: timedelta
    timezone: str
    devices: tuple[int, ...]
    part: Part
    consumption_positive: bool
    """True if consumption is stored as positive numbers."""
    sets_sign: bool = False
    """True if the sensor is to be marked with the sign of what is stored."""


@dataclass(frozen=True, slots=True)
class StateOutput:
    """The state of charge of one stock on one sensor, at the start and at the end of every step."""

    sensor: int
    unit: str
    stock: int
    percent_of: float | None


Output = PowerOutput | StateOutput


@dataclass(frozen=True, slots=True)
class OutputSeries:
    """The values of one sensor, in its unit and sign."""

    sensor: int
    start: datetime
    resolution: timedelta
    """Distance between two values; for a state of charge, too."""
    unit: str
    consumption_positive: bool
    values: Array
    sets_sign: bool = False
    """True if the sensor is to be marked with the sign of what is stored."""


def resolve_outputs(trigger: Trigger, tree: AssetTree) -> tuple[tuple[Output, ...], list[str]]:
    """Return one output per sensor, and warnings about sensors that are named for several."""
    chosen: dict[int, Output] = {}
    warnings: list[str] = []
    candidates: list[Output] = [*_directional(trigger, tree), *_powers(trigger, tree), *_states(trigger, tree)]
    for output in candidates:
        if output.sensor in chosen:
            warnings.append(
                f"Sensor {output.sensor} is named for several results; only the first of them is stored on it."
            )
        else:
            chosen[output.sensor] = output
    return tuple(chosen.values()), warnings


def _directional(trigger: Trigger, tree: AssetTree) -> Iterator[PowerOutput]:
    """Sensors for the consumption and the production of devices and groups."""
    owners: list[tuple[Device | Group, tuple[int, ...]]] = [
        *((device, (index,)) for index, device in enumerate(trigger.devices)),
        *((group, group.members) for group in trigger.groups),
    ]
    for owner, devices in owners:
        yield from _by_direction(owner.consumption_output, owner.production_output, devices, tree)


def _by_direction(
    consumption: int | None, production: int | None, devices: tuple[int, ...], tree: AssetTree
) -> Iterator[PowerOutput]:
    """A single sensor gets the full profile; of two, each gets its part."""
    both = consumption is not None and production is not None
    if consumption is not None:
        yield _direction_output(consumption, devices, "consumption" if both else "all", True, tree)
    if production is not None:
        yield _direction_output(production, devices, "production" if both else "all", False, tree)


def _powers(trigger: Trigger, tree: AssetTree) -> Iterator[PowerOutput]:
    """The power sensors of devices (summed where devices share one), of groups, and of whole commodities."""
    sharing: dict[int, tuple[int, ...]] = {}
    for index, device in enumerate(trigger.devices):
        if device.sensor is not None and device.sensor not in (device.consumption_output, device.production_output):
            sharing[device.sensor] = (*sharing.get(device.sensor, ()), index)
    for sensor, devices in sharing.items():
        yield _power_output(sensor, devices, tree)
    for group in trigger.groups:
        if group.sensor is not None and group.sensor not in (group.consumption_output, group.production_output):
            yield _power_output(group.sensor, group.members, tree)
    for site in trigger.sites:
        yield from _aggregates(site, trigger.of_commodity(site.commodity), tree)


def _aggregates(site: Site, devices: tuple[int, ...], tree: AssetTree) -> Iterator[PowerOutput]:
    """The sum of all devices of a commodity, inflexible ones included."""
    if site.aggregate_power is not None:
        yield _power_output(site.aggregate_power, devices, tree)
    yield from _by_direction(site.aggregate_consumption, site.aggregate_production, devices, tree)


def _power_output(sensor: int, devices: tuple[int, ...], tree: AssetTree) -> PowerOutput:
    """Power is stored production positive unless the sensor says otherwise; energy is always consumption positive."""
    known = tree.sensors[sensor]
    consumption_positive = not is_power(known.unit) or bool(tree.attribute(known, SIGN, False))
    return PowerOutput(sensor, known.unit, known.resolution, known.timezone, devices, "all", consumption_positive)


def _direction_output(
    sensor: int, devices: tuple[int, ...], part: Part, consumption_positive: bool, tree: AssetTree
) -> PowerOutput:
    """A sensor for one direction is marked with its sign, so that readers can tell."""
    output = replace(_power_output(sensor, devices, tree), part=part, sets_sign=True)
    return replace(output, consumption_positive=consumption_positive) if is_power(output.unit) else output


def _states(trigger: Trigger, tree: AssetTree) -> Iterator[StateOutput]:
    for index, stock in enumerate(trigger.stocks):
        if stock.sensor is not None:
            yield StateOutput(stock.sensor, tree.sensors[stock.sensor].unit, index, stock.percent_of)


def output_series(schedule: Schedule, outputs: Sequence[Output]) -> list[OutputSeries]:
    """Return the values of every output sensor."""
    return [_output_series(schedule, output) for output in outputs]


def _output_series(schedule: Schedule, output: Output) -> OutputSeries:
    """Return values without rounding dust, and without minus zero."""
    window, resolution, sign = schedule.window, None, 1
    if isinstance(output, PowerOutput):
        window, amounts = _power(schedule, output)
        unit, resolution, sign = "MW", window.resolution, 1 if output.consumption_positive else -1
    elif is_ratio(output.unit):
        amounts, unit = schedule.soc[output.stock] / output.percent_of, ""
    else:
        amounts, unit = schedule.soc[output.stock], "MWh"
    return OutputSeries(
        output.sensor,
        window.start,
        window.resolution,
        output.unit,
        sign > 0,
        np.round(sign * convert(amounts, unit, output.unit, resolution), DECIMALS) + 0.0,
        isinstance(output, PowerOutput) and output.sets_sign,
    )


def _power(schedule: Schedule, output: PowerOutput) -> tuple[Window, Array]:
    window = _sensor_window(schedule.window, output.resolution, output.timezone)
    power = schedule.power[list(output.devices)].sum(axis=0)
    if output.part == "consumption":
        power = np.maximum(power, 0.0)
    elif output.part == "production":
        power = np.minimum(power, 0.0)
    if window != schedule.window:
        starts = steps(schedule.window.start, schedule.window.resolution, schedule.window.steps)
        power = to_steps(starts, power, schedule.window.resolution, window)
    return window, power


def _sensor_window(window: Window, resolution: timedelta, timezone: str) -> Window:
    """Return the window in the sensor's own steps, counted from its midnight.

    An instantaneous sensor gets a value per step of the schedule.
    """
    if resolution in (timedelta(0), window.resolution):
        return window
    offset = window.start.astimezone(zone(timezone)).utcoffset() or timedelta(0)
    start, end = floor(window.start + offset, resolution) - offset, ceil(window.end + offset, resolution) - offset
    return Window(start, resolution, (end - start) // resolution)
