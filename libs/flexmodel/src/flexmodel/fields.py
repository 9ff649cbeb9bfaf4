"""The kinds of fields in flex-models and flex-contexts: quantities, sensors and outputs, as types for pydantic models.

A field of type `Power` accepts `"22 kVA"`, `{"sensor": 5}` or a list of values over time, and becomes `Fixed`,
`SensorReference` or `Segments` in MW.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from flexmodel import quantities
from flexmodel.quantities import QuantityError
from flexmodel.reading import Reader, Reads, Refused, at, each, mapping, segment, whole_number
from flexmodel.tree import TreeSensor
from flexmodel.values import Fixed, Segments, SensorReference, VariableQuantity

JsonSchema = dict[str, Any]
EXAMPLES = {"MW": "kW", "MWh": "kWh", "": "%"}
SENSOR_KEYS = ("sensor", "source-types", "exclude-source-types", "sources", "source", "source-account", "default")


@dataclass(frozen=True, slots=True)
class QuantityKind:
    """What kind of quantity a field holds."""

    unit: str
    minimum: float | None = None
    above: float | None = None
    stored_minimum: float | None = None
    """A minimum that counts only for what is stored on assets."""
    bare_numbers: bool = False
    """Whether a number without a unit is accepted. In fields of energy it counts in the reader's energy unit, which
    depends on the sensor in the message: what is stored on an asset needs its unit."""
    over_time: bool = True
    sensors: bool = True
    may_be_empty: bool = False
    """Whether a list of values over time may be empty."""

    def schema(self) -> JsonSchema:
        """JSON Schema of what the field takes."""
        forms: list[JsonSchema] = [{"type": "string", "description": f"A quantity, convertible to {self.shown()}."}]
        if self.bare_numbers:
            forms.append({"type": "number"})
        if self.sensors:
            forms.append(SENSOR_SCHEMA)
        if self.over_time:
            fewest = {} if self.may_be_empty else {"minItems": 1}
            forms.append({"type": "array", **fewest, "items": SEGMENT_SCHEMA})
        return {"anyOf": forms} if len(forms) > 1 else forms[0]

    def canonical(self, reader: Reader) -> str:
        """The unit of what is read."""
        return self.unit

    def shown(self) -> str:
        """A unit that users may give, as an example."""
        return EXAMPLES.get(self.unit, self.unit)

    def read(self, value: Any, reader: Reader, field: str) -> VariableQuantity:
        """The quantity in the canonical unit."""
        if isinstance(value, Mapping):
            return self._reference(value, reader, field)
        if isinstance(value, list | tuple):
            return self._over_time(value, reader, field)
        return Fixed(self.number(value, reader, field))

    def number(self, value: Any, reader: Reader, field: str) -> float:
        """The number of canonical units that a text or a bare number says."""
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise Refused(f"Not a valid quantity. Give it like '1 {self.shown()}'.")
        unit = self.canonical(reader)
        if not isinstance(value, str) and (not self.bare_numbers or (reader.stored and unit)):
            raise Refused(f"Cannot convert value `{value}` to '{unit}'. Give its unit, like '{value} {self.shown()}'.")
        text = value if isinstance(value, str) else f"{value} {reader.energy_unit if unit == 'MWh' else ''}".strip()
        try:
            number = quantities.parse(text, unit)
        except QuantityError as error:
            raise Refused(self.complaint(text, str(error), reader, field)) from None
        self._check_limits(number, reader)
        return number + 0.0

    def complaint(self, text: str, complaint: str, reader: Reader, field: str) -> str:
        """What to say about a text that has not the right unit."""
        return complaint

    def _check_limits(self, number: float, reader: Reader) -> None:
        unit = self.canonical(reader) or "%"
        minimum = self.stored_minimum if reader.stored and self.minimum is None else self.minimum
        if minimum is not None and number < minimum:
            raise Refused(f"Must be greater than or equal to {minimum:g} {unit}.")
        if self.above is not None and number <= self.above:
            raise Refused(f"Must be greater than {self.above:g} {unit}.")

    def _reference(self, value: Mapping[str, Any], reader: Reader, field: str) -> SensorReference:
        if not self.sensors:
            raise Refused("A sensor cannot be used here. Give a fixed quantity.")
        number = None
        if "default" in value:
            number = at("default", lambda: self.number(value["default"], reader, field))
        reference = sensor_reference(value, reader, number)
        self.check_sensor(reader.tree.sensors[reference.sensor], reader, field)
        return reference

    def check_sensor(self, sensor: TreeSensor, reader: Reader, field: str) -> None:
        """Refuses a sensor whose values cannot become what the field holds."""
        unit = self.canonical(reader)
        if not quantities.is_convertible(sensor.unit, unit, sensor.resolution):
            raise Refused(f"Cannot convert '{sensor.unit}', the unit of sensor {sensor.id}, to '{unit}'.")

    def _over_time(self, items: list[Any] | tuple[Any, ...], reader: Reader, field: str) -> Segments:
        if not self.over_time:
            raise Refused("Values over time cannot be used here. Give a fixed quantity.")
        if reader.stored:
            raise Refused("Values for particular times cannot be stored on an asset. Send them with a trigger.")
        if not items and not self.may_be_empty:
            raise Refused("Shorter than minimum length 1.")
        return Segments(each(items, lambda item: segment(item, reader, lambda v: self.number(v, reader, field))))


@dataclass(frozen=True, slots=True)
class PriceOf(QuantityKind):
    """A price in the reader's currency per `unit`."""

    def canonical(self, reader: Reader) -> str:
        return f"{reader.currency}/{self.unit}"

    def shown(self) -> str:
        return f"EUR/{self.unit}"

    def complaint(self, text: str, complaint: str, reader: Reader, field: str) -> str:
        if not complaint.startswith("Cannot convert value `"):
            return complaint
        return self._wrong_unit(text.lstrip("0123456789.+-*/() "), reader, field)

    def check_sensor(self, sensor: TreeSensor, reader: Reader, field: str) -> None:
        if quantities.price_kind(sensor.unit) != (reader.currency, self.unit):
            raise Refused(self._wrong_unit(sensor.unit, reader, field))

    def _wrong_unit(self, unit: str, reader: Reader, field: str) -> str:
        kind = quantities.price_kind(unit)
        other_currency = kind is not None and kind.currency != reader.currency
        other = reader.currency_field if other_currency or reader.currency_field != field else None
        because = f" (this example uses '{reader.currency}', because '{other}' used that currency)" if other else ""
        note = (
            " Also note that all prices in the flex-context must share the same currency unit "
            f"(in this case: '{reader.currency}')."
            if other
            else ""
        )
        return (
            f"Invalid unit. A valid unit would be, for example, '{self.canonical(reader)}'{because}. "
            f"However, you passed an incompatible price ('{unit}') for the '{field}' field.{note}"
        )


def sensor_reference(value: Any, reader: Reader, default: float | None = None) -> SensorReference:
    """A reference to a sensor, with its filters on sources."""
    item = mapping(value, SENSOR_KEYS, ("sensor",))
    sensor = reader.sensor(item["sensor"])
    return SensorReference(
        sensor=sensor.id,
        source_types=_strings(item, "source-types"),
        exclude_source_types=_strings(item, "exclude-source-types"),
        sources=_numbers(item, "sources") or _numbers(item, "source"),
        source_account=_numbers(item, "source-account"),
        default=default,
    )


def _strings(item: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    if key not in item:
        return None
    return tuple(at(key, lambda: each(item[key], _string)))


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise Refused("Not a valid string.")
    return value


def _numbers(item: Mapping[str, Any], key: str) -> tuple[int, ...] | None:
    if key not in item:
        return None
    listed = item[key] if isinstance(item[key], list | tuple) else [item[key]]
    return tuple(at(key, lambda: each(listed, whole_number)))


def _output(value: Any, reader: Reader, field: str) -> int:
    """A sensor that receives results. It takes no filters."""
    item = mapping(value, ("sensor",), ("sensor",))
    sensor = reader.sensor(item["sensor"])
    if not quantities.is_power(sensor.unit):
        raise Refused(f"Sensor {sensor.id} measures '{sensor.unit}'. It must have a unit of power, like 'kW'.")
    directions = {"consumption": True, "production": False}
    wanted = directions.get(field.removeprefix("aggregate-"))
    if wanted is not None and sensor.attributes.get("consumption_is_positive", wanted) is not wanted:
        raise Refused(
            f"The attribute `consumption_is_positive` of sensor {sensor.id} must be {str(wanted).lower()} "
            f"for a sensor that receives {field.removeprefix('aggregate-')}."
        )
    return sensor.id


def _sensor_id(value: Any, reader: Reader, field: str) -> int:
    return reader.sensor(value).id


def quantity(kind: QuantityKind) -> Reads:
    """What marks a field as one for quantities of a kind."""
    return Reads(kind.read, kind.schema())


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

Power = Annotated[VariableQuantity, quantity(QuantityKind("MW", stored_minimum=0))]
Capacity = Annotated[VariableQuantity, quantity(QuantityKind("MW", minimum=0))]
Energy = Annotated[
    VariableQuantity, quantity(QuantityKind("MWh", stored_minimum=0, bare_numbers=True, may_be_empty=True))
]
EnergyFromZero = Annotated[
    VariableQuantity, quantity(QuantityKind("MWh", minimum=0, bare_numbers=True, may_be_empty=True))
]
SteadyEnergy = Annotated[
    VariableQuantity, quantity(QuantityKind("MWh", stored_minimum=0, bare_numbers=True, over_time=False))
]
SteadyEnergyFromZero = Annotated[
    VariableQuantity, quantity(QuantityKind("MWh", minimum=0, bare_numbers=True, over_time=False))
]
Ratio = Annotated[VariableQuantity, quantity(QuantityKind("", minimum=0, bare_numbers=True))]
PositiveRatio = Annotated[VariableQuantity, quantity(QuantityKind("", above=0, bare_numbers=True))]
EnergyPrice = Annotated[VariableQuantity, quantity(PriceOf("MWh"))]
EnergyPenalty = Annotated[VariableQuantity, quantity(PriceOf("MWh", minimum=0))]
PowerPenalty = Annotated[VariableQuantity, quantity(PriceOf("MW", minimum=0))]
Output = Annotated[int, Reads(_output, OUTPUT_SCHEMA)]
SensorId = Annotated[int, Reads(_sensor_id, {"type": "integer"})]
