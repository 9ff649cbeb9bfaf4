"""Types of the fields in flex-models and flex-contexts: quantities, sensors and outputs, for pydantic models.

A field of type `Power` accepts `"22 kVA"`, `{"sensor": 5}` or a list of values over time, and becomes `Fixed`,
`SensorReference` or `Segments` in MW.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from flexmodel import quantities
from flexmodel.parsing import (
    FieldError,
    FieldParser,
    ParseContext,
    parse_at,
    parse_integer,
    parse_list,
    parse_mapping,
    parse_segment,
)
from flexmodel.quantities import QuantityError
from flexmodel.tree import TreeSensor
from flexmodel.values import Fixed, Segments, SensorReference, VariableQuantity

JsonSchema = dict[str, object]
EXAMPLES = {"MW": "kW", "MWh": "kWh", "": "%"}
SENSOR_KEYS = ("sensor", "source-types", "exclude-source-types", "sources", "source", "source-account", "default")


@dataclass(frozen=True, slots=True)
class QuantityField:
    """The kind of quantity that a field accepts."""

    unit: str
    minimum: float | None = None
    above: float | None = None
    stored_minimum: float | None = None
    """A minimum that applies only to configurations stored on assets."""
    bare_numbers: bool = False
    """True if a number without a unit is accepted. In fields of energy it is in the context's energy unit, which
    depends on the sensor in the message: a stored configuration needs its unit."""
    over_time: bool = True
    sensors: bool = True
    may_be_empty: bool = False
    """True if a list of values over time may be empty."""

    def schema(self) -> JsonSchema:
        """Return the JSON Schema of accepted values."""
        forms: list[JsonSchema] = [
            {"type": "string", "description": f"A quantity, convertible to {self.example_unit()}."}
        ]
        if self.bare_numbers:
            forms.append({"type": "number"})
        if self.sensors:
            forms.append(SENSOR_SCHEMA)
        if self.over_time:
            fewest = {} if self.may_be_empty else {"minItems": 1}
            forms.append({"type": "array", **fewest, "items": SEGMENT_SCHEMA})
        return {"anyOf": forms} if len(forms) > 1 else forms[0]

    def canonical_unit(self, context: ParseContext) -> str:
        """Return the unit of parsed values."""
        return self.unit

    def example_unit(self) -> str:
        """Return an example of a unit that users may give."""
        return EXAMPLES.get(self.unit, self.unit)

    def parse(self, value: object, context: ParseContext, field: str) -> VariableQuantity:
        """Return the quantity in the canonical unit, or raise `FieldError`."""
        if isinstance(value, Mapping):
            return self._reference(value, context, field)
        if isinstance(value, list | tuple):
            return self._over_time(value, context, field)
        return Fixed(self.parse_number(value, context, field))

    def parse_number(self, value: object, context: ParseContext, field: str) -> float:
        """Return a text or a bare number in the canonical unit, or raise `FieldError`."""
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise FieldError(f"Not a valid quantity. Give it like '1 {self.example_unit()}'.")
        unit = self.canonical_unit(context)
        if not isinstance(value, str) and (not self.bare_numbers or (context.stored and unit)):
            raise FieldError(
                f"Cannot convert value `{value}` to '{unit}'. Give its unit, like '{value} {self.example_unit()}'."
            )
        text = value if isinstance(value, str) else f"{value} {context.energy_unit if unit == 'MWh' else ''}".strip()
        try:
            number = quantities.parse(text, unit)
        except QuantityError as error:
            raise FieldError(self.unit_error(text, str(error), context, field)) from None
        self._check_limits(number, context)
        return number + 0.0

    def unit_error(self, text: str, sentence: str, context: ParseContext, field: str) -> str:
        """Return the sentence about a text that has not the right unit."""
        return sentence

    def _check_limits(self, number: float, context: ParseContext) -> None:
        unit = self.canonical_unit(context) or "%"
        minimum = self.stored_minimum if context.stored and self.minimum is None else self.minimum
        if minimum is not None and number < minimum:
            raise FieldError(f"Must be greater than or equal to {minimum:g} {unit}.")
        if self.above is not None and number <= self.above:
            raise FieldError(f"Must be greater than {self.above:g} {unit}.")

    def _reference(self, value: Mapping[str, object], context: ParseContext, field: str) -> SensorReference:
        if not self.sensors:
            raise FieldError("A sensor cannot be used here. Give a fixed quantity.")
        number = None
        if "default" in value:
            number = parse_at("default", lambda: self.parse_number(value["default"], context, field))
        reference = parse_sensor_reference(value, context, number)
        self.check_sensor(context.tree.sensors[reference.sensor], context, field)
        return reference

    def check_sensor(self, sensor: TreeSensor, context: ParseContext, field: str) -> None:
        """Raise `FieldError` if the sensor's values cannot be converted to the canonical unit."""
        unit = self.canonical_unit(context)
        if not quantities.is_convertible(sensor.unit, unit, sensor.resolution):
            raise FieldError(f"Cannot convert '{sensor.unit}', the unit of sensor {sensor.id}, to '{unit}'.")

    def _over_time(self, items: list[object] | tuple[object, ...], context: ParseContext, field: str) -> Segments:
        if not self.over_time:
            raise FieldError("Values over time cannot be used here. Give a fixed quantity.")
        if context.stored:
            raise FieldError("Values for particular times cannot be stored on an asset. Send them with a trigger.")
        if not items and not self.may_be_empty:
            raise FieldError("Shorter than minimum length 1.")
        return Segments(
            parse_list(items, lambda item: parse_segment(item, context, lambda v: self.parse_number(v, context, field)))
        )


@dataclass(frozen=True, slots=True)
class PriceField(QuantityField):
    """A price in the context's currency per `unit`."""

    def canonical_unit(self, context: ParseContext) -> str:
        return f"{context.currency}/{self.unit}"

    def example_unit(self) -> str:
        return f"EUR/{self.unit}"

    def unit_error(self, text: str, sentence: str, context: ParseContext, field: str) -> str:
        if not sentence.startswith("Cannot convert value `"):
            return sentence
        return self._wrong_unit(text.lstrip("0123456789.+-*/() "), context, field)

    def check_sensor(self, sensor: TreeSensor, context: ParseContext, field: str) -> None:
        if quantities.price_kind(sensor.unit) != (context.currency, self.unit):
            raise FieldError(self._wrong_unit(sensor.unit, context, field))

    def _wrong_unit(self, unit: str, context: ParseContext, field: str) -> str:
        kind = quantities.price_kind(unit)
        other_currency = kind is not None and kind.currency != context.currency
        other = context.currency_field if other_currency or context.currency_field != field else None
        because = f" (this example uses '{context.currency}', because '{other}' used that currency)" if other else ""
        note = (
            " Also note that all prices in the flex-context must share the same currency unit "
            f"(in this case: '{context.currency}')."
            if other
            else ""
        )
        return (
            f"Invalid unit. A valid unit would be, for example, '{self.canonical_unit(context)}'{because}. "
            f"However, you passed an incompatible price ('{unit}') for the '{field}' field.{note}"
        )


def parse_sensor_reference(value: object, context: ParseContext, default: float | None = None) -> SensorReference:
    """Parse a reference to a sensor, with its filters on sources."""
    item = parse_mapping(value, SENSOR_KEYS, ("sensor",))
    sensor = context.sensor(item["sensor"])
    return SensorReference(
        sensor=sensor.id,
        source_types=_strings(item, "source-types"),
        exclude_source_types=_strings(item, "exclude-source-types"),
        sources=_numbers(item, "sources") or _numbers(item, "source"),
        source_account=_numbers(item, "source-account"),
        default=default,
    )


def _strings(item: Mapping[str, object], key: str) -> tuple[str, ...] | None:
    if key not in item:
        return None
    return tuple(parse_at(key, lambda: parse_list(item[key], _string)))


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise FieldError("Not a valid string.")
    return value


def _numbers(item: Mapping[str, object], key: str) -> tuple[int, ...] | None:
    if key not in item:
        return None
    listed = item[key] if isinstance(item[key], list | tuple) else [item[key]]
    return tuple(parse_at(key, lambda: parse_list(listed, parse_integer)))


def _output(value: object, context: ParseContext, field: str) -> int:
    """Parse the sensor of an output. It accepts no filters."""
    item = parse_mapping(value, ("sensor",), ("sensor",))
    sensor = context.sensor(item["sensor"])
    if not quantities.is_power(sensor.unit):
        raise FieldError(f"Sensor {sensor.id} measures '{sensor.unit}'. It must have a unit of power, like 'kW'.")
    directions = {"consumption": True, "production": False}
    expected = directions.get(field.removeprefix("aggregate-"))
    if expected is not None and sensor.attributes.get("consumption_is_positive", expected) is not expected:
        raise FieldError(
            f"The attribute `consumption_is_positive` of sensor {sensor.id} must be {str(expected).lower()} "
            f"for a sensor that receives {field.removeprefix('aggregate-')}."
        )
    return sensor.id


def _sensor_id(value: object, context: ParseContext, field: str) -> int:
    return context.sensor(value).id


def quantity(kind: QuantityField) -> FieldParser:
    """Return the annotation of a field for quantities of a kind."""
    return FieldParser(kind.parse, kind.schema())


SENSOR_SCHEMA: JsonSchema = {
    "type": "object",
    "required": ["sensor"],
    "additionalProperties": False,
    "properties": {
        "sensor": {"type": "integer"},
        "source-types": {"type": "array", "items": {"type": "string"}},
        "exclude-source-types": {"type": "array", "items": {"type": "string"}},
        "sources": {"type": "array", "items": {"type": "integer"}},
        "source-account": {"type": "array", "items": {"type": "integer"}},
        "default": {"type": ["string", "number"], "description": "Fills every empty slot."},
    },
}
OUTPUT_SCHEMA: JsonSchema = {
    "type": "object",
    "required": ["sensor"],
    "additionalProperties": False,
    "properties": {"sensor": {"type": "integer"}},
}
SEGMENT_SCHEMA: JsonSchema = {
    "type": "object",
    "required": ["value"],
    "additionalProperties": False,
    "properties": {
        "value": {"type": ["string", "number"]},
        "datetime": {"type": "string", "format": "date-time"},
        "start": {"type": "string", "format": "date-time"},
        "end": {"type": "string", "format": "date-time"},
        "duration": {"type": "string", "format": "duration"},
    },
}

Power = Annotated[VariableQuantity, quantity(QuantityField("MW", stored_minimum=0))]
Capacity = Annotated[VariableQuantity, quantity(QuantityField("MW", minimum=0))]
Energy = Annotated[
    VariableQuantity, quantity(QuantityField("MWh", stored_minimum=0, bare_numbers=True, may_be_empty=True))
]
EnergyFromZero = Annotated[
    VariableQuantity, quantity(QuantityField("MWh", minimum=0, bare_numbers=True, may_be_empty=True))
]
SteadyEnergy = Annotated[
    VariableQuantity, quantity(QuantityField("MWh", stored_minimum=0, bare_numbers=True, over_time=False))
]
SteadyEnergyFromZero = Annotated[
    VariableQuantity, quantity(QuantityField("MWh", minimum=0, bare_numbers=True, over_time=False))
]
Ratio = Annotated[VariableQuantity, quantity(QuantityField("", minimum=0, bare_numbers=True))]
PositiveRatio = Annotated[VariableQuantity, quantity(QuantityField("", above=0, bare_numbers=True))]
EnergyPrice = Annotated[VariableQuantity, quantity(PriceField("MWh"))]
EnergyPenalty = Annotated[VariableQuantity, quantity(PriceField("MWh", minimum=0))]
PowerPenalty = Annotated[VariableQuantity, quantity(PriceField("MW", minimum=0))]
Output = Annotated[int, FieldParser(_output, OUTPUT_SCHEMA)]
SensorId = Annotated[int, FieldParser(_sensor_id, {"type": "integer"})]
