"""The fields that only the flex-models of devices have: state of charge, operation modes, groups, coupling and more."""

from collections.abc import Mapping
from functools import partial
from math import isfinite
from typing import Annotated, Any, Literal

from flexmodel import quantities
from flexmodel.fields import SEGMENT_SCHEMA, SENSOR_SCHEMA, JsonSchema, QuantityKind, quantity, sensor_reference
from flexmodel.reading import WHOLE, Reader, Reads, Refused, at, each, mapping, whole_number
from flexmodel.values import SensorReference, VariableQuantity

Band = tuple[float, float]
GroupKey = tuple[Literal["sensor", "asset"], int]
"""How a group is named: by a sensor or by an asset."""


class _Roundtrip(QuantityKind):
    def _check_limits(self, number: float, reader: Reader) -> None:
        if not 0 < number <= 1:
            raise Refused("Must be greater than 0 % and less than or equal to 100 %.")


def _label(value: Any, reader: Reader, field: str) -> str:
    if not isinstance(value, str):
        raise Refused("Not a valid string.")
    if not value.strip():
        raise Refused("Must not be blank.")
    return value.strip()


def _state_of_charge(value: Any, reader: Reader, field: str) -> VariableQuantity:
    """The sensor that keeps the state of charge, or what it was over time."""
    if isinstance(value, list | tuple):
        kind = QuantityKind("MWh", bare_numbers=True)
        return kind.read(value, reader, field)
    if not isinstance(value, Mapping):
        raise Refused("Give a sensor, like {'sensor': 5}. The present state of charge goes into `soc-at-start`.")
    reference = sensor_reference(value, reader)
    sensor = reader.tree.sensors[reference.sensor]
    if sensor.resolution:
        raise Refused(
            f"Sensor {sensor.id} has a resolution. A state of charge needs an instantaneous sensor (resolution P0D)."
        )
    if not quantities.is_energy(sensor.unit) and sensor.unit != "%":
        raise Refused(f"Sensor {sensor.id} measures '{sensor.unit}'. It must have a unit of energy, or '%'.")
    return reference


def read_inflexible(value: Any, reader: Reader, field: str) -> SensorReference:
    """A sensor whose power is read, not planned. The field's name tells which way it counts."""
    reference = sensor_reference(value, reader)
    check_inflexible(reference.sensor, reader, consumption=field.endswith("consumption"))
    return reference


def check_inflexible(sensor_id: int, reader: Reader, *, consumption: bool) -> None:
    """Refuses a sensor that cannot stand for consumption (or production)."""
    sensor = reader.tree.sensors[sensor_id]
    if not quantities.is_convertible(sensor.unit, "MW", sensor.resolution):
        raise Refused(f"Sensor {sensor_id} measures '{sensor.unit}'. It must have a unit of power or energy.")
    if sensor.attributes.get("consumption_is_positive", consumption) != consumption:
        kind, other = ("consumption", "production") if consumption else ("production", "consumption")
        raise Refused(
            f"Sensor {sensor_id} has {other} as positive values (its attribute `consumption_is_positive`), "
            f"but is listed as {kind}."
        )


def _components(value: Any, reader: Reader, field: str) -> tuple[VariableQuantity, ...]:
    """Quantities that add up."""
    if isinstance(value, list | tuple) and not value:
        raise Refused("Shorter than minimum length 1.")
    kind = QuantityKind("MW", stored_minimum=0)
    return each(value, lambda item: kind.read(item, reader, field))


def _operation_modes(value: Any, reader: Reader, field: str) -> tuple[tuple[float, float], ...]:
    """Power bands as signed ranges in MW."""
    if isinstance(value, list | tuple) and not value:
        raise Refused("Shorter than minimum length 1.")
    return each(value, lambda item: _band(item, reader))


def _band(value: Any, reader: Reader) -> tuple[float, float]:
    item = mapping(value, ("consumption-range", "production-range"))
    if not item:
        raise Refused({WHOLE: ["Give a `consumption-range`, a `production-range` or both."]})
    ranges = {key: at(key, partial(_range, item[key], reader)) for key in item}
    if len(ranges) == 2:
        if any(low for low, _ in ranges.values()):
            raise Refused({WHOLE: ["A mode with both ranges runs through zero: both must start at 0."]})
        return 0.0 - ranges["production-range"][1], ranges["consumption-range"][1]
    if "consumption-range" in ranges:
        return ranges["consumption-range"]
    low, high = ranges["production-range"]
    return 0.0 - high, 0.0 - low


def _range(value: Any, reader: Reader) -> tuple[float, float]:
    kind = QuantityKind("MW", minimum=0, bare_numbers=True)
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise Refused("Give the least and the most power, like ['6 kW', '11 kW'].")
    low, high = each(value, lambda item: _megawatts(item, kind, reader))
    if low > high:
        raise Refused("The least power must not be above the most.")
    return low, high


def _megawatts(value: Any, kind: QuantityKind, reader: Reader) -> float:
    return kind.number(value if isinstance(value, str) else f"{value} MW", reader, "")


def _group(value: Any, reader: Reader, field: str) -> tuple[Literal["asset", "sensor"], int]:
    item = mapping(value, ("asset", "sensor"))
    if len(item) != 1:
        raise Refused("Give either an asset or a sensor.")
    if "sensor" in item:
        sensor = reader.sensor(item["sensor"])
        if not quantities.is_power(sensor.unit):
            raise Refused(f"Sensor {sensor.id} measures '{sensor.unit}'. A group's sensor must have a unit of power.")
        return "sensor", sensor.id
    return "asset", _asset(item["asset"], reader, field)


def _asset(value: Any, reader: Reader, field: str) -> int:
    number = whole_number(value)
    if number not in reader.tree.assets:
        raise Refused(f"No asset found with ID {number}.")
    return number


def _coefficient(value: Any, reader: Reader, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise Refused("Not a valid number.")
    if value <= 0:
        raise Refused("Must be greater than 0.")
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

Label = Annotated[str, Reads(_label, {"type": "string", "minLength": 1})]
StateOfCharge = Annotated[
    VariableQuantity, Reads(_state_of_charge, {"anyOf": [SENSOR_SCHEMA, {"type": "array", "items": SEGMENT_SCHEMA}]})
]
InflexibleSensor = Annotated[SensorReference, Reads(read_inflexible, SENSOR_SCHEMA)]
Components = Annotated[
    tuple[VariableQuantity, ...], Reads(_components, {"type": "array", "minItems": 1, "items": _COMPONENT})
]
OperationModes = Annotated[tuple[Band, ...], Reads(_operation_modes, {"type": "array", "minItems": 1, "items": _MODE})]
GroupReference = Annotated[GroupKey, Reads(_group, _GROUP)]
Coefficient = Annotated[float, Reads(_coefficient, {"type": "number", "exclusiveMinimum": 0})]
Roundtrip = Annotated[VariableQuantity, quantity(_Roundtrip("", bare_numbers=True, over_time=False, sensors=False))]
AssetId = Annotated[int, Reads(_asset, {"type": "integer"})]
