"""The devices of a trigger: their capacities and where missing ones come from, efficiencies, processes, outputs."""

from collections.abc import Sequence
from dataclasses import replace
from math import sqrt
from typing import Any, Literal

from flexmodel import quantities
from flexmodel.errors import Invalid
from flexmodel.fields import QuantityKind
from flexmodel.flex_context import CommodityFields, FlexContext
from flexmodel.flex_model import FlexModelEntry
from flexmodel.penalties import Penalties
from flexmodel.problem import ProcessType, Window
from flexmodel.process_model import ProcessEntry
from flexmodel.reading import Reader, Refused
from flexmodel.roles import DeviceEntry, Roles, asset_of
from flexmodel.time import zone
from flexmodel.trigger import Device, Inflexible, Process
from flexmodel.values import Fixed, SensorReference, VariableQuantity

CAPACITY = QuantityKind("MW")


def devices(
    roles: Roles,
    labels: Sequence[str],
    of_device: Sequence[int | None],
    context: FlexContext,
    penalties: Penalties,
    window: Window,
    reader: Reader,
) -> tuple[Device, ...]:
    """The flexible devices. `of_device` tells the stock of each."""
    found = []
    for entry, label, stock in zip(roles.devices, labels, of_device, strict=True):
        if isinstance(entry, ProcessEntry):
            found.append(_process(entry, label, window, reader))
        else:
            found.append(_device(entry, label, stock, context, penalties, reader))
    return tuple(found)


def _device(
    entry: FlexModelEntry,
    label: str,
    stock: int | None,
    context: FlexContext,
    penalties: Penalties,
    reader: Reader,
) -> Device:
    charging, discharging = _efficiencies(entry)
    return Device(
        label=label,
        asset_id=asset_of(entry, reader.tree),
        sensor=entry.power_sensor,
        commodity=entry.commodity,
        stock=stock,
        power_capacity=entry.power_capacity,
        consumption_capacity=entry.consumption_capacity,
        production_capacity=entry.production_capacity,
        fallback_capacity=_fallback_capacity(entry, label, context, reader),
        may_consume=not _is_only("is_producer", "is_consumer", entry, reader),
        may_produce=not _is_only("is_consumer", "is_producer", entry, reader),
        consumption_breach_price=penalties.device[0],
        production_breach_price=penalties.device[1],
        charging_efficiency=charging,
        discharging_efficiency=discharging,
        bands=entry.operation_modes or (),
        consumption_output=entry.consumption,
        production_output=entry.production,
    )


def _is_only(kind: str, other: str, entry: FlexModelEntry, reader: Reader) -> bool:
    """Whether attributes make the device of one kind and explicitly not of the other."""
    opposite = _attribute(entry, reader, other)
    return bool(_attribute(entry, reader, kind)) and opposite is not None and not opposite


def _efficiencies(entry: FlexModelEntry) -> tuple[VariableQuantity | None, VariableQuantity | None]:
    """A roundtrip efficiency counts half on the way in and half on the way out."""
    if isinstance(entry.roundtrip_efficiency, Fixed):
        half = Fixed(sqrt(entry.roundtrip_efficiency.value))
        return half, half
    return entry.charging_efficiency, entry.discharging_efficiency


def _fallback_capacity(
    entry: FlexModelEntry, label: str, context: FlexContext, reader: Reader
) -> VariableQuantity | None:
    """What stands in where no power capacity is known: an attribute, or the site's capacity (stored ones first)."""
    if isinstance(entry.power_capacity, Fixed):
        return None
    attribute = _attribute(entry, reader, "capacity_in_mw")
    if isinstance(attribute, int | float):
        return Fixed(float(attribute))
    stored = _attribute(entry, reader, "site-power-capacity")
    if stored is not None:
        try:
            return CAPACITY.read(stored, reader, "site-power-capacity")
        except Refused as refused:
            raise Invalid({"site-power-capacity": refused.problem}) from None
    if context.site_power_capacity is None and entry.power_capacity is None and not _says_its_power(entry):
        sentence = f"Give a capacity for {label}: there is none in the message or on its asset."
        raise Invalid({"power-capacity": [sentence]})
    return context.site_power_capacity


def _says_its_power(entry: FlexModelEntry) -> bool:
    """Whether the directional capacities define the device's power; a single zero does not."""
    given = [cap for cap in (entry.consumption_capacity, entry.production_capacity) if cap is not None]
    return len(given) == 2 or (len(given) == 1 and given[0] != Fixed(0.0))


def _process(entry: ProcessEntry, label: str, window: Window, reader: Reader) -> Device:
    sensor = None if entry.power_sensor is None else reader.tree.sensors[entry.power_sensor]
    if isinstance(entry.power, str):
        power = quantities.parse(entry.power, "MW")
    else:
        unit, resolution = (sensor.unit, sensor.resolution) if sensor is not None else ("MW", None)
        power = entry.power * quantities.factor(unit, "MW", resolution)
    kind = entry.process_type or _attribute(entry, reader, "process-type") or ProcessType.INFLEXIBLE
    if kind not in tuple(ProcessType):
        raise Invalid({"process-type": [f"Must be one of: {', '.join(ProcessType)}."]})
    duration = entry.duration.from_start(window.start, zone(sensor.timezone if sensor is not None else "UTC"))
    return Device(
        label=label,
        asset_id=asset_of(entry, reader.tree),
        sensor=entry.power_sensor,
        commodity=entry.commodity,
        consumption_output=entry.consumption,
        production_output=entry.production,
        process=Process(
            type=ProcessType(kind),
            duration=duration,
            power=power,
            restrictions=entry.time_restrictions,
            maximise=entry.optimization_direction == "MAX",
        ),
    )


def inflexible_devices(roles: Roles, context: FlexContext, reader: Reader) -> tuple[Inflexible, ...]:
    """Devices that are not planned: of the flex-model, of the flex-context, then of other commodities."""
    declared = [
        _inflexible(*entry.inflexible, entry.commodity, reader)
        for entry in roles.inflexible
        if entry.inflexible is not None
    ]
    listed = [device for commodity in context.commodities for device in _of_context(commodity, reader)]
    return (*declared, *_of_context(context, reader), *listed)


def _of_context(context: CommodityFields, reader: Reader) -> list[Inflexible]:
    listed: list[tuple[SensorReference, Literal[1, -1]]] = [
        *(
            (SensorReference(sensor), consumption_sign(sensor, reader))
            for sensor in context.inflexible_device_sensors or ()
        ),
        *((reference, 1) for reference in context.inflexible_consumption or ()),
        *((reference, -1) for reference in context.inflexible_production or ()),
    ]
    return [_inflexible(reference, sign, context.commodity, reader) for reference, sign in listed]


def consumption_sign(sensor_id: int, reader: Reader) -> Literal[1, -1]:
    """Which way a sensor counts by its own account; production is positive unless it says otherwise."""
    return 1 if reader.tree.attribute(reader.tree.sensors[sensor_id], "consumption_is_positive", False) else -1


def _inflexible(reference: SensorReference, sign: Literal[1, -1], commodity: str, reader: Reader) -> Inflexible:
    sensor = reader.tree.sensors[reference.sensor]
    asset = reader.tree.assets.get(sensor.asset_id)
    label = f"{asset.name}: {sensor.name}" if asset is not None else sensor.name
    return Inflexible(label, replace(reference, default=None), sign, commodity)


def _attribute(entry: DeviceEntry, reader: Reader, name: str) -> Any:
    """An attribute of the entry's power sensor, or of its asset, or from what is stored there."""
    if entry.power_sensor is not None:
        return reader.tree.attribute(reader.tree.sensors[entry.power_sensor], name)
    return reader.tree.asset_attribute(asset_of(entry, reader.tree), name)
