"""Which sensors a schedule is stored on: what of it, in which unit and with which sign."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from flexmodel.parts import CommodityContext, Device, DeviceGroup, Trigger
from flexmodel.quantities import is_power
from flexmodel.tree import AssetTree

Part = Literal["all", "consumption", "production"]
SIGN = "consumption_is_positive"


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
    """Whether consumption is stored as positive numbers."""
    sets_sign: bool = False
    """Whether the sensor is to be marked with the sign in which it is stored."""


@dataclass(frozen=True, slots=True)
class StateOutput:
    """The state of charge of one stock on one sensor, at the start and at the end of every step."""

    sensor: int
    unit: str
    stock: int
    percent_of: float | None


Output = PowerOutput | StateOutput


def outputs(trigger: Trigger, tree: AssetTree) -> tuple[tuple[Output, ...], list[str]]:
    """What goes where, one entry per sensor, and warnings about entries that had to give way."""
    chosen: dict[int, Output] = {}
    warnings: list[str] = []
    wanted: list[Output] = [*_directional(trigger, tree), *_powers(trigger, tree), *_states(trigger, tree)]
    for output in wanted:
        if output.sensor in chosen:
            warnings.append(
                f"Sensor {output.sensor} is named for several results; only the first of them is stored on it."
            )
        else:
            chosen[output.sensor] = output
    return tuple(chosen.values()), warnings


def _directional(trigger: Trigger, tree: AssetTree) -> Iterator[PowerOutput]:
    """Sensors for the consumption and the production of devices and groups."""
    owners: list[tuple[Device | DeviceGroup, tuple[int, ...]]] = [
        *((device, (index,)) for index, device in enumerate(trigger.devices)),
        *((group, group.members) for group in trigger.groups),
    ]
    for owner, devices in owners:
        yield from _parted(owner.consumption_output, owner.production_output, devices, tree)


def _parted(
    consumption: int | None, production: int | None, devices: tuple[int, ...], tree: AssetTree
) -> Iterator[PowerOutput]:
    """With one of the sensors it has the full profile, with both each has its part."""
    both = consumption is not None and production is not None
    if consumption is not None:
        yield _marked(consumption, devices, "consumption" if both else "all", True, tree)
    if production is not None:
        yield _marked(production, devices, "production" if both else "all", False, tree)


def _powers(trigger: Trigger, tree: AssetTree) -> Iterator[PowerOutput]:
    """The power sensors of devices (summed where devices share one), of groups, and of whole commodities."""
    sharing: dict[int, tuple[int, ...]] = {}
    for index, device in enumerate(trigger.devices):
        if device.sensor is not None and device.sensor not in (device.consumption_output, device.production_output):
            sharing[device.sensor] = (*sharing.get(device.sensor, ()), index)
    for sensor, devices in sharing.items():
        yield _power(sensor, devices, tree)
    for group in trigger.groups:
        if group.sensor is not None and group.sensor not in (group.consumption_output, group.production_output):
            yield _power(group.sensor, group.members, tree)
    for context in trigger.contexts:
        yield from _aggregates(context, trigger.of_commodity(context.commodity), tree)


def _aggregates(context: CommodityContext, devices: tuple[int, ...], tree: AssetTree) -> Iterator[PowerOutput]:
    """The sum of all devices of a commodity, inflexible ones included."""
    if context.aggregate_power is not None:
        yield _power(context.aggregate_power, devices, tree)
    yield from _parted(context.aggregate_consumption, context.aggregate_production, devices, tree)


def _power(sensor: int, devices: tuple[int, ...], tree: AssetTree) -> PowerOutput:
    """Power is stored production positive unless the sensor says otherwise; energy is always consumption positive."""
    known = tree.sensors[sensor]
    consumption_positive = not is_power(known.unit) or bool(tree.attribute(known, SIGN, False))
    return PowerOutput(sensor, known.unit, known.resolution, known.timezone, devices, "all", consumption_positive)


def _marked(
    sensor: int, devices: tuple[int, ...], part: Part, consumption_positive: bool, tree: AssetTree
) -> PowerOutput:
    """A sensor for one direction: marked with its sign, so that readers can tell."""
    output = replace(_power(sensor, devices, tree), part=part, sets_sign=True)
    return replace(output, consumption_positive=consumption_positive) if is_power(output.unit) else output


def _states(trigger: Trigger, tree: AssetTree) -> Iterator[StateOutput]:
    for index, stock in enumerate(trigger.stocks):
        if stock.sensor is not None:
            yield StateOutput(stock.sensor, tree.sensors[stock.sensor].unit, index, stock.percent_of)
