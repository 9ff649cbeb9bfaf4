"""Requests and responses of forecasts."""

from typing import Annotated, Any, Literal, Self
from uuid import UUID

from flexcore.fields import Id, Input, Length, Moment, Text, problem
from pydantic import BaseModel, ConfigDict, Field, model_validator

from api_gateway.response_models import ResponseModel, example


class SensorRegressor(BaseModel):
    """A sensor with filters on the sources of its data."""

    model_config = ConfigDict(extra="allow")

    sensor: Id


Regressor = Id | SensorRegressor


def kebab(name: str) -> str:
    return name.replace("_", "-")


class KebabInput(Input):
    model_config = ConfigDict(alias_generator=kebab, extra="forbid")


class AnnotationRegressor(KebabInput):
    account: Id | None = None
    asset: Id | None = None
    sensor: Id | None = None
    annotation_type: Literal["alert", "holiday", "label", "feedback", "warning", "error"] = "holiday"
    name: Text | None = None


class ForecastConfig(KebabInput):
    model: Text = "CustomLGBM"
    train_start: Moment | None = None
    train_period: Length | None = None
    max_training_period: Length | None = None
    retrain_frequency: Length | None = None
    future_regressors: Annotated[list[Regressor], Field(max_length=50)] = Field(default=[])
    past_regressors: Annotated[list[Regressor], Field(max_length=50)] = Field(default=[])
    regressors: Annotated[list[Regressor], Field(max_length=50)] = Field(default=[])
    annotation_regressors: Annotated[list[AnnotationRegressor], Field(max_length=50)] = Field(default=[])
    missing_threshold: Annotated[float, Field(ge=0, le=1)] = 1.0
    ensure_positive: bool | None = False
    lower: Any = None
    upper: Any = None
    snap: dict[str, Annotated[list[Any], Field(min_length=2, max_length=2)]] = Field(default={})


class ForecastPost(KebabInput):
    model_config = example(start="2026-11-22T00:00:00+01:00", duration="P1D")

    start: Moment | None = None
    end: Moment | None = None
    duration: Length | None = None
    prior: Moment | None = None
    forecast_frequency: Length | None = None
    max_forecast_horizon: Length | None = None
    probabilistic: bool = False
    config: ForecastConfig = ForecastConfig()

    @model_validator(mode="after")
    def bounded_once(self) -> Self:
        if self.start is not None and self.end is not None:
            if self.duration is not None:
                raise problem("Give at most two of start, end and duration.")
            if self.end <= self.start:
                raise problem("The end must be after the start.")
        return self


class ForecastAccepted(ResponseModel):
    """The forecast is being computed: ask for the job, or for the forecast itself."""

    model_config = example(
        message="Request has been accepted for processing.",
        status="ACCEPTED",
        forecast="b3d26a8a-7a43-4a9f-93e1-fc2a869ea97b",
        job="b3d26a8a-7a43-4a9f-93e1-fc2a869ea97b",
        **{
            "job-url": "/api/v3_0/jobs/b3d26a8a-7a43-4a9f-93e1-fc2a869ea97b",
            "results-url": "/api/v3_0/sensors/2/forecasts/b3d26a8a-7a43-4a9f-93e1-fc2a869ea97b",
        },
    )

    message: str
    status: str
    forecast: UUID
    job: UUID
    job_url: str = Field(alias="job-url")
    results_url: str = Field(alias="results-url")


class Forecast(ResponseModel):
    model_config = example(values=[1.2, 1.5, 1.4], start="2026-11-22T00:00:00+01:00", duration="PT45M", unit="kW")

    values: list[float | None]
    start: str
    duration: str
    unit: str
