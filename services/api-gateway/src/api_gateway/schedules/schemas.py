"""Triggers and schedules on the wire."""

from typing import Any, Literal

from pydantic import AliasChoices, ConfigDict, Field

from api_gateway.fields import Input, Moment, Span, Text, absent
from api_gateway.paging import Query

SIGNS = Literal["consumption-positive", "production-positive", "wysiwyg"]


def kebab(name: str) -> str:
    return name.replace("_", "-")


class TriggerBase(Input):
    model_config = ConfigDict(alias_generator=kebab, extra="forbid")

    start: Moment
    duration: Span = absent()
    resolution: Span = absent()
    prior: Moment | None = None
    force_new_job_creation: bool = Field(
        default=False, validation_alias=AliasChoices("force-new-job-creation", "force_new_job_creation")
    )


class SensorTrigger(TriggerBase):
    flex_model: dict[str, Any] = Field(default={}, description="How the device behind this sensor is flexible.")
    flex_context: dict[str, Any] | list[dict[str, Any]] = Field(default={}, description="Prices and limits around it.")


class AssetTrigger(TriggerBase):
    flex_model: list[Any] | dict[str, Any] = Field(default=[], description="One entry per flexible device.")
    flex_context: dict[str, Any] | list[dict[str, Any]] = Field(
        default={}, description="Prices and limits around them."
    )
    sequential: bool = False


class ScheduleQuery(Query):
    duration: Span | None = None
    unit: Text | None = None
    sign_convention: SIGNS = Field(default="consumption-positive", validation_alias="sign-convention")
