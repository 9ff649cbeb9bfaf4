"""The kind `carbon-intensity-gb`: CO2 per kWh of electricity, from the API of Great Britain's grid operator."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Self

import numpy as np
from flexmodel.time import ceil, floor, instant
from pydantic import Field, model_validator

from ingest.connectors.connector_kind import (
    ConnectorSettings,
    FetchRequest,
    OfferedSeries,
    PollingKind,
    gather_series,
    require_values,
)
from ingest.connectors.fetched_series import FetchedSeries, SeriesSource
from ingest.connectors.json_series import (
    UTC_SECONDS,
    Json,
    malformed_response_as_error,
    parse_json,
    parse_times,
    parse_values,
    reason_at,
)

NAME = "Carbon Intensity API"
UNIT = "g/kWh"
HALF_HOUR = timedelta(minutes=30)
FORECAST_SPAN = timedelta(hours=48)
LOOK_BACK = timedelta(days=1)
MAX_CATCH_UP = timedelta(days=14)


class CarbonIntensitySettings(ConnectorSettings):
    region: int | None = Field(None, ge=1, le=17, description="A region by its number, for example 13: London.")
    postcode: str | None = Field(
        None, pattern=r"^[A-Z]{1,2}[0-9][A-Z0-9]?$", description="The first half of a postcode, for example RG10."
    )
    url: str = Field(
        "https://api.carbonintensity.org.uk", pattern=r"^https?://", description="Where the API is, without a path."
    )

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        if self.region is not None and self.postcode is not None:
            raise ValueError("Give a region or a postcode, not both.")
        return self

    @property
    def is_regional(self) -> bool:
        return self.region is not None or self.postcode is not None


class CarbonIntensity(PollingKind[CarbonIntensitySettings]):
    name = "carbon-intensity-gb"
    about = "CO2 per kWh of electricity in Great Britain, two days ahead. No key needed."
    settings = CarbonIntensitySettings
    interval = HALF_HOUR
    max_window = timedelta(days=14)

    def series(self, settings: CarbonIntensitySettings) -> Sequence[OfferedSeries]:
        forecast = OfferedSeries("forecast", "CO2 equivalents per kWh, two days ahead", UNIT)
        actual = OfferedSeries("actual", "CO2 equivalents per kWh as they turned out, of all Great Britain", UNIT)
        return [forecast] if settings.is_regional else [forecast, actual]

    def source(self, settings: CarbonIntensitySettings, connector: str, number: int) -> SeriesSource:
        return SeriesSource(NAME, "forecaster")

    def window(
        self, settings: CarbonIntensitySettings, now: datetime, last_success: datetime | None
    ) -> tuple[datetime, datetime]:
        missed = max(min(last_success or now, now - LOOK_BACK), now - MAX_CATCH_UP)
        return floor(missed, HALF_HOUR), floor(now, HALF_HOUR) + FORECAST_SPAN

    async def fetch(self, settings: CarbonIntensitySettings, request: FetchRequest) -> Sequence[FetchedSeries]:
        paths = {}
        if "actual" in request.sensors and request.start < request.now:
            paths["actual"] = (
                f"/intensity/{format_time(request.start)}/{format_time(min(request.end, ceil(request.now, HALF_HOUR)))}"
            )
        if "forecast" in request.sensors and request.end > request.now:
            paths["forecast"] = forecast_path(settings, request)
        return await gather_series(self._fetch_one(settings, series, path, request) for series, path in paths.items())

    async def _fetch_one(
        self, settings: CarbonIntensitySettings, series: str, path: str, request: FetchRequest
    ) -> Sequence[FetchedSeries]:
        response = await request.http.request(settings.url.rstrip("/") + path, reason=reason_at("error", "message"))
        series_list = [parse_series(parse_json(response.expect_success().body), series, request)]
        require_values(NAME, series_list, [series], request)
        return series_list


def forecast_path(settings: CarbonIntensitySettings, request: FetchRequest) -> str:
    """Return the path of the forecast, which covers two days from the current half hour."""
    path = f"/intensity/{format_time(floor(max(request.start, request.now), HALF_HOUR))}/fw48h"
    if settings.postcode is not None:
        return f"/regional{path}/postcode/{settings.postcode}"
    return path if settings.region is None else f"/regional{path}/regionid/{settings.region}"


def format_time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%MZ}"


def parse_series(content: Json, series: str, request: FetchRequest) -> FetchedSeries:
    """Parse the series of a response. That for a region has the region's name around it."""
    with malformed_response_as_error(NAME):
        periods = content["data"] if isinstance(content["data"], list) else content["data"]["data"]
        starts = parse_times([period["from"] for period in periods], UTC_SECONDS)
        values = parse_values([period["intensity"].get(series) for period in periods])
    in_window = (starts >= instant(floor(request.start, HALF_HOUR))) & (starts < instant(request.end))
    if series == "forecast":
        in_window &= starts + np.timedelta64(HALF_HOUR) > instant(request.now)
    return FetchedSeries(series, starts[in_window], values[in_window], UNIT, request.now, HALF_HOUR)
