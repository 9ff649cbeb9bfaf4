"""Requests and responses with sensor data."""

from datetime import datetime
from typing import Annotated, Any, Literal

from flexcore.fields import Id, Input, Moment, Span, Text, problem
from flexcore.listing import Query
from pydantic import AliasChoices, ConfigDict, Field, ValidationInfo, field_validator

from api_gateway.response_models import ResponseModel, example


class DataQuery(Query):
    start: Moment
    duration: Span
    unit: Annotated[Text, Field(max_length=80, examples=["kW"])]
    resolution: Span | None = None
    horizon: Span | None = Field(
        default=None, description="Only what was believed at least this long before it happened."
    )
    prior: Moment | None = Field(default=None, description="Only what was believed at or before this moment.")
    source: Id | None = None
    source_account: Id | None = Field(default=None, validation_alias=AliasChoices("source-account", "source_account"))
    source_type: Text | None = Field(
        default=None, min_length=1, validation_alias=AliasChoices("source-type", "source_type")
    )


class DataPost(Input):
    """What is posted; the ingest service reads it, this describes it."""

    model_config = example(start="2026-11-22T00:00:00+01:00", duration="PT45M", values=[2.15, 3, None], unit="kW")

    start: Moment
    duration: Span
    values: list[float | None] | float = Field(description="One value per step of the duration; null where unknown.")
    unit: Text
    horizon: Span | None = Field(default=None, description="How long before the end of each event it was believed.")
    prior: Moment | None = Field(default=None, description="When it was believed. Left out: now.")
    type: Literal[
        "PostSensorDataRequest", "PostMeterDataRequest", "PostPrognosisRequest", "PostPriceDataRequest",
        "PostWeatherDataRequest",
    ] | None = None  # fmt: skip


class DataDeletion(Input):
    """A deletion of data; without a field, no limit on it."""

    model_config = example(start="2026-11-22T00:00:00+01:00", until="2026-11-23T00:00:00+01:00")

    source: Id | None = None
    start: Moment | None = None
    until: Moment | None = None

    @field_validator("until")
    @classmethod
    def after_the_start(cls, until: datetime | None, known: ValidationInfo) -> datetime | None:
        start = known.data.get("start")
        if start is not None and until is not None and until <= start:
            raise problem("'until' must be after 'start'.")
        return until


class StatsQuery(Query):
    event_start_time: Moment | None = None
    event_end_time: Moment | None = None
    sort: bool = True
    fresh: bool = Field(default=False, description="Accepted for compatibility: statistics are always fresh.")


VALUES: dict[str, Any] = {
    "values": [2.15, 3, None],
    "start": "2026-11-22T00:00:00+01:00",
    "duration": "PT45M",
    "unit": "MW",
    "resolution": "PT15M",
    "message": "Request has been processed.",
    "status": "PROCESSED",
}


class Values(ResponseModel):
    """One value per step; null where nothing is known."""

    model_config = example(**VALUES)

    values: list[float | None]
    start: str
    duration: str
    unit: str
    resolution: str
    message: str
    status: str


class Stored(ResponseModel):
    """All values are stored for good."""

    model_config = example(message="Sensor data has been stored.", status="PROCESSED", new=96, changed=0, unchanged=0)

    message: str
    status: str
    new: int
    changed: int
    unchanged: int


class SensorStatus(ResponseModel):
    asset_name: str
    id: int
    name: str
    reason: str
    relation: str
    resolution: str
    source_type: str | None
    stale: bool
    staleness: str | None
    staleness_since: str | None


class SensorStatuses(ResponseModel):
    model_config = example(
        sensors_data=[
            {
                "asset_name": "toy-battery",
                "id": 2,
                "name": "discharging",
                "reason": "most recent data is 5 minutes old, which is not more than 2 hours old",
                "relation": "sensor belongs to this asset",
                "resolution": "PT15M",
                "source_type": "user",
                "stale": False,
                "staleness": "PT5M",
                "staleness_since": "2026-11-22T07:00:00+01:00",
            }
        ],
        status=200,
    )

    sensors_data: list[SensorStatus]
    status: int


class Figures(ResponseModel):
    """Per source of values: its figures, as an object, or unsorted as pairs."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "toy-user (ID: 1)": {
                        "First event start": "2026-11-22T07:00:00+01:00",
                        "Last event end": "2026-11-22T08:00:00+01:00",
                        "Last recorded": "2026-11-22T08:00:12+01:00",
                        "Min value": 2.5,
                        "Max value": 89.0,
                        "Mean value": 63.25,
                        "Sum over values": 253.0,
                        "Number of values": 4,
                    },
                    "status": 200,
                }
            ]
        },
    )

    status: int
