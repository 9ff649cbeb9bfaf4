"""Requests and responses with triggers and schedules."""

from typing import Any, Literal
from uuid import UUID

from flexcore.fields import Input, Moment, Span, Text, absent
from flexcore.listing import Query
from flexmodel.flex_context import FlexContext
from flexmodel.flex_model import FlexModelEntry
from pydantic import ConfigDict, Field

from api_gateway.response_models import ResponseModel, example

SIGNS = Literal["consumption-positive", "production-positive", "wysiwyg"]


def kebab(name: str) -> str:
    return name.replace("_", "-")


WINDOW = {"start": "2026-11-22T07:00:00+01:00", "duration": "PT12H"}


class Trigger(Input):
    """The fields of all triggers. flexmodel parses triggers; this class describes them."""

    model_config = ConfigDict(alias_generator=kebab, extra="forbid")

    start: Moment
    duration: Span = absent()
    resolution: Span = absent()
    prior: Moment = absent()
    flex_context: FlexContext = Field(default=FlexContext.model_construct(), description="Prices and limits around.")
    force_new_job_creation: bool = Field(default=False, description="Compute again what was computed already.")


class SensorTrigger(Trigger):
    model_config = example(
        **WINDOW, **{"flex-model": {"soc-at-start": "225 kWh", "soc-max": "450 kWh", "power-capacity": "500 kW"}}
    )

    flex_model: FlexModelEntry = Field(
        default=FlexModelEntry.model_construct(), description="How the device behind this sensor is flexible."
    )


class AssetTrigger(Trigger):
    model_config = example(**WINDOW, **{"flex-model": [{"sensor": 2, "soc-at-start": "225 kWh"}]})

    flex_model: list[FlexModelEntry] = Field(default=[], description="One entry per flexible device.")
    sequential: bool = Field(default=False, description="Plan one device after the other.")


class ScheduleQuery(Query):
    duration: Span | None = Field(default=None, description="How much of it to answer, from its start; default PT6H.")
    unit: Text | None = Field(default=None, description="The unit of the values; default: that of the sensor.")
    sign_convention: SIGNS = Field(default="consumption-positive", validation_alias="sign-convention")


JOB = "364bfd06-c1fa-430b-8d25-8f5a547651fb"
ACCEPTED = {
    "message": "Request has been accepted for processing.",
    "status": "ACCEPTED",
    "job": JOB,
    "schedule": JOB,
    "job-url": f"/api/v3_0/jobs/{JOB}",
}


class Accepted(ResponseModel):
    """The schedule is being computed: ask for the job, or for the schedule itself."""

    model_config = example(**ACCEPTED)

    message: str
    status: str
    job: UUID
    job_url: str = Field(alias="job-url")
    schedule: UUID


class AcceptedForSensor(Accepted):
    model_config = example(**ACCEPTED, **{"results-url": f"/api/v3_0/sensors/2/schedules/{JOB}"})

    results_url: str = Field(alias="results-url")


class Schedule(ResponseModel):
    model_config = example(
        message="Request has been processed. StorageScheduler was used.",
        status="PROCESSED",
        scheduler_info={"scheduler": "StorageScheduler", "commitment_costs": {"electricity net energy": -4.65}},
        values=[0, 500, 500, -250],
        start="2026-11-22T07:00:00+01:00",
        duration="PT1H",
        unit="kW",
    )

    message: str
    status: str
    scheduler_info: dict[str, Any]
    values: list[float | None]
    start: str
    duration: str
    unit: str
