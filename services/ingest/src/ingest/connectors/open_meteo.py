"""The kind `open-meteo`: weather forecasts, free for non-commercial use, for customers, or from one's own server."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import numpy as np
from flexmodel.time import ceil, floor, instant
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

NAME = "Open-Meteo"
HOUR, QUARTER = timedelta(hours=1), timedelta(minutes=15)
MAX_CATCH_UP = timedelta(days=7)
DAY = timedelta(days=1)
MAX_DAYS = 16
"""Days with forecasts, today included."""
FREE = "https://api.open-meteo.com/v1/forecast"
FOR_CUSTOMERS = "https://customer-api.open-meteo.com/v1/forecast"


class OpenMeteoVariable(NamedTuple):
    about: str
    unit: str
    is_preceding: bool = False
    """True if a value is the mean, sum or maximum of the hour (or quarter) that ends at its time."""


def _at_heights(about: str, unit: str, name: str, heights: Sequence[int]) -> dict[str, OpenMeteoVariable]:
    return {f"{name}_{height}m": OpenMeteoVariable(f"{about} {height} m above ground", unit) for height in heights}


HEIGHTS = (80, 120, 180)
VARIABLES = {
    **_at_heights("Air temperature", "°C", "temperature", (2, *HEIGHTS)),
    "apparent_temperature": OpenMeteoVariable("Temperature as it feels", "°C"),
    "dew_point_2m": OpenMeteoVariable("Dew point 2 m above ground", "°C"),
    "relative_humidity_2m": OpenMeteoVariable("Relative humidity 2 m above ground", "%"),
    "surface_pressure": OpenMeteoVariable("Air pressure at the ground", "hPa"),
    "pressure_msl": OpenMeteoVariable("Air pressure at sea level", "hPa"),
    "cloud_cover": OpenMeteoVariable("Clouds, share of the sky", "%"),
    "cloud_cover_low": OpenMeteoVariable("Low clouds, share of the sky", "%"),
    "cloud_cover_mid": OpenMeteoVariable("Clouds at medium height, share of the sky", "%"),
    "cloud_cover_high": OpenMeteoVariable("High clouds, share of the sky", "%"),
    **_at_heights("Wind speed", "m/s", "wind_speed", (10, *HEIGHTS)),
    **_at_heights("Direction the wind comes from", "°", "wind_direction", (10, *HEIGHTS)),
    "wind_gusts_10m": OpenMeteoVariable("Strongest gust 10 m above ground", "m/s", is_preceding=True),
    "shortwave_radiation": OpenMeteoVariable("Global horizontal irradiance (GHI)", "W/m²", is_preceding=True),
    "direct_radiation": OpenMeteoVariable("Direct irradiance on the horizontal plane", "W/m²", is_preceding=True),
    "direct_normal_irradiance": OpenMeteoVariable("Direct normal irradiance (DNI)", "W/m²", is_preceding=True),
    "diffuse_radiation": OpenMeteoVariable("Diffuse horizontal irradiance (DHI)", "W/m²", is_preceding=True),
    "global_tilted_irradiance": OpenMeteoVariable(
        "Irradiance on the plane of `tilt` and `azimuth`", "W/m²", is_preceding=True
    ),
    "terrestrial_radiation": OpenMeteoVariable("Irradiance above the atmosphere", "W/m²", is_preceding=True),
    "sunshine_duration": OpenMeteoVariable("Sunshine", "s", is_preceding=True),
    "precipitation": OpenMeteoVariable("Rain, showers and snow", "mm", is_preceding=True),
    "precipitation_probability": OpenMeteoVariable("Probability of precipitation", "%", is_preceding=True),
    "rain": OpenMeteoVariable("Rain", "mm", is_preceding=True),
    "snowfall": OpenMeteoVariable("Fresh snow", "cm", is_preceding=True),
    "snow_depth": OpenMeteoVariable("Snow on the ground", "m"),
    "visibility": OpenMeteoVariable("How far one can see", "m"),
    "soil_temperature_0cm": OpenMeteoVariable("Temperature of the ground", "°C"),
}


class OpenMeteoSettings(LocationSettings):
    days: int = Field(7, ge=1, le=MAX_DAYS, description="How many days ahead to ask for.")
    resolution: Literal["PT1H", "PT15M"] = Field(
        "PT1H", description="PT15M asks for quarters of an hour, which are real ones in Europe and North America only."
    )
    model: str | None = Field(
        None,
        pattern=r"^[a-z0-9_]{1,60}$",
        description="One model, for example icon_seamless. Default: the best.",
    )
    tilt: float | None = Field(None, ge=0, le=90, description="Slope for global_tilted_irradiance; 0 is flat.")
    azimuth: float | None = Field(
        None, ge=-180, le=180, description="Where the slope for global_tilted_irradiance faces; 0 is south, -90 east."
    )
    api_key: SecretStr | None = Field(None, description="The key of a customer; without it use is non-commercial.")
    url: str | None = Field(None, pattern=r"^https?://", description="Where the API is, if on a server of one's own.")

    @property
    def step(self) -> timedelta:
        return HOUR if self.resolution == "PT1H" else QUARTER

    @property
    def address(self) -> str:
        return self.url or (FREE if self.api_key is None else FOR_CUSTOMERS)


class OpenMeteo(PollingKind[OpenMeteoSettings]):
    name = "open-meteo"
    about = "Weather forecasts for any place: temperature, wind, clouds, irradiance. No key needed."
    settings = OpenMeteoSettings

    def series(self, settings: OpenMeteoSettings) -> Sequence[OfferedSeries]:
        return [OfferedSeries(name, variable.about, variable.unit) for name, variable in VARIABLES.items()]

    def source(self, settings: OpenMeteoSettings, connector: str, number: int) -> SeriesSource:
        return SeriesSource(NAME, "forecaster", settings.model)

    def window(
        self, settings: OpenMeteoSettings, now: datetime, last_success: datetime | None
    ) -> tuple[datetime, datetime]:
        missed = max(last_success or now, now - MAX_CATCH_UP)
        last = floor(now, DAY) + MAX_DAYS * DAY - HOUR  # requests beyond it are refused
        return floor(missed, HOUR), min(floor(now, HOUR) + timedelta(days=settings.days), last)

    async def fetch(self, settings: OpenMeteoSettings, request: FetchRequest) -> Sequence[FetchedSeries]:
        return await gather_series(
            self._fetch_location(settings, *item, request) for item in series_by_location(settings, request).items()
        )

    async def _fetch_location(
        self, settings: OpenMeteoSettings, location: Location, names: Sequence[str], request: FetchRequest
    ) -> Sequence[FetchedSeries]:
        response = await request.http.request(
            settings.address, params=query_parameters(settings, location, names, request), reason=reason_at("reason")
        )
        fetched = parse_series(parse_json(response.expect_success().body), names, settings.step, request)
        require_values(NAME, fetched, names, request)
        return fetched


def query_parameters(
    settings: OpenMeteoSettings, location: Location, names: Sequence[str], request: FetchRequest
) -> dict[str, str | float]:
    """Build the query. Values of the preceding step have the time of its end, so one more step is requested."""
    block, span = ("hourly", "hour") if settings.step == HOUR else ("minutely_15", "minutely_15")
    first, last = floor(request.start, settings.step), ceil(request.end, settings.step)
    key = None if settings.api_key is None else settings.api_key.get_secret_value()
    parameters: dict[str, str | float | None] = {
        "latitude": location.latitude,
        "longitude": location.longitude,
        block: ",".join(names),
        f"start_{span}": f"{first:%Y-%m-%dT%H:%M}",
        f"end_{span}": f"{last:%Y-%m-%dT%H:%M}",
        "timezone": "GMT",
        "timeformat": "unixtime",
        "wind_speed_unit": "ms",
        "models": settings.model,
        "tilt": settings.tilt,
        "azimuth": settings.azimuth,
        "apikey": key,
    }
    return {name: value for name, value in parameters.items() if value is not None}


def parse_series(content: Json, names: Sequence[str], step: timedelta, request: FetchRequest) -> list[FetchedSeries]:
    """Parse the series of a response. Missing variables are left out."""
    block = "hourly" if step == HOUR else "minutely_15"
    fetched = []
    with malformed_response_as_error(NAME):
        series, units = content[block], content[f"{block}_units"]
        times = parse_times(series["time"], UTC_SECONDS)
        for name in names:
            if name not in series:
                continue
            values = parse_values(series[name])
            starts = times - np.timedelta64(step) if VARIABLES[name].is_preceding else times
            if values.shape != times.shape:
                raise ValueError(f"not as many values of {name} as times")
            in_window = (starts >= instant(request.start)) & (starts < instant(request.end))
            fetched.append(
                FetchedSeries(name, starts[in_window], values[in_window], str(units[name]), request.now, step)
            )
    return fetched
