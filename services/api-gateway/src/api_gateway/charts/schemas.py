"""Requests and responses of charts."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from flexcore.fields import Moment, Span, Text, absent, problem
from flexcore.listing import Query
from pydantic import AliasChoices, ConfigDict, Field, model_validator

from api_gateway.response_models import ResponseModel, example


class PeriodQuery(Query):
    start: Moment | None = Field(default=None, validation_alias=AliasChoices("start", "event_starts_after"))
    end: Moment | None = Field(default=None, validation_alias=AliasChoices("end", "event_ends_before"))
    duration: Span | None = None
    prior: Moment | None = None

    @model_validator(mode="after")
    def bounded_once(self) -> Self:
        if self.start is not None and self.end is not None:
            if self.duration is not None:
                raise problem("Give at most two of start, end and duration.")
            if self.end < self.start:
                raise problem("The end must not be before the start.")
        return self


class ChartQuery(PeriodQuery):
    include_data: bool = Field(default=False, validation_alias=AliasChoices("include-data", "include_data"))
    combine_legend: bool = Field(default=True, validation_alias=AliasChoices("combine-legend", "combine_legend"))
    include_asset_annotations: bool = Field(
        default=False, validation_alias=AliasChoices("include-asset-annotations", "include_asset_annotations")
    )
    include_account_annotations: bool = Field(
        default=False, validation_alias=AliasChoices("include-account-annotations", "include_account_annotations")
    )
    dataset_name: Annotated[Text, Field(max_length=100)] | None = Field(
        default=None, validation_alias=AliasChoices("dataset-name", "dataset_name")
    )
    height: Annotated[Text, Field(max_length=20)] | None = None
    width: Annotated[Text, Field(max_length=20)] | None = None
    chart_type: Annotated[Text, Field(max_length=50)] | None = Field(
        default=None, validation_alias=AliasChoices("chart-type", "chart_type")
    )


class ChartDataQuery(PeriodQuery):
    latest_version: bool = Field(
        default=False,
        validation_alias=AliasChoices("use-latest-version-per-event", "use_latest_version_per_event"),
        description="Of several versions of a source, what the latest one said of each event.",
    )
    most_recent: bool = Field(
        default=True, validation_alias=AliasChoices("most-recent-beliefs-only", "most_recent_beliefs_only")
    )
    compress: bool = Field(default=False, validation_alias=AliasChoices("compress-json", "compress_json"))


class AnnotationsQuery(PeriodQuery):
    clip: bool = Field(default=True, description="Cut what reaches beyond the period.")


class KpiQuery(Query):
    start: Moment
    end: Moment


@dataclass(frozen=True, slots=True)
class Period:
    """The time from `start` to `end`. A bound of None leaves that side open."""

    start: datetime | None
    end: datetime | None


class Chart(ResponseModel):
    """A Vega-Lite specification."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "data": {"name": "asset_3"},
                    "description": "A vertically concatenated chart showing sensor data.",
                    "vconcat": [{"title": "Power", "layer": [{"mark": {"type": "line"}}]}],
                }
            ]
        },
    )

    config: dict[str, Any] = absent()
    data: dict[str, Any]
    vconcat: list[dict[str, Any]]
    datasets: dict[str, list[dict[str, Any]]] = absent()


class Belief(ResponseModel):
    """One value, with all there is to say about its sensor and its source. Times are milliseconds since 1970."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "index": 0,
                    "event_start": 1795327200000,
                    "event_value": 500,
                    "belief_horizon": 3600000,
                    "scale_factor": 1,
                    "sensor": {"id": 2, "name": "discharging", "sensor_unit": "kW"},
                    "sensor_unit": "kW",
                    "source": {"id": 1, "name": "toy-user", "type": "other"},
                }
            ]
        }
    )

    index: int
    event_start: int
    event_value: float | None
    belief_horizon: int
    belief_time: int = absent()
    scale_factor: float
    sensor: dict[str, Any]
    sensor_unit: str
    source: dict[str, Any]


class CompressedBeliefs(ResponseModel):
    """The same with sensors and sources named once, by id."""

    data: list[dict[str, float | None]]
    sensors: dict[str, dict[str, Any]]
    sources: dict[str, dict[str, Any]]


class ChartAnnotation(ResponseModel):
    model_config = example(
        index=0,
        start=1795327200000,
        end=1795334400000,
        belief_time=None,
        source="toy-user",
        type="label",
        content=["Maintenance"],
    )

    index: int
    start: int
    end: int
    belief_time: int | None
    source: str
    type: str
    content: list[str] = Field(description="Its lines.")


class Kpi(ResponseModel):
    title: str
    unit: str
    sensor: int
    downsample_function: Literal["sum", "mean", "median", "min", "max"]
    downsample_value: float | None


class Kpis(ResponseModel):
    model_config = example(
        data=[
            {
                "title": "Daily costs",
                "unit": "EUR",
                "sensor": 7,
                "downsample_function": "sum",
                "downsample_value": 4.0,
            }
        ]
    )

    data: list[Kpi]
