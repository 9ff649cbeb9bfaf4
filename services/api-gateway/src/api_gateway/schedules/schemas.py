"""Triggers and schedules on the wire."""

from typing import Literal

from flexmodel.flex_context import FlexContext
from flexmodel.flex_model import FlexModelEntry
from pydantic import ConfigDict, Field

from api_gateway.fields import Input, Moment, Span, Text, absent
from api_gateway.paging import Query

SIGNS = Literal["consumption-positive", "production-positive", "wysiwyg"]


def kebab(name: str) -> str:
    return name.replace("_", "-")


class Trigger(Input):
    """What both kinds of triggers have. Triggers are read by flexmodel; this describes them."""

    model_config = ConfigDict(alias_generator=kebab, extra="forbid")

    start: Moment
    duration: Span = absent()
    resolution: Span = absent()
    prior: Moment = absent()
    flex_context: FlexContext = Field(default=FlexContext.model_construct(), description="Prices and limits around.")
    force_new_job_creation: bool = Field(default=False, description="Compute again what was computed already.")


class SensorTrigger(Trigger):
    flex_model: FlexModelEntry = Field(
        default=FlexModelEntry.model_construct(), description="How the device behind this sensor is flexible."
    )


class AssetTrigger(Trigger):
    flex_model: list[FlexModelEntry] = Field(default=[], description="One entry per flexible device.")
    sequential: bool = Field(default=False, description="Plan one device after the other.")


class ScheduleQuery(Query):
    duration: Span | None = Field(default=None, description="How much of it to answer, from its start; default PT6H.")
    unit: Text | None = Field(default=None, description="The unit of the values; default: that of the sensor.")
    sign_convention: SIGNS = Field(default="consumption-positive", validation_alias="sign-convention")
