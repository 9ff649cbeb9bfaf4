"""The kind `openweathermap`: weather forecasts, hourly from One Call 3.0 or free ones of five days."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import numpy as np
from flexmodel.time import floor, instant
from pydantic import Field, SecretStr

from ingest.connectors.connector_kind import (
    FetchRequest,
    Location,
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
from ingest.connectors.weather_location import LocationSettings, series_by_location

NAME = "OpenWeatherMap"


@dataclass(frozen=True, slots=True)
class OpenWeatherMapVariable:
    about: str
    unit: str
    path: tuple[str, ...]
    """Path of its value in the item of one time."""
    is_preceding: bool = False
    """True if a value covers the step that ends at its time."""
    default: float = np.nan
    """Value of items without the variable: rain and snow are left out when there are none."""


@dataclass(frozen=True, slots=True)
class ForecastProduct:
    """A forecast product of OpenWeatherMap."""

    url: str
    list_field: str
    """Field with the list of times."""
    step: timedelta
    reach: timedelta
    variables: Mapping[str, OpenWeatherMapVariable]


ONE_CALL = ForecastProduct(
    "https://api.openweathermap.org/data/3.0/onecall",
    "hourly",
    timedelta(hours=1),
    timedelta(hours=48),
    {
        "temp": OpenWeatherMapVariable("Air temperature", "°C", ("temp",)),
        "feels_like": OpenWeatherMapVariable("Temperature as it feels", "°C", ("feels_like",)),
        "dew_point": OpenWeatherMapVariable("Dew point", "°C", ("dew_point",)),
        "pressure": OpenWeatherMapVariable("Air pressure at sea level", "hPa", ("pressure",)),
        "humidity": OpenWeatherMapVariable("Relative humidity", "%", ("humidity",)),
        "clouds": OpenWeatherMapVariable("Clouds, share of the sky", "%", ("clouds",)),
        "uvi": OpenWeatherMapVariable("UV index", "", ("uvi",)),
        "visibility": OpenWeatherMapVariable("How far one can see, 10 km at most", "m", ("visibility",)),
        "wind_speed": OpenWeatherMapVariable("Wind speed", "m/s", ("wind_speed",)),
        "wind_gust": OpenWeatherMapVariable("Gusts", "m/s", ("wind_gust",)),
        "wind_deg": OpenWeatherMapVariable("Direction the wind comes from", "°", ("wind_deg",)),
        "pop": OpenWeatherMapVariable("Probability of precipitation", "", ("pop",)),
        "rain": OpenWeatherMapVariable("Rain", "mm/h", ("rain", "1h"), default=0.0),
        "snow": OpenWeatherMapVariable("Snow", "mm/h", ("snow", "1h"), default=0.0),
    },
)
FIVE_DAYS = ForecastProduct(
    "https://api.openweathermap.org/data/2.5/forecast",
    "list",
    timedelta(hours=3),
    timedelta(days=5),
    {
        "temp": OpenWeatherMapVariable("Air temperature", "°C", ("main", "temp")),
        "feels_like": OpenWeatherMapVariable("Temperature as it feels", "°C", ("main", "feels_like")),
        "pressure": OpenWeatherMapVariable("Air pressure at sea level", "hPa", ("main", "pressure")),
        "humidity": OpenWeatherMapVariable("Relative humidity", "%", ("main", "humidity")),
        "clouds": OpenWeatherMapVariable("Clouds, share of the sky", "%", ("clouds", "all")),
        "visibility": OpenWeatherMapVariable("How far one can see, 10 km at most", "m", ("visibility",)),
        "wind_speed": OpenWeatherMapVariable("Wind speed", "m/s", ("wind", "speed")),
        "wind_gust": OpenWeatherMapVariable("Gusts", "m/s", ("wind", "gust")),
        "wind_deg": OpenWeatherMapVariable("Direction the wind comes from", "°", ("wind", "deg")),
        "pop": OpenWeatherMapVariable("Probability of precipitation", "", ("pop",)),
        "rain": OpenWeatherMapVariable("Rain", "mm", ("rain", "3h"), is_preceding=True, default=0.0),
        "snow": OpenWeatherMapVariable("Snow", "mm", ("snow", "3h"), is_preceding=True, default=0.0),
    },
)
PRODUCTS = {"one-call": ONE_CALL, "five-days": FIVE_DAYS}


class OpenWeatherMapSettings(LocationSettings):
    api_key: SecretStr = Field(description="The key of your account.")
    product: Literal["one-call", "five-days"] = Field(
        "one-call",
        description="one-call: two days hour by hour (a subscription). five-days: every 3 hours (free).",
    )
    url: str | None = Field(None, pattern=r"^https?://", description="Where the API is, if not where it usually is.")

    @property
    def forecast(self) -> ForecastProduct:
        return PRODUCTS[self.product]


class OpenWeatherMap(PollingKind[OpenWeatherMapSettings]):
    name = "openweathermap"
    about = "Weather forecasts for any place: temperature, wind, clouds. Needs a key."
    settings = OpenWeatherMapSettings

    def series(self, settings: OpenWeatherMapSettings) -> Sequence[OfferedSeries]:
        return [
            OfferedSeries(name, variable.about, variable.unit) for name, variable in settings.forecast.variables.items()
        ]

    def source(self, settings: OpenWeatherMapSettings, connector: str, number: int) -> SeriesSource:
        return SeriesSource(NAME, "forecaster", settings.product)

    def window(
        self, settings: OpenWeatherMapSettings, now: datetime, last_success: datetime | None
    ) -> tuple[datetime, datetime]:
        start = floor(now, settings.forecast.step)
        return start, start + settings.forecast.reach

    async def fetch(self, settings: OpenWeatherMapSettings, request: FetchRequest) -> Sequence[FetchedSeries]:
        return await gather_series(
            self._fetch_location(settings, *each, request) for each in series_by_location(settings, request).items()
        )

    async def _fetch_location(
        self, settings: OpenWeatherMapSettings, location: Location, names: Sequence[str], request: FetchRequest
    ) -> Sequence[FetchedSeries]:
        parameters: dict[str, str | float] = {
            "lat": location.latitude,
            "lon": location.longitude,
            "units": "metric",
            "appid": settings.api_key.get_secret_value(),
        }
        if settings.forecast is ONE_CALL:
            parameters["exclude"] = "current,minutely,daily,alerts"
        response = await request.http.request(
            settings.url or settings.forecast.url, params=parameters, reason=reason_at("message")
        )
        fetched = parse_series(parse_json(response.expect_success().body), names, settings.forecast, request)
        require_values(NAME, fetched, names, request)
        return fetched


def parse_series(
    content: Json, names: Sequence[str], product: ForecastProduct, request: FetchRequest
) -> list[FetchedSeries]:
    """Parse the series of a response."""
    fetched = []
    with malformed_response_as_error(NAME):
        rows = content[product.list_field]
        times = parse_times([row["dt"] for row in rows], UTC_SECONDS)
        for name in names:
            variable = product.variables[name]
            values = parse_values([value_at(row, variable) for row in rows])
            starts = times - np.timedelta64(product.step) if variable.is_preceding else times
            in_window = (starts >= instant(request.start)) & (starts < instant(request.end))
            fetched.append(
                FetchedSeries(name, starts[in_window], values[in_window], variable.unit, request.now, product.step)
            )
    return fetched


def value_at(row: Mapping[str, Json], variable: OpenWeatherMapVariable) -> Json:
    value: Json = row
    for name in variable.path:
        if name not in value:
            return variable.default
        value = value[name]
    return value
