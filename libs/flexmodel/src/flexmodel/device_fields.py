"""Types of the fields that only flex-models have: state of charge, operation modes, groups, couplings and more."""

from collections.abc import Mapping
from functools import partial
from math import isfinite
from typing import Annotated, Literal

from flexmodel import quantities
from flexmodel.fields import (
    SEGMENT_SCHEMA,
    SENSOR_SCHEMA,
    JsonSchema,
    QuantityField,
    parse_sensor_reference,
    quantity,
)
from flexmodel.parsing import (
    WHOLE,
    FieldError,
    FieldParser,
    ParseContext,
    parse_at,
    parse_integer,
    parse_list,
    parse_mapping,
)
from flexmodel.values import SensorReference, VariableQuantity

Band = tuple[float, float]
GroupKey = tuple[Literal["sensor", "asset"], int]
"""The sensor or the asset that identifies a group."""


class _Roundtrip(QuantityField):
    def _check_limits(self, number: float, context: ParseContext) -> None:
        if not 0 < number <= 1:
            raise FieldError("Must be greater than 0 % and less than or equal to 100 %.")


def _label(value: object, context: ParseContext, field: str) -> str:
    if not isinstance(value, str):
        raise FieldError("Not a valid string.")
    if not value.strip():
        raise FieldError("Must not be blank.")
    return value.strip()


def _state_of_charge(value: object, context: ParseContext, field: str) -> VariableQuantity:
    """Parse the sensor of the state of charge, or its values over time."""
    if isinstance(value, list | tuple):
        kind = QuantityField("MWh", bare_numbers=True)
        return kind.parse(value, context, field)
    if not isinstance(value, Mapping):
        raise FieldError("Give a sensor, like {'sensor': 5}. The present state of charge goes into `soc-at-start`.")
    reference = parse_sensor_reference(value, context)
    sensor = context.tree.sensors[reference.sensor]
    if sensor.resolution:
        raise FieldError(
            f"Sensor {sensor.id} has a resolution. A state of charge needs an instantaneous sensor (resolution P0D)."
        )
    if not quantities.is_energy(sensor.unit) and sensor.unit != "%":
        raise FieldError(f"Sensor {sensor.id} measures '{sensor.unit}'. It must have a unit of energy, or '%'.")
    return reference


def parse_inflexible(value: object, context: ParseContext, field: str) -> SensorReference:
    """Parse a sensor of an inflexible device. The field's name gives the direction of positive values."""
    reference = parse_sensor_reference(value, context)
    check_inflexible(reference.sensor, context, consumption=field.endswith("consumption"))
    return reference


def check_inflexible(sensor_id: int, context: ParseContext, *, consumption: bool) -> None:
    """Raise `FieldError` if a sensor cannot be that of an inflexible device, as consumption or as production."""
    sensor = context.tree.sensors[sensor_id]
    if not quantities.is_convertible(sensor.unit, "MW", sensor.resolution):
        raise FieldError(f"Sensor {sensor_id} measures '{sensor.unit}'. It must have a unit of power or energy.")
    if sensor.attributes.get("consumption_is_positive", consumption) != consumption:
        direction, other = ("consumption", "production") if consumption else ("production", "consumption")
        raise FieldError(
            f"Sensor {sensor_id} has {other} as positive values (its attribute `consumption_is_positive`), "
            f"but is listed as {direction}."
        )


def _components(value: object, context: ParseContext, field: str) -> tuple[VariableQuantity, ...]:
    """Parse a list of powers that are summed."""
    if isinstance(value, list | tuple) and not value:
        raise FieldError("Shorter than minimum length 1.")
    kind = QuantityField("MW", stored_minimum=0)
    return parse_list(value, lambda item: kind.parse(item, context, field))


def _operation_modes(value: object, context: ParseContext, field: str) -> tuple[tuple[float, float], ...]:
    """Parse power bands, as signed ranges in MW."""
    if isinstance(value, list | tuple) and not value:
        raise FieldError("Shorter than minimum length 1.")
    return parse_list(value, lambda item: _band(item, context))


def _band(value: object, context: ParseContext) -> tuple[float, float]:
    item = parse_mapping(value, ("consumption-range", "production-range"))
    if not item:
        raise FieldError({WHOLE: ["Give a `consumption-range`, a `production-range` or both."]})
    ranges = {key: parse_at(key, partial(_range, item[key], context)) for key in item}
    if len(ranges) == 2:
        if any(low for low, _ in ranges.values()):
            raise FieldError({WHOLE: ["A mode with both ranges runs through zero: both must start at 0."]})
        return 0.0 - ranges["production-range"][1], ranges["consumption-range"][1]
    if "consumption-range" in ranges:
        return ranges["consumption-range"]
    low, high = ranges["production-range"]
    return 0.0 - high, 0.0 - low


def _range(value: object, context: ParseContext) -> tuple[float, float]:
    kind = QuantityField("MW", minimum=0, bare_numbers=True)
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise FieldError("Give the least and the most power, like ['6 kW', '11 kW'].")
    low, high = parse_list(value, lambda item: _megawatts(item, kind, context))
    if low > high:
        raise FieldError("The least power must not be above the most.")
    return low, high


def _megawatts(value: object, kind: QuantityField, context: ParseContext) -> float:
    return kind.parse_number(value if isinstance(value, str) else f"{value} MW", context, "")


def _group(value: object, context: ParseContext, field: str) -> tuple[Literal["asset", "sensor"], int]:
    item = parse_mapping(value, ("asset", "sensor"))
    if len(item) != 1:
        raise FieldError("Give either an asset or a sensor.")
    if "sensor" in item:
        sensor = context.sensor(item["sensor"])
        if not quantities.is_power(sensor.unit):
            raise FieldError(
                f"Sensor {sensor.id} measures '{sensor.unit}'. A group's sensor must have a unit of power."
            )
        return "sensor", sensor.id
    return "asset", _asset(item["asset"], context, field)


def _asset(value: object, context: ParseContext, field: str) -> int:
    number = parse_integer(value)
    if number not in context.tree.assets:
        raise FieldError(f"No asset found with ID {number}.")
    return number


def _coefficient(value: object, context: ParseContext, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise FieldError("Not a valid number.")
    if value <= 0:
        raise FieldError("Must be greater than 0.")
    return float(value)


_POWER_RANGE: JsonSchema = {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": ["string", "number"]}}
_COMPONENT: JsonSchema = {"anyOf": [{"type": "string"}, SENSOR_SCHEMA, {"type": "array", "items": SEGMENT_SCHEMA}]}
_MODE: JsonSchema = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": False,
    "properties": {"consumption-range": _POWER_RANGE, "production-range": _POWER_RANGE},
}
_GROUP: JsonSchema = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
    "properties": {"asset": {"type": "integer"}, "sensor": {"type": "integer"}},
}

Label = Annotated[str, FieldParser(_label, {"type": "string", "minLength": 1})]
StateOfCharge = Annotated[
    VariableQuantity,
    FieldParser(_state_of_charge, {"anyOf": [SENSOR_SCHEMA, {"type": "array", "items": SEGMENT_SCHEMA}]}),
]
InflexibleSensor = Annotated[SensorReference, FieldParser(parse_inflexible, SENSOR_SCHEMA)]
Components = Annotated[
    tuple[VariableQuantity, ...], FieldParser(_components, {"type": "array", "minItems": 1, "items": _COMPONENT})
]
OperationModes = Annotated[
    tuple[Band, ...], FieldParser(_operation_modes, {"type": "array", "minItems": 1, "items": _MODE})
]
GroupReference = Annotated[GroupKey, FieldParser(_group, _GROUP)]
Coefficient = Annotated[float, FieldParser(_coefficient, {"type": "number", "exclusiveMinimum": 0})]
Roundtrip = Annotated[VariableQuantity, quantity(_Roundtrip("", bare_numbers=True, over_time=False, sensors=False))]
AssetId = Annotated[int, FieldParser(_asset, {"type": "integer"})]
