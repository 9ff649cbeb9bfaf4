"""The flex-model of a process: a run of fixed power and duration that is placed in the window."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from math import isfinite
from typing import Annotated, Self

from pydantic import AliasChoices, Field, model_validator

from flexmodel.device_fields import AssetId, GroupReference, Label
from flexmodel.fields import Output, QuantityField, SensorId
from flexmodel.parsing import (
    Configuration,
    FieldError,
    FieldParser,
    ParseContext,
    parse_list,
    parse_mapping,
    parse_period,
    raise_errors,
)
from flexmodel.problem import ProcessType
from flexmodel.time import Duration, TimeError, parse_duration
from flexmodel.trigger import ELECTRICITY

OWN_KEYS = {
    *("duration", "power", "process-type", "process_type", "time-restrictions", "time_restrictions"),
    *("optimization-sense", "optimization_sense", "optimization-direction", "optimization_direction"),
}
"""Keys that make an entry of the flex-model a process."""


def is_process(entry: Mapping[str, object]) -> bool:
    """Return whether an entry of the flex-model describes a process."""
    return not OWN_KEYS.isdisjoint(entry)


def _duration(value: object, context: ParseContext, field: str) -> Duration:
    try:
        duration = parse_duration(value)
    except TimeError as error:
        raise FieldError(str(error)) from None
    if duration.years < 0 or duration.months < 0 or timedelta(days=duration.days) + duration.rest < timedelta(0):
        raise FieldError("Must be greater than zero.")
    if duration == Duration():
        raise FieldError("Must be greater than zero.")
    return duration


def _power(value: object, context: ParseContext, field: str) -> float | str:
    """Check a power. Text must be a quantity; a bare number is in the unit of the power sensor, not yet known."""
    if isinstance(value, str):
        QuantityField("MW").parse_number(value, context, field)
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise FieldError("Not a valid quantity. Give it like '15 kW'.")
    return value


def _one_of(*choices: str) -> FieldParser:
    def parse_choice(value: object, context: ParseContext, field: str) -> str:
        if value not in choices:
            raise FieldError(f"Must be one of: {', '.join(choices)}.")
        return str(value)

    return FieldParser(parse_choice, {"type": "string", "enum": list(choices)})


def _restrictions(value: object, context: ParseContext, field: str) -> tuple[tuple[datetime, datetime], ...]:
    return parse_list(value, lambda item: parse_period(parse_mapping(item, ("start", "end", "duration")), context))


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
    """A run of fixed power and duration."""

    sensor: SensorId | None = Field(None, description="The power sensor whose schedule is wanted.")
    asset: AssetId | None = Field(None, description="The asset the entry is about, where there is no sensor.")
    commodity: Label = Field(ELECTRICITY, description="What the process consumes or produces.")
    group: GroupReference | None = Field(None, description="The group of devices that it belongs to.")
    consumption: Output | None = Field(None, description="Receives the schedule with consumption as positive values.")
    production: Output | None = Field(None, description="Receives the schedule with production as positive values.")
    duration: Annotated[Duration, FieldParser(_duration, {"type": "string", "format": "duration"})] = Field(
        description="How long it runs."
    )
    power: Annotated[float | str, FieldParser(_power, {"type": ["string", "number"]})] = Field(
        description="Its power: a quantity, or a number in the sensor's unit."
    )
    process_type: Annotated[str | None, _one_of(*TYPES)] = Field(
        None,
        validation_alias=AliasChoices("process-type", "process_type"),
        description="INFLEXIBLE: as soon as allowed. SHIFTABLE: in one piece. BREAKABLE: in pieces.",
    )
    time_restrictions: Annotated[
        tuple[tuple[datetime, datetime], ...], FieldParser(_restrictions, {"type": "array", "items": _PERIOD})
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
        """The sensor that receives the power schedule: the given one, else that of an output."""
        return self.sensor or self.consumption or self.production

    @property
    def soc_sensor(self) -> None:
        """A process has no state of charge."""
        return None

    @model_validator(mode="after")
    def _check_unit(self) -> Self:
        if not isinstance(self.power, str) and self.power_sensor is None:
            raise_errors({"power": [f"Give its unit, like '{self.power} kW': there is no sensor to take it from."]})
        return self
