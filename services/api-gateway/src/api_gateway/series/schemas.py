"""Requests and responses with series, below `/api/v1`."""

from typing import Annotated, Any, Literal

from flexcore.fields import Id, Input, Moment, Span, Text, TimeZone
from flexcore.listing import Query
from pydantic import Field

from api_gateway.response_models import ResponseModel, example

MOST_SENSORS = 1000
MOST_FILTERS = 100


class Presentation(Query):
    """In which unit and time zone values are told, and as of when."""

    unit: Annotated[Text, Field(max_length=80)] | None = Field(
        default=None, description="The unit of the values; default: that of the sensor.", examples=["kW"]
    )
    timezone: TimeZone | None = Field(
        default=None,
        description="The time zone in which times are told; default: that of the sensor, or UTC where sensors differ.",
        examples=["Europe/Amsterdam"],
    )
    prior: Moment | None = Field(default=None, description="Only what was believed at or before this moment.")


class SeriesQuery(Presentation):
    start: Moment
    duration: Span | None = Field(default=None, description="Give this or `end`. Days have 24 hours.")
    end: Moment | None = None
    resolution: Span | None = Field(
        default=None,
        description="The length of the steps: levels are averaged or repeated, amounts of energy and money add up or "
        "are divided; of instantaneous sensors, what is at the start of a step. Default: that of the sensor.",
    )
    horizon: Span | None = Field(
        default=None, description="Only what was believed at least this long before the event ended."
    )
    source: list[Id] = Field(default=[], max_length=MOST_FILTERS, description="Only these sources; may be repeated.")
    source_type: list[Text] = Field(
        default=[], alias="source-type", max_length=MOST_FILTERS, description="Only sources of these types."
    )
    source_account: list[Id] = Field(
        default=[], alias="source-account", max_length=MOST_FILTERS, description="Only sources of these accounts."
    )

    beliefs: Literal["latest", "all"] | None = Field(
        default=None,
        description="Tell each belief, with when and by whom it was believed: of each event the latest with its whole "
        "spread of values, or all. Default: one value per event, the latest belief's or the middle of its spread.",
    )


class ManySeriesQuery(SeriesQuery):
    sensor: list[Id] = Field(min_length=1, max_length=MOST_SENSORS, description="The sensors; repeat it for each.")


class LatestQuery(Presentation):
    at: Moment | None = Field(
        default=None, description="The moment up to which events count by their start; default: now."
    )


class ManyLatestQuery(LatestQuery):
    sensor: list[Id] = Field(min_length=1, max_length=MOST_SENSORS, description="The sensors; repeat it for each.")


class Item(Input):
    """Values of one sensor over a window. The ingest service reads it, this describes it."""

    model_config = example(
        sensor=2, start="2026-11-22T00:00:00+01:00", duration="PT45M", values=[2.15, 3, None], unit="kW"
    )

    sensor: Id
    start: Moment
    duration: Span
    values: list[float | list[float] | None] | float = Field(
        description="One value per step of the duration, null where unknown. With `probabilities`, a list of values "
        "per step: one for each probability, none falling."
    )
    unit: Text
    horizon: Span | None = Field(default=None, description="How long before the end of each event it was believed.")
    prior: Moment | None = Field(default=None, description="When it was believed. Left out: now.")
    probabilities: list[float] | None = Field(
        default=None,
        description="Cumulative probabilities, rising: how likely it is that the value is at most the one given.",
        examples=[[0.1, 0.5, 0.9]],
    )


class BatchStored(ResponseModel):
    model_config = example(message="Sensor data has been stored.", items=2, new=6, changed=0, unchanged=0, refused={})

    message: str
    items: int = Field(description="How many were stored.")
    new: int
    changed: int
    unchanged: int
    refused: dict[str, Any] = Field(description="With `partial`: what is wrong, by the position of the item and field.")


class Latest(ResponseModel):
    model_config = example(
        sensor=2,
        name="power",
        unit="kW",
        value=2.15,
        **{
            "event-start": "2026-11-22T00:30:00+01:00",
            "event-end": "2026-11-22T00:45:00+01:00",
            "belief-time": "2026-11-22T00:46:12+01:00",
            "source": 1,
        },
    )

    sensor: int
    name: str
    unit: str
    value: float | None = Field(description="Null, as are the following, if nothing is known.")
    event_start: Moment | None = Field(alias="event-start")
    event_end: Moment | None = Field(alias="event-end")
    belief_time: Moment | None = Field(alias="belief-time")
    source: int | None


class ManyLatest(ResponseModel):
    latest: list[Latest] = Field(description="In the order in which they were asked for.")


class OneBelief(ResponseModel):
    event_start: Moment = Field(alias="event-start")
    belief_time: Moment = Field(alias="belief-time")
    source: int
    cumulative_probability: float = Field(alias="cumulative-probability")
    value: float


class OneEvent(ResponseModel):
    event_start: Moment = Field(alias="event-start")
    value: float


class Series(ResponseModel):
    model_config = example(
        sensor=2,
        name="power",
        unit="kW",
        start="2026-11-22T00:00:00+01:00",
        end="2026-11-22T00:45:00+01:00",
        resolution="PT15M",
        values=[2.15, 3, None],
    )

    sensor: int
    name: str
    unit: str
    start: Moment
    end: Moment
    resolution: Span
    values: list[float | None] | None = Field(default=None, description="One per step, null where nothing is known.")
    events: list[OneEvent] | None = Field(default=None, description="In its place, of instantaneous sensors.")
    beliefs: list[OneBelief] | None = Field(default=None, description="In its place, where beliefs are asked for.")


class ManySeries(ResponseModel):
    series: list[Series] = Field(description="In the order in which they were asked for.")
