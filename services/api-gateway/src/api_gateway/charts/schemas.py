"""Questions about charts, on the wire."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Self

from pydantic import AliasChoices, Field, model_validator

from api_gateway.fields import Moment, Span, Text, problem
from api_gateway.paging import Query


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
    """What lies between two moments; without one of them, everything on that side."""

    start: datetime | None
    end: datetime | None
