"""The flex-context: prices, capacities, peaks, penalties and everything else around the devices."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from flexmodel.commitments import CommitmentEntry, price_kind
from flexmodel.configuration import Configuration
from flexmodel.device_fields import Label, check_inflexible, read_inflexible
from flexmodel.fields import (
    SENSOR_SCHEMA,
    Capacity,
    EnergyPenalty,
    EnergyPrice,
    Output,
    PowerPenalty,
    SensorId,
)
from flexmodel.reading import Reader, Reads, each
from flexmodel.trigger import ELECTRICITY
from flexmodel.values import SensorReference

NO_CURRENCY = "EUR"
"""Counts where no price is given at all."""

PRICES = (
    *("consumption-price", "production-price", "site-consumption-breach-price", "site-production-breach-price"),
    *("site-peak-consumption-price", "site-peak-production-price", "consumption-breach-price"),
    *("production-breach-price", "soc-minima-breach-price", "soc-maxima-breach-price"),
)
DEPRECATED_PRICES = {
    "consumption-price-sensor": "consumption-price",
    "production-price-sensor": "production-price",
}
INFLEXIBLE = ("inflexible-device-sensors", "inflexible-consumption", "inflexible-production")
"""One family: whoever gives one of them says everything about inflexible devices."""


def _inflexible(value: Any, reader: Reader, field: str) -> tuple[SensorReference, ...]:
    return each(value, lambda item: read_inflexible(item, reader, field))


def _inflexible_ids(value: Any, reader: Reader, field: str) -> tuple[int, ...]:
    """The deprecated list: which way a sensor counts is told by its own attribute."""
    return each(value, lambda item: _inflexible_id(item, reader))


def _inflexible_id(value: Any, reader: Reader) -> int:
    sensor = reader.sensor(value)
    check_inflexible(sensor.id, reader, consumption=bool(sensor.attributes.get("consumption_is_positive", False)))
    return sensor.id


InflexibleSensors = Annotated[
    tuple[SensorReference, ...], Reads(_inflexible, {"type": "array", "items": SENSOR_SCHEMA})
]
InflexibleIds = Annotated[tuple[int, ...], Reads(_inflexible_ids, {"type": "array", "items": {"type": "integer"}})]


class CommodityFields(Configuration):
    """What can be said about the grid connection of one commodity."""

    nullable: ClassVar[tuple[str, ...]] = ("relax-soc-constraints", "relax-site-capacity-constraints")

    commodity: Label = Field(ELECTRICITY, description="The commodity that the connection carries.")
    consumption_price: EnergyPrice | None = Field(None, description="For energy taken from the grid.")
    production_price: EnergyPrice | None = Field(None, description="For energy fed in; else the consumption price.")
    site_power_capacity: Capacity | None = Field(None, description="The most net power, both ways (hard).")
    site_consumption_capacity: Capacity | None = Field(None, description="The most net consumption.")
    site_production_capacity: Capacity | None = Field(None, description="The most net production.")
    site_consumption_breach_price: PowerPenalty | None = Field(None, description="For net consumption above its limit.")
    site_production_breach_price: PowerPenalty | None = Field(None, description="For net production above its limit.")
    site_peak_consumption: Capacity | None = Field(None, description="The peak already paid for.")
    site_peak_consumption_price: PowerPenalty | None = Field(None, description="For the peak above that.")
    site_peak_production: Capacity | None = Field(None, description="The production peak already paid for.")
    site_peak_production_price: PowerPenalty | None = Field(None, description="For the production peak above that.")
    consumption_breach_price: PowerPenalty | None = Field(None, description="For devices above `consumption-capacity`.")
    production_breach_price: PowerPenalty | None = Field(None, description="For devices above `production-capacity`.")
    soc_minima_breach_price: EnergyPenalty | None = Field(None, description="For energy missing to `soc-minima`.")
    soc_maxima_breach_price: EnergyPenalty | None = Field(None, description="For energy above `soc-maxima`.")
    relax_constraints: bool = Field(True, description="Whether limits on states of charge and sites are soft.")
    relax_soc_constraints: bool | None = Field(None, description="Overrides `relax-constraints`.")
    relax_site_capacity_constraints: bool | None = Field(None, description="Overrides `relax-constraints`.")
    relax_capacity_constraints: bool = Field(False, description="Whether devices' directional capacities are soft.")
    commitments: list[CommitmentEntry] = Field([], description="Baselines, and prices for deviating from them.")
    inflexible_device_sensors: InflexibleIds | None = Field(
        None, description="Use the next two.", json_schema_extra={"deprecated": True}
    )
    inflexible_consumption: InflexibleSensors | None = Field(None, description="Devices that are not planned.")
    inflexible_production: InflexibleSensors | None = Field(None, description="Devices that are not planned.")
    aggregate_power: Output | None = Field(
        None, description="Use the next two.", json_schema_extra={"deprecated": True}
    )
    aggregate_consumption: Output | None = Field(None, description="Receives the sum over all devices.")
    aggregate_production: Output | None = Field(None, description="Receives the sum, production as positive values.")

    @property
    def relaxes_soc(self) -> bool:
        return self.relax_constraints if self.relax_soc_constraints is None else self.relax_soc_constraints

    @property
    def relaxes_site(self) -> bool:
        specific = self.relax_site_capacity_constraints
        return self.relax_constraints if specific is None else specific

    @model_validator(mode="after")
    def _each_inflexible_sensor_once(self) -> Self:
        listed = [*(self.inflexible_consumption or ()), *(self.inflexible_production or ())]
        problems: dict[str, Any] = {}
        if self.inflexible_device_sensors is not None and listed:
            problems["inflexible-device-sensors"] = [
                "Move these sensors to `inflexible-consumption` and `inflexible-production`: they cannot be mixed."
            ]
        sensors = [reference.sensor for reference in listed] + list(self.inflexible_device_sensors or ())
        twice = sorted({sensor for sensor in sensors if sensors.count(sensor) > 1})
        if twice:
            field = "inflexible-production" if listed else "inflexible-device-sensors"
            problems[field] = [f"Sensor {twice[0]} is listed more than once."]
        if problems:
            raise PydanticCustomError("refused", "refused", {"problem": problems})
        return self


class CommodityEntry(CommodityFields):
    """One item of `commodities`."""


class FlexContext(CommodityFields):
    """The whole: the electricity connection, what counts for all devices, and the contexts of other commodities."""

    commodities: list[CommodityEntry] = Field([], description="The contexts of several commodities.")
    consumption_price_sensor: SensorId | None = Field(
        None, description="Use `consumption-price`.", json_schema_extra={"deprecated": True}
    )
    production_price_sensor: SensorId | None = Field(
        None, description="Use `production-price`.", json_schema_extra={"deprecated": True}
    )

    @model_validator(mode="after")
    def _fields_together(self) -> Self:
        problems: dict[str, Any] = {}
        if self.commodity != ELECTRICITY:
            problems["commodity"] = [f"Only '{ELECTRICITY}' here. Other commodities go into `commodities`."]
        for old, new in DEPRECATED_PRICES.items():
            if getattr(self, old.replace("-", "_")) is not None and getattr(self, new.replace("-", "_")) is not None:
                problems[old] = [f"Give only `{new}`, not the deprecated `{old}` as well."]
        names = [entry.commodity for entry in self.commodities]
        twice = {
            str(index): {"commodity": [f"There is more than one context for '{name}'."]}
            for index, name in enumerate(names)
            if name in names[:index]
        }
        if twice:
            problems["commodities"] = twice
        if problems:
            raise PydanticCustomError("refused", "refused", {"problem": problems})
        return self


def shared_currency(context: Mapping[str, Any], reader: Reader) -> tuple[str, str | None]:
    """The currency of the first price there is, and the field it stands in."""
    for field, value in _prices(context):
        kind = price_kind(value, reader)
        if kind is not None:
            return kind.currency, field
    return NO_CURRENCY, None


def _prices(context: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for old, new in DEPRECATED_PRICES.items():
        if isinstance(context.get(old), int):
            yield new, {"sensor": context[old]}
    yield from ((field, context[field]) for field in PRICES if field in context)
    for commitment in _mappings(context.get("commitments")):
        yield from ((field, commitment[field]) for field in ("up-price", "down-price") if field in commitment)
    for entry in _mappings(context.get("commodities")):
        yield from _prices(entry)


def _mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list | tuple):
        yield from (item for item in value if isinstance(item, Mapping))


def json_schema() -> dict[str, Any]:
    """JSON Schema of a flex-context, for editors."""
    return FlexContext.model_json_schema(by_alias=True)
