"""Sensor data on the wire."""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field

from api_gateway.fields import Id, Input, Moment, Span, Text
from api_gateway.paging import Query


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
    """Which data to delete; left out: all."""

    source: Id | None = None
    start: Moment | None = None
    until: Moment | None = None


class StatsQuery(Query):
    event_start_time: Moment | None = None
    event_end_time: Moment | None = None
    sort: bool = True
    fresh: bool = Field(default=False, description="Accepted for compatibility: statistics are always fresh.")


UPLOAD: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["uploaded-files"],
                "properties": {
                    "uploaded-files": {"type": "array", "items": {"type": "string", "format": "binary"}},
                    "belief-time-measured-instantly": {"type": "boolean"},
                    "unit": {"type": "string"},
                },
            }
        }
    },
}
"""Files of values, and how they are to be understood; the ingest service reads them."""


def example_values() -> dict[str, Any]:
    return {
        "values": [2.15, 3, None],
        "start": "2026-11-22T00:00:00+01:00",
        "duration": "PT45M",
        "unit": "MW",
        "resolution": "PT15M",
        "message": "Request has been processed.",
        "status": "PROCESSED",
    }
