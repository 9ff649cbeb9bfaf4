"""The flex-context: prices, capacities, peaks, penalties, commitments and everything else around the devices."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, ClassVar, Self, cast

from pydantic import Field, ValidationInfo, model_validator

from flexmodel import quantities
from flexmodel.device_fields import GroupReference, Label, check_inflexible, parse_inflexible
from flexmodel.fields import (
    SEGMENT_SCHEMA,
    SENSOR_SCHEMA,
    Capacity,
    EnergyPenalty,
    EnergyPrice,
    Output,
    Power,
    PowerPenalty,
    PriceField,
    SensorId,
)
from flexmodel.parsing import (
    WHOLE,
    Configuration,
    Errors,
    FieldError,
    FieldParser,
    ParseContext,
    kebab,
    parse_list,
    raise_errors,
)
from flexmodel.quantities import QuantityError
from flexmodel.trigger import ELECTRICITY, Price
from flexmodel.values import SensorReference

NO_CURRENCY = "EUR"
"""The currency where no price is given at all."""

DEPRECATED_PRICES = {
    "consumption-price-sensor": "consumption-price",
    "production-price-sensor": "production-price",
}
INFLEXIBLE = ("inflexible-device-sensors", "inflexible-consumption", "inflexible-production")
"""One family of fields: a message that gives one of them replaces all that are stored."""


def _unit_of_price(value: object, context: ParseContext) -> str | None:
    """Return a text with the unit of a price in any form, or None."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        number = value.get("sensor")
        sensor = context.tree.sensors.get(number) if isinstance(number, int) else None
        return None if sensor is None else f"1 {sensor.unit}"
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return _unit_of_price(value[0].get("value"), context)
    return None


def _price_kind(value: object, context: ParseContext) -> quantities.PriceKind | None:
    """Return the currency of a price in any form, and what it is charged for. None if it is no price."""
    text = _unit_of_price(value, context)
    try:
        return None if text is None else quantities.price_kind_of_text(text)
    except QuantityError:
        return None


def _price(value: object, context: ParseContext, field: str) -> Price:
    """Parse a price per energy or per power."""
    kind = _price_kind(value, context)
    per = "MWh" if kind is None else kind.per
    return Price(PriceField(per).parse(value, context, field), per)


def _inflexible(value: object, context: ParseContext, field: str) -> tuple[SensorReference, ...]:
    return parse_list(value, lambda item: parse_inflexible(item, context, field))


def _inflexible_ids(value: object, context: ParseContext, field: str) -> tuple[int, ...]:
    """Parse the deprecated list, in which the sensors' own attributes give the direction of positive values."""
    return parse_list(value, lambda item: _inflexible_id(item, context))


def _inflexible_id(value: object, context: ParseContext) -> int:
    sensor = context.sensor(value)
    check_inflexible(sensor.id, context, consumption=bool(sensor.attributes.get("consumption_is_positive", False)))
    return sensor.id


_PRICE_FORMS = {"anyOf": [{"type": "string"}, SENSOR_SCHEMA, {"type": "array", "items": SEGMENT_SCHEMA}]}
AnyPrice = Annotated[Price, FieldParser(_price, _PRICE_FORMS)]
InflexibleSensors = Annotated[
    tuple[SensorReference, ...], FieldParser(_inflexible, {"type": "array", "items": SENSOR_SCHEMA})
]
InflexibleIds = Annotated[
    tuple[int, ...], FieldParser(_inflexible_ids, {"type": "array", "items": {"type": "integer"}})
]


class CommitmentEntry(Configuration):
    """A baseline, and prices for deviating from it."""

    name: Label = Field(description="How its costs are listed.")
    baseline: Power = Field(description="The power from which deviations count.")
    up_price: AnyPrice | None = Field(None, description="For more consumption (or less production) than the baseline.")
    down_price: AnyPrice | None = Field(None, description="Negative: a penalty for less consumption than the baseline.")
    sensors: list[SensorId] | None = Field(None, description="The devices it concerns; all of the commodity otherwise.")
    group: GroupReference | None = Field(None, description="The group of devices it concerns.")
    commodity: Label = Field(ELECTRICITY, description="The commodity whose power counts.")

    @model_validator(mode="after")
    def _check_fields_together(self) -> Self:
        errors: Errors = {}
        if self.up_price is None and self.down_price is None:
            errors[WHOLE] = ["Give an `up-price`, a `down-price` or both."]
        if self.sensors is not None and self.group is not None:
            errors["group"] = ["Give either `sensors` or a `group`."]
        raise_errors(errors)
        return self


class CommodityFields(Configuration):
    """The grid connection of one commodity: prices, limits, peaks, penalties and outputs."""

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
        """True if limits on states of charge are soft."""
        return self.relax_constraints if self.relax_soc_constraints is None else self.relax_soc_constraints

    @property
    def relaxes_site(self) -> bool:
        """True if the directional capacities of the site are soft."""
        specific = self.relax_site_capacity_constraints
        return self.relax_constraints if specific is None else specific

    @property
    def has_connection(self) -> bool:
        """True if a price or a capacity is given. A commodity without any has no grid connection."""
        return any(getattr(self, name) is not None for name in CONNECTION_FIELDS)

    @model_validator(mode="after")
    def _check_inflexible_sensors(self) -> Self:
        listed = [*(self.inflexible_consumption or ()), *(self.inflexible_production or ())]
        errors: Errors = {}
        if self.inflexible_device_sensors is not None and listed:
            errors["inflexible-device-sensors"] = [
                "Move these sensors to `inflexible-consumption` and `inflexible-production`: they cannot be mixed."
            ]
        sensors = [reference.sensor for reference in listed] + list(self.inflexible_device_sensors or ())
        twice = sorted({sensor for sensor in sensors if sensors.count(sensor) > 1})
        if twice:
            field = "inflexible-production" if listed else "inflexible-device-sensors"
            errors[field] = [f"Sensor {twice[0]} is listed more than once."]
        raise_errors(errors)
        return self


CONNECTION_FIELDS = tuple(
    name
    for name in CommodityFields.model_fields
    if name in ("consumption_price", "production_price") or (name.startswith("site_") and name.endswith("_capacity"))
)
"""The fields of which a grid connection has at least one."""
PRICE_KEYS = tuple(kebab(name) for name in CommodityFields.model_fields if name.endswith("_price"))
"""The keys of all prices, in the order in which they set the currency."""
SITE_KEYS = tuple(
    kebab(name)
    for name in CommodityFields.model_fields
    if name in ("consumption_price", "production_price") or name.startswith("site_")
)
"""The keys of the grid connection itself."""


class CommodityEntry(CommodityFields):
    """One item of `commodities`."""


class FlexContext(CommodityFields):
    """The grid connection for electricity, the settings of all devices, and the connections of other commodities."""

    commodities: list[CommodityEntry] = Field([], description="The contexts of several commodities.")
    consumption_price_sensor: SensorId | None = Field(
        None, description="Use `consumption-price`.", json_schema_extra={"deprecated": True}
    )
    production_price_sensor: SensorId | None = Field(
        None, description="Use `production-price`.", json_schema_extra={"deprecated": True}
    )

    @model_validator(mode="after")
    def _check_fields_together(self, info: ValidationInfo) -> Self:
        errors: Errors = {}
        if self.commodity != ELECTRICITY:
            errors["commodity"] = [f"Only '{ELECTRICITY}' here. Other commodities go into `commodities`."]
        for old, new in DEPRECATED_PRICES.items():
            if getattr(self, old.replace("-", "_")) is not None and getattr(self, new.replace("-", "_")) is not None:
                errors[old] = [f"Give only `{new}`, not the deprecated `{old}` as well."]
        names = [entry.commodity for entry in self.commodities]
        twice = {
            str(index): {"commodity": [f"There is more than one context for '{name}'."]}
            for index, name in enumerate(names)
            if name in names[:index]
        }
        if twice:
            errors["commodities"] = twice
        context = cast(ParseContext, info.context)
        raise_errors(errors or self._errors_of_deprecated_prices(context))
        return self

    def _errors_of_deprecated_prices(self, context: ParseContext) -> Errors:
        """Return the error of the first deprecated price whose sensor has no price. Stored ones are not checked."""
        for old, new in DEPRECATED_PRICES.items():
            sensor: int | None = getattr(self, old.replace("-", "_"))
            if sensor is not None and not context.stored:
                try:
                    PriceField("MWh").check_sensor(context.tree.sensors[sensor], context, new)
                except FieldError as error:
                    return {old: error.errors}
        return {}


def parse_flex_context(config: Mapping[str, object], context: ParseContext) -> tuple[FlexContext, ParseContext]:
    """Parse a flex-context, whose first price sets the currency of all.

    Returns:
        The flex-context, and the parse context with its currency, for everything else that is parsed.

    Raises:
        FieldError: With all errors, by field.
    """
    context = with_currency(config, context)
    return FlexContext.parse(config, context), context


def with_currency(config: Mapping[str, object], context: ParseContext) -> ParseContext:
    """Return the parse context with the currency of the first price in a flex-context, and with its field."""
    for field, value in _prices(config):
        kind = _price_kind(value, context)
        if kind is not None:
            return replace(context, currency=kind.currency, currency_field=field)
    return replace(context, currency=NO_CURRENCY, currency_field=None)


def _prices(config: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Yield all prices with their fields, in the order in which they set the currency."""
    for old, new in DEPRECATED_PRICES.items():
        if isinstance(config.get(old), int):
            yield new, {"sensor": config[old]}
    yield from ((field, config[field]) for field in PRICE_KEYS if field in config)
    for commitment in _mappings(config.get("commitments")):
        yield from ((field, commitment[field]) for field in ("up-price", "down-price") if field in commitment)
    for entry in _mappings(config.get("commodities")):
        yield from _prices(entry)


def _mappings(value: object) -> Iterator[Mapping[str, object]]:
    if isinstance(value, list | tuple):
        yield from (item for item in value if isinstance(item, Mapping))
