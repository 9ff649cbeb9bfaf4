"""The flex-model of a process: a task of fixed power and duration that has to be placed in the window."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from math import isfinite
from typing import Annotated, Any, Self, cast

from pydantic import AliasChoices, Field, model_validator
from pydantic_core import PydanticCustomError

from flexmodel.configuration import Configuration
from flexmodel.device_fields import AssetId, GroupReference, Label
from flexmodel.fields import Output, QuantityKind, SensorId
from flexmodel.problem import ProcessType
from flexmodel.reading import Reader, Reads, Refused, each, mapping, period
from flexmodel.time import Duration, TimeError, parse_duration
from flexmodel.trigger import ELECTRICITY

OWN_KEYS = {
    *("duration", "power", "process-type", "process_type", "time-restrictions", "time_restrictions"),
    *("optimization-sense", "optimization_sense", "optimization-direction", "optimization_direction"),
}
"""Keys by which an entry is known to be a process."""


def is_process(entry: Mapping[str, Any]) -> bool:
    return not OWN_KEYS.isdisjoint(entry)


def _duration(value: Any, reader: Reader, field: str) -> Duration:
    try:
        duration = parse_duration(value)
    except TimeError as error:
        raise Refused(str(error)) from None
    if duration.years < 0 or duration.months < 0 or timedelta(days=duration.days) + duration.rest < timedelta(0):
        raise Refused("Must be greater than zero.")
    if duration == Duration():
        raise Refused("Must be greater than zero.")
    return duration


def _power(value: Any, reader: Reader, field: str) -> float | str:
    """Text must be a quantity; a bare number is in the unit of the power sensor, which is not known here."""
    is_text = isinstance(value, str)
    if isinstance(value, bool) or not (is_text or (isinstance(value, int | float) and isfinite(value))):
        raise Refused("Not a valid quantity. Give it like '15 kW'.")
    if is_text:
        QuantityKind("MW").number(value, reader, field)
    return cast("float | str", value)


def _one_of(*choices: str) -> Reads:
    def read(value: Any, reader: Reader, field: str) -> str:
        if value not in choices:
            raise Refused(f"Must be one of: {', '.join(choices)}.")
        return str(value)

    return Reads(read, {"type": "string", "enum": list(choices)})


def _restrictions(value: Any, reader: Reader, field: str) -> tuple[tuple[datetime, datetime], ...]:
    return each(value, lambda item: period(mapping(item, ("start", "end", "duration")), reader))


_PERIOD = {
    "type": "object",
    "properties": {
        "start": {"type": "string", "format": "date-time"},
        "end": {"type": "string", "format": "date-time"},
        "duration": {"type": "string", "format": "duration"},
    },
}
TYPES = tuple(ProcessType)


class ProcessEntry(Configuration):
    """A task of fixed power and duration."""

    sensor: SensorId | None = Field(None, description="The power sensor whose schedule is wanted.")
    asset: AssetId | None = Field(None, description="The asset the entry is about, where there is no sensor.")
    commodity: Label = Field(ELECTRICITY, description="What the process consumes or produces.")
    group: GroupReference | None = Field(None, description="The group of devices that it belongs to.")
    consumption: Output | None = Field(None, description="Receives the schedule with consumption as positive values.")
    production: Output | None = Field(None, description="Receives the schedule with production as positive values.")
    duration: Annotated[Duration, Reads(_duration, {"type": "string", "format": "duration"})] = Field(
        description="How long it runs."
    )
    power: Annotated[float | str, Reads(_power, {"type": ["string", "number"]})] = Field(
        description="Its power: a quantity, or a number in the sensor's unit."
    )
    process_type: Annotated[str | None, _one_of(*TYPES)] = Field(
        None,
        validation_alias=AliasChoices("process-type", "process_type"),
        description="INFLEXIBLE: as soon as allowed. SHIFTABLE: in one piece. BREAKABLE: in pieces.",
    )
    time_restrictions: Annotated[
        tuple[tuple[datetime, datetime], ...], Reads(_restrictions, {"type": "array", "items": _PERIOD})
    ] = Field(
        (),
        validation_alias=AliasChoices("time-restrictions", "time_restrictions"),
        description="Periods in which it may not run.",
    )
    optimization_direction: Annotated[str, _one_of("MIN", "MAX")] = Field(
        "MIN",
        validation_alias=AliasChoices(
            *("optimization-direction", "optimization_direction", "optimization-sense", "optimization_sense")
        ),
        description="Whether to look for the cheapest or the dearest time.",
    )

    @property
    def power_sensor(self) -> int | None:
        return self.sensor or self.consumption or self.production

    @model_validator(mode="after")
    def _has_a_unit(self) -> Self:
        if not isinstance(self.power, str) and self.power_sensor is None:
            problem = {"power": [f"Give its unit, like '{self.power} kW': there is no sensor to take it from."]}
            raise PydanticCustomError("refused", "refused", {"problem": problem})
        return self


def json_schema() -> dict[str, Any]:
    """JSON Schema of a process, for editors."""
    return ProcessEntry.model_json_schema(by_alias=True)
