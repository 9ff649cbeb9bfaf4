"""Inputs about sensors."""

from datetime import timedelta
from typing import Annotated, Literal

from flexmodel.time import Duration
from pydantic import AfterValidator, AliasChoices, Field, WithJsonSchema

from flexcore.fields import Id, Input, KeepingAttributes, Span, Text, TimeZone, Unit, absent, example, problem
from flexcore.listing import AlwaysPaged, Page

LONGEST_RESOLUTION = timedelta(days=366)


def resolution(duration: Duration) -> timedelta:
    """Validate the resolution of a sensor: a fixed length of time, or zero for instantaneous sensors."""
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
