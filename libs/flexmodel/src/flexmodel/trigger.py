"""A trigger, merged and checked: its devices, stocks, sites and the rest. Values of sensors are not loaded yet.

Fixed values and segments are in canonical units (MW, MWh, a ratio, currency per MWh or per MW). The values of a
`SensorReference` are in the sensor's own unit and resolution, and are converted to the field's unit when loaded.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal

import numpy as np

from flexmodel.problem import Array, ProcessType, Window
from flexmodel.time import Instants, instant
from flexmodel.values import Fixed, SensorReference, VariableQuantity

ELECTRICITY = "electricity"
"""The commodity where none is given."""


@dataclass(frozen=True, slots=True)
class StateReference:
    """A reference to the state of charge at the start: the sensor's nearest value within a radius."""

    sensor: int
    within: timedelta

    def nearest(self, starts: Instants, values: Array, moment: datetime) -> int | None:
        """Return the index of the nearest value (of two the later one), or None if none is near enough."""
        distance = np.abs((starts - instant(moment)).astype("timedelta64[us]").astype(np.int64))
        near = np.flatnonzero((distance <= self.within.total_seconds() * 1e6) & ~np.isnan(values))
        return int(near[::-1][np.argmin(distance[near][::-1])]) if len(near) else None


Reference = SensorReference | StateReference


@dataclass(frozen=True, slots=True)
class Process:
    """A run of fixed power and duration that is placed in the window."""

    type: ProcessType
    duration: timedelta
    power: float
    """MW, consumption positive."""
    restrictions: tuple[tuple[datetime, datetime], ...] = ()
    """Periods in which it may not run."""
    maximise: bool = False
    """True to choose the dearest instead of the cheapest time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFields:
    """Fields of a device that are copied from its entry in the flex-model, under the same names."""

    power_capacity: VariableQuantity | None = None
    """[MW] As given on the entry or stored on its asset."""
    consumption_capacity: VariableQuantity | None = None
    production_capacity: VariableQuantity | None = None
    operation_modes: tuple[tuple[float, float], ...] = ()
    """Power bands as signed ranges in MW."""


@dataclass(frozen=True, slots=True)
class Device(DeviceFields):
    """A flexible device. Its index in `Trigger.devices` numbers it in cost names."""

    label: str
    asset_id: int | None
    sensor: int | None
    """The sensor of its schedule; None: it is planned but not stored."""
    commodity: str
    stock: int | None = None
    """Index into `Trigger.stocks`; None: a pure flow device."""
    fallback_capacity: VariableQuantity | None = None
    """[MW] Stands in for `power_capacity` where the given capacities do not define one."""
    may_consume: bool = True
    may_produce: bool = True
    consumption_breach_price: VariableQuantity | None = None
    """[currency/MW] None: the consumption capacity is hard."""
    production_breach_price: VariableQuantity | None = None
    charging_efficiency: VariableQuantity | None = None
    discharging_efficiency: VariableQuantity | None = None
    consumption_output: int | None = None
    """Output sensors. One of them: the full profile. Both: the positive and the negative part."""
    production_output: int | None = None
    process: Process | None = None


@dataclass(frozen=True, slots=True)
class Inflexible:
    """An inflexible device: its power is loaded from a sensor, not planned. Numbered after all flexible devices."""

    label: str
    reference: SensorReference
    sign: Literal[1, -1]
    """1: the sensor's positive values are consumption; -1: production."""
    commodity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StockFields:
    """Fields of a stock that are copied from its entries in the flex-model, under the same names.

    Of several entries, components are summed, and a preference counts only if all have it. For all other fields the
    entries must agree.
    """

    soc_minima: VariableQuantity | None = None
    """[MWh]"""
    soc_maxima: VariableQuantity | None = None
    soc_targets: VariableQuantity | None = None
    storage_efficiency: VariableQuantity | None = None
    """Fraction kept per `efficiency_resolution`."""
    soc_min: VariableQuantity | None = None
    """[MWh] Constant hard limits."""
    soc_max: VariableQuantity | None = None
    soc_gain: tuple[VariableQuantity, ...] = ()
    """[MW] Components are summed."""
    soc_usage: tuple[VariableQuantity, ...] = ()
    prefer_charging_sooner: bool = True
    prefer_curtailing_later: bool = True


@dataclass(frozen=True, slots=True)
class Stock(StockFields):
    """An energy stock, filled and drained by one or more devices."""

    label: str
    asset_id: int | None
    devices: tuple[int, ...]
    """Indices into `Trigger.devices`; the first one names the stock in costs and results."""
    initial: Fixed | StateReference
    """[MWh] For a sensor in % of `soc_max`, see `percent_of`."""
    sensor: int | None = None
    """The sensor of the state-of-charge schedule."""
    percent_of: float | None = None
    """[MWh] The energy at 100 %, for sensors in %."""
    minima_breach_price: VariableQuantity | None = None
    """[currency/MWh] None: the minima are hard. Targets are soft when both prices are there."""
    maxima_breach_price: VariableQuantity | None = None
    efficiency_resolution: timedelta | None = None
    project_off_tick: bool = True
    """True if points between two steps are projected on both neighbours (else they are dropped, with a warning)."""

    @property
    def targets_soft(self) -> bool:
        """True if targets may be missed at a price."""
        return self.minima_breach_price is not None and self.maxima_breach_price is not None


@dataclass(frozen=True, slots=True)
class Site:
    """The grid connection of one commodity. Its devices are all those of the commodity, inflexible ones included."""

    commodity: str
    consumption_price: VariableQuantity
    """[currency/MWh]"""
    production_price: VariableQuantity | None = None
    """None: the same as the consumption price."""
    power_capacity: VariableQuantity | None = None
    """[MW] Hard both ways."""
    consumption_capacity: VariableQuantity | None = None
    production_capacity: VariableQuantity | None = None
    consumption_breach_price: VariableQuantity | None = None
    """[currency/MW] None: the consumption capacity is hard."""
    production_breach_price: VariableQuantity | None = None
    peak_consumption: VariableQuantity | None = None
    """[MW] The peak already paid for; None: 0."""
    peak_consumption_price: VariableQuantity | None = None
    """[currency/MW] None: no peak tariff."""
    peak_production: VariableQuantity | None = None
    peak_production_price: VariableQuantity | None = None
    aggregate_power: int | None = None
    """Output sensors for the sum of the commodity's devices."""
    aggregate_consumption: int | None = None
    aggregate_production: int | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """A commodity without grid connection: its devices' flows add up to zero."""

    commodity: str


@dataclass(frozen=True, slots=True)
class Group:
    """Devices behind one connection inside the site. Members are indices into devices followed by inflexible ones."""

    name: str
    """`sensor:5` or `asset:7`."""
    members: tuple[int, ...]
    power_capacity: VariableQuantity | None
    consumption_capacity: VariableQuantity | None
    production_capacity: VariableQuantity | None
    breach_price: float
    """[currency/MW] Prices the directional capacities, which are soft."""
    sensor: int | None = None
    consumption_output: int | None = None
    production_output: int | None = None


@dataclass(frozen=True, slots=True)
class Coupling:
    """The ports of one converter: power of port k = coefficient k (signed) times one throughput."""

    name: str
    devices: tuple[int, ...]
    coefficients: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Price:
    """A price per MWh (charged for the time it lasts) or per MW (charged at every step)."""

    quantity: VariableQuantity
    per: Literal["MWh", "MW"]


@dataclass(frozen=True, slots=True)
class Commitment:
    """A baseline for the sum of some devices' power. Deviations from it are priced at every step."""

    name: str
    commodity: str
    members: tuple[int, ...]
    """Indices into devices followed by inflexible ones."""
    baseline: VariableQuantity
    up_price: Price | None
    """None: the deviation upwards is free."""
    down_price: Price | None


@dataclass(frozen=True, slots=True)
class Trigger:
    """Everything that a schedule needs, except for the values of the sensors it refers to."""

    asset_id: int
    window: Window
    """The planning window, extended when a target lies beyond the requested end."""
    requested_end: datetime
    prior: datetime | None
    """The belief time up to which beliefs count; None: the time at which the job runs."""
    sequential: bool
    currency: str
    devices: tuple[Device, ...]
    inflexible: tuple[Inflexible, ...]
    stocks: tuple[Stock, ...]
    sites: tuple[Site, ...]
    nodes: tuple[Node, ...] = ()
    groups: tuple[Group, ...] = ()
    couplings: tuple[Coupling, ...] = ()
    commitments: tuple[Commitment, ...] = ()
    warnings: tuple[str, ...] = ()

    def of_commodity(self, commodity: str) -> tuple[int, ...]:
        """Return the indices of a commodity's devices, flexible ones first, then inflexible ones."""
        commodities = [device.commodity for device in self.devices] + [device.commodity for device in self.inflexible]
        return tuple(index for index, name in enumerate(commodities) if name == commodity)

    def references(self) -> list[Reference]:
        """Return the references to values that must be loaded, each once, in the order of the parts."""
        return list(dict.fromkeys(_references(self)))

    def referenced_sensors(self) -> set[int]:
        """Return the sensors whose values must be loaded."""
        return {reference.sensor for reference in self.references()}

    def state_references(self) -> set[StateReference]:
        """Return the references to states of charge at the start."""
        return {stock.initial for stock in self.stocks if isinstance(stock.initial, StateReference)}

    def output_sensors(self) -> set[int]:
        """Return the sensors that receive results."""
        outputs: set[int | None] = {stock.sensor for stock in self.stocks}
        for device in self.devices:
            outputs |= {device.sensor, device.consumption_output, device.production_output}
        for group in self.groups:
            outputs |= {group.sensor, group.consumption_output, group.production_output}
        for site in self.sites:
            outputs |= {site.aggregate_power, site.aggregate_consumption, site.aggregate_production}
        return {sensor for sensor in outputs if sensor is not None}


def _references(part: object) -> Iterator[Reference]:
    """Yield every reference to a sensor's values, at any depth of the parts."""
    if isinstance(part, SensorReference | StateReference):
        yield part
    elif isinstance(part, tuple):
        for item in part:
            yield from _references(item)
    elif is_dataclass(part) and not isinstance(part, type):
        for name in _field_names(type(part)):
            yield from _references(getattr(part, name))


@lru_cache
def _field_names(part: type[object]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(part))  # type: ignore[arg-type]  # only asked about dataclasses
