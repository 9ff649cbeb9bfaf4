"""Devices of a trigger and the stocks they fill, with defaults for missing capacities, states and efficiencies."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from math import sqrt
from typing import Any

from flexmodel import quantities
from flexmodel.entries import DeviceEntry, Roles, asset_of, device_labels
from flexmodel.errors import Invalid
from flexmodel.fields import QuantityField
from flexmodel.flex_context import FlexContext
from flexmodel.flex_model import ABSOLUTE_STATE, FlexModelEntry
from flexmodel.parsing import FieldError, ParseContext, kebab
from flexmodel.problem import ProcessType, Window
from flexmodel.process_model import ProcessEntry
from flexmodel.sites import BreachPrices
from flexmodel.time import TimeError, parse_moment, zone
from flexmodel.trigger import Device, DeviceFields, Process, StateReference, Stock, StockFields
from flexmodel.values import Fixed, Segment, Segments, SensorReference, VariableQuantity

CAPACITY = QuantityField("MW")
STATE_RADIUS = 4
"""The most steps between the start and a state of charge that counts as that at the start."""


def build_devices(
    roles: Roles, window: Window, prices: BreachPrices, flex_context: FlexContext, context: ParseContext
) -> tuple[tuple[Device, ...], tuple[Stock, ...]]:
    """Return the flexible devices, and all stocks in the order of their first devices.

    Raises:
        Invalid: If a device or a stock cannot be planned with what is given.
    """
    builder = _Builder(window, prices, flex_context, context)
    labels = device_labels(roles.devices, context.tree)
    stocks: list[Stock] = []
    stock_of: dict[int, int] = {}
    for draft in _draft_stocks(roles):
        stock = builder.stock(draft, labels[draft.devices[0]])
        if stock is not None:
            stock_of |= dict.fromkeys(draft.devices, len(stocks))
            stocks.append(stock)
    devices = tuple(
        builder.process(entry, labels[index])
        if isinstance(entry, ProcessEntry)
        else builder.device(entry, labels[index], stock_of.get(index))
        for index, entry in enumerate(roles.devices)
    )
    return devices, tuple(stocks)


@dataclass(frozen=True, slots=True)
class _StockDraft:
    """A stock before it is built: its devices, and every entry that describes it (the devices' first)."""

    devices: tuple[int, ...]
    entries: tuple[FlexModelEntry, ...]
    sensor: int | None

    def agreed(self, name: str) -> object:
        """Return the value of a field, or None. Raises `Invalid` if two entries disagree."""
        values = [getattr(entry, name) for entry in self.entries if entry.has(name)]
        if any(value != values[0] for value in values):
            sentence = (
                f"`{kebab(name)}` of the stock kept by sensor {self.sensor} is given in more than one entry. "
                "Give it in one of them."
            )
            raise Invalid({"_schema": [sentence]}, where="message")
        return values[0] if values else None

    def joined(self, name: str) -> object:
        """Return the value of a field of all entries together."""
        values = [getattr(entry, name) for entry in self.entries]
        if all(isinstance(value, bool) for value in values):
            return all(values)
        if any(isinstance(value, tuple) for value in values):
            return tuple(part for value in values for part in value or ())
        return self.agreed(name)


def _draft_stocks(roles: Roles) -> list[_StockDraft]:
    """Return a draft for each stock. Devices that share a sensor share a stock; every other device has its own."""
    sharing: dict[int, list[int]] = {}
    for index, entry in enumerate(roles.devices):
        if entry.soc_sensor is not None:
            sharing.setdefault(entry.soc_sensor, []).append(index)
    describing: dict[int, list[FlexModelEntry]] = {}
    for entry in (*roles.devices, *roles.stocks):
        if isinstance(entry, FlexModelEntry) and entry.soc_sensor is not None:
            describing.setdefault(entry.soc_sensor, []).append(entry)
    drafts: list[_StockDraft] = []
    for index, entry in enumerate(roles.devices):
        sensor = entry.soc_sensor
        if sensor is None and isinstance(entry, FlexModelEntry):
            drafts.append(_StockDraft((index,), (entry,), None))
        elif sensor is not None and sharing[sensor][0] == index:
            drafts.append(_StockDraft(tuple(sharing[sensor]), tuple(describing[sensor]), sensor))
    return drafts


@dataclass(frozen=True, slots=True)
class _Builder:
    """Builds devices and stocks from entries."""

    window: Window
    prices: BreachPrices
    flex_context: FlexContext
    context: ParseContext

    def device(self, entry: FlexModelEntry, label: str, stock: int | None) -> Device:
        charging, discharging = entry.charging_efficiency, entry.discharging_efficiency
        if isinstance(entry.roundtrip_efficiency, Fixed):
            # It counts half on the way in and half on the way out.
            charging = discharging = Fixed(sqrt(entry.roundtrip_efficiency.value))
        return Device(
            **_copied(DeviceFields, lambda name: getattr(entry, name)),
            label=label,
            asset_id=asset_of(entry, self.context.tree),
            sensor=entry.power_sensor,
            commodity=entry.commodity,
            stock=stock,
            fallback_capacity=self._fallback_capacity(entry, label),
            may_consume=not self._is_only("is_producer", "is_consumer", entry),
            may_produce=not self._is_only("is_consumer", "is_producer", entry),
            consumption_breach_price=self.prices.device[0],
            production_breach_price=self.prices.device[1],
            charging_efficiency=charging,
            discharging_efficiency=discharging,
            consumption_output=entry.consumption,
            production_output=entry.production,
        )

    def process(self, entry: ProcessEntry, label: str) -> Device:
        sensor = None if entry.power_sensor is None else self.context.tree.sensors[entry.power_sensor]
        if isinstance(entry.power, str):
            power = quantities.parse(entry.power, "MW")
        else:
            unit, resolution = (sensor.unit, sensor.resolution) if sensor is not None else ("MW", None)
            power = entry.power * quantities.factor(unit, "MW", resolution)
        type = entry.process_type or self._attribute(entry, "process-type") or ProcessType.INFLEXIBLE
        if not isinstance(type, str) or type not in tuple(ProcessType):
            raise Invalid({"process-type": [f"Must be one of: {', '.join(ProcessType)}."]})
        place = zone(sensor.timezone if sensor is not None else "UTC")
        return Device(
            label=label,
            asset_id=asset_of(entry, self.context.tree),
            sensor=entry.power_sensor,
            commodity=entry.commodity,
            consumption_output=entry.consumption,
            production_output=entry.production,
            process=Process(
                type=ProcessType(type),
                duration=entry.duration.from_start(self.window.start, place),
                power=power,
                restrictions=entry.time_restrictions,
                maximise=entry.optimization_direction == "MAX",
            ),
        )

    def stock(self, draft: _StockDraft, label: str) -> Stock | None:
        """Return the stock, or None if its state at the start is unknown."""
        initial = self._initial(draft)
        if initial is None:
            return None
        given = _copied(StockFields, draft.joined)
        limits = (given.get(name) for name in ("soc_minima", "soc_maxima", "soc_targets"))
        off_tick = any(self._is_off_tick(limit) for limit in limits)
        prices = self.prices.off_tick if off_tick else self.prices.state_of_charge
        efficiency = given.get("storage_efficiency")
        first = draft.entries[0]
        return Stock(
            **given,
            label=label,
            asset_id=asset_of(first, self.context.tree),
            devices=draft.devices,
            initial=initial,
            sensor=draft.sensor,
            percent_of=self._percent_of(draft),
            minima_breach_price=prices[0],
            maxima_breach_price=prices[1],
            efficiency_resolution=None if efficiency is None else self._efficiency_resolution(draft, efficiency),
            project_off_tick=self._attribute(first, "floor_datetimes_to_resolution", True) is not False,
        )

    def _is_only(self, kind: str, other: str, entry: FlexModelEntry) -> bool:
        """Return whether attributes make the device of one kind, and explicitly not of the other."""
        opposite = self._attribute(entry, other)
        return bool(self._attribute(entry, kind)) and opposite is not None and not opposite

    def _fallback_capacity(self, entry: FlexModelEntry, label: str) -> VariableQuantity | None:
        """Return the capacity where no power capacity is known: an attribute, else the site's (stored ones first)."""
        if isinstance(entry.power_capacity, Fixed):
            return None
        attribute = self._attribute(entry, "capacity_in_mw")
        if isinstance(attribute, int | float):
            return Fixed(float(attribute))
        stored = self._attribute(entry, "site-power-capacity")
        if stored is not None:
            try:
                return CAPACITY.parse(stored, self.context, "site-power-capacity")
            except FieldError as error:
                raise Invalid({"site-power-capacity": error.errors}) from None
        of_site = self.flex_context.site_power_capacity
        if of_site is None and entry.power_capacity is None and not _has_directional_capacities(entry):
            sentence = f"Give a capacity for {label}: there is none in the message or on its asset."
            raise Invalid({"power-capacity": [sentence]})
        return of_site

    def _initial(self, draft: _StockDraft) -> Fixed | StateReference | None:
        """Return the state of charge at the start, or None if it is unknown."""
        radius = STATE_RADIUS * self.window.resolution
        given = draft.agreed("soc_at_start")
        if isinstance(given, Fixed):
            return given
        if isinstance(given, SensorReference):
            return StateReference(given.sensor, radius)
        if draft.sensor is not None:
            return StateReference(draft.sensor, radius)
        first = draft.entries[0]
        if isinstance(first.state_of_charge, Segments):
            return _nearest_state(first.state_of_charge, self.window.start, radius)
        known, at = self._attribute(first, "soc_in_mwh"), self._attribute(first, "soc_datetime")
        if isinstance(known, int | float) and _is_moment(at, self.window.start):
            return Fixed(float(known))
        return Fixed(0.0) if any(first.has(name) for name in FlexModelEntry.fields_with(ABSOLUTE_STATE)) else None

    def _percent_of(self, draft: _StockDraft) -> float | None:
        """Return the energy at 100 %, which a sensor in % needs."""
        full = draft.agreed("soc_max")
        attribute = self._attribute(draft.entries[0], "max_soc_in_mwh")
        if isinstance(full, Fixed) and full.value > 0:
            return full.value
        if isinstance(attribute, int | float) and attribute > 0:
            return float(attribute)
        if draft.sensor is not None and self.context.tree.sensors[draft.sensor].unit == "%":
            raise Invalid(
                {"soc-max": [f"Give a fixed `soc-max`: sensor {draft.sensor} measures the state of charge in %."]}
            )
        return None

    def _efficiency_resolution(self, draft: _StockDraft, efficiency: VariableQuantity) -> timedelta:
        """Return the period over which the storage efficiency counts: that of its own sensor, else a power sensor."""
        sensors = [efficiency.sensor] if isinstance(efficiency, SensorReference) else []
        sensors += [entry.power_sensor for entry in draft.entries if entry.power_sensor is not None]
        for sensor in sensors:
            if self.context.tree.sensors[sensor].resolution:
                return self.context.tree.sensors[sensor].resolution
        raise Invalid(
            {"storage-efficiency": ["There is no power sensor whose resolution says for how long it counts."]}
        )

    def _is_off_tick(self, limit: VariableQuantity | None) -> bool:
        """Return whether a list has a time between two steps."""
        if not isinstance(limit, Segments):
            return False
        moments = [moment for item in limit.items for moment in (item.start, item.end)]
        return any((moment - self.window.start) % self.window.resolution for moment in moments)

    def _attribute(self, entry: DeviceEntry, name: str, default: object = None) -> object:
        """Return an attribute of the entry's power sensor, or of its asset, or from what is stored there."""
        tree = self.context.tree
        if entry.power_sensor is not None:
            return tree.attribute(tree.sensors[entry.power_sensor], name, default)
        return tree.asset_attribute(asset_of(entry, tree), name, default)


def _copied(part: type[DeviceFields | StockFields], value_of: Callable[[str], object]) -> dict[str, Any]:
    """Return the values of a part's fields that are given, by the fields' names."""
    values = {field.name: value_of(field.name) for field in fields(part)}
    return {name: value for name, value in values.items() if value is not None}


def _has_directional_capacities(entry: FlexModelEntry) -> bool:
    """Return whether the directional capacities define the device's power. A single zero does not."""
    given = [cap for cap in (entry.consumption_capacity, entry.production_capacity) if cap is not None]
    return len(given) == 2 or (len(given) == 1 and given[0] != Fixed(0.0))


def _nearest_state(states: Segments, start: datetime, radius: timedelta) -> Fixed:
    """Return the state at the start: of the segment that contains it (the latest one), else of the nearest one."""
    around = [item for item in states.items if item.start <= start <= item.end]
    if around:
        return Fixed(max(around, key=lambda item: item.start).value)

    def distance(item: Segment) -> timedelta:
        return max(item.start - start, start - item.end)

    nearest = min(states.items, key=distance)
    if distance(nearest) > radius:
        raise Invalid(
            {"state-of-charge": [f"No recent state-of-charge value: none is near {start.isoformat()}."]},
            where="message",
        )
    return Fixed(nearest.value)


def _is_moment(text: object, moment: datetime) -> bool:
    try:
        return parse_moment(text) == moment
    except TimeError:
        return False
