"""Sensors on the wire."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from flexmodel.time import Duration
from pydantic import AfterValidator, AliasChoices, Field, WithJsonSchema

from api_gateway.fields import Id, Input, KeepingAttributes, Span, Text, TimeZone, Unit, absent, problem
from api_gateway.paging import AlwaysPaged, Page
from api_gateway.response_models import Shape, example

LONGEST_RESOLUTION = timedelta(days=366)


def resolution(duration: Duration) -> timedelta:
    """The resolution of a sensor: a fixed length of time, or none for instantaneous sensors."""
    if duration.years or duration.months:
        raise problem("Use days, hours, minutes or seconds: years and months differ in length.")
    length = timedelta(days=duration.days) + duration.rest
    if length < timedelta(0):
        raise problem("A resolution cannot be negative.")
    if length > LONGEST_RESOLUTION:
        raise problem("A resolution cannot be longer than a year.")
    return length


Resolution = Annotated[
    Span, AfterValidator(resolution), WithJsonSchema({"type": "string", "format": "duration", "examples": ["PT15M"]})
]
SensorName = Annotated[Text, Field(min_length=1, max_length=120)]


class SensorPatch(Input):
    model_config = example(name="power", attributes={"meter": "M-42"})

    name: SensorName = absent()
    unit: Unit = absent()
    event_resolution: Resolution = absent()
    timezone: TimeZone = absent()
    attributes: KeepingAttributes = absent()


class SensorPost(SensorPatch):
    model_config = example(
        name="power", unit="kW", event_resolution="PT15M", timezone="Europe/Amsterdam", generic_asset_id=3
    )

    name: SensorName
    unit: Unit
    event_resolution: Resolution
    generic_asset_id: Id


SortedBy = Annotated[
    Literal["id", "name", "resolution"] | None, Field(validation_alias=AliasChoices("sort_by", "sort-by"))
]


class SensorQuery(AlwaysPaged):
    sort_by: SortedBy = None


class SensorListQuery(Page):
    sort_by: SortedBy = None
    account_id: Id | None = Field(default=None, validation_alias=AliasChoices("account_id", "account"))
    asset_id: Id | None = Field(default=None, validation_alias=AliasChoices("asset_id", "asset"))
    include_consultancy_clients: bool = False
    include_public_assets: bool = False
    unit: Unit | None = None


EXAMPLE: dict[str, Any] = {
    "attributes": "{}",
    "entity_address": "ea1.2026-12.localhost:fm1.2",
    "event_resolution": "PT15M",
    "generic_asset_id": 3,
    "id": 2,
    "name": "discharging",
    "timezone": "Europe/Amsterdam",
    "unit": "kW",
}


class Sensor(Shape):
    model_config = example(**EXAMPLE)

    attributes: str = Field(description="JSON, as text.")
    entity_address: str
    event_resolution: str
    generic_asset_id: int
    id: int
    name: str
    timezone: str
    unit: str


class SensorAnswer(Sensor):
    model_config = example(**EXAMPLE, status=200)

    status: int
