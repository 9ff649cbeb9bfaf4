"""Weather forecasts of Open-Meteo: free for non-commercial use, for customers, or from a server of one's own."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import numpy as np
from flexmodel.time import ceil, floor, instant
from pydantic import Field, SecretStr

from ingest.connectors.asking import expect_values, gathered
from ingest.connectors.fetched import Fetched, Origin
from ingest.connectors.json_answers import parse, read_times, read_values
from ingest.connectors.kinds import Ask, Offer, Place, Puller
from ingest.connectors.weather import UTC_SECONDS, PlaceSettings, by_place, said_in, understanding

NAME = "Open-Meteo"
HOUR, QUARTER = timedelta(hours=1), timedelta(minutes=15)
MOST_MISSED = timedelta(days=7)
DAY = timedelta(days=1)
MOST_DAYS = 16
"""So many days have forecasts, today included."""
FREE = "https://api.open-meteo.com/v1/forecast"
FOR_CUSTOMERS = "https://customer-api.open-meteo.com/v1/forecast"


class Variable(NamedTuple):
    about: str
    unit: str
    preceding: bool = False
    """Whether a value is the mean, sum or maximum of the hour (or quarter) that ends at its time."""


def _at_heights(about: str, unit: str, name: str, heights: Sequence[int]) -> dict[str, Variable]:
    return {f"{name}_{height}m": Variable(f"{about} {height} m above ground", unit) for height in heights}


HEIGHTS = (80, 120, 180)
VARIABLES = {
    **_at_heights("Air temperature", "°C", "temperature", (2, *HEIGHTS)),
    "apparent_temperature": Variable("Temperature as it feels", "°C"),
    "dew_point_2m": Variable("Dew point 2 m above ground", "°C"),
    "relative_humidity_2m": Variable("Relative humidity 2 m above ground", "%"),
    "surface_pressure": Variable("Air pressure at the ground", "hPa"),
    "pressure_msl": Variable("Air pressure at sea level", "hPa"),
    "cloud_cover": Variable("Clouds, share of the sky", "%"),
    "cloud_cover_low": Variable("Low clouds, share of the sky", "%"),
    "cloud_cover_mid": Variable("Clouds at medium height, share of the sky", "%"),
    "cloud_cover_high": Variable("High clouds, share of the sky", "%"),
    **_at_heights("Wind speed", "m/s", "wind_speed", (10, *HEIGHTS)),
    **_at_heights("Direction the wind comes from", "°", "wind_direction", (10, *HEIGHTS)),
    "wind_gusts_10m": Variable("Strongest gust 10 m above ground", "m/s", preceding=True),
    "shortwave_radiation": Variable("Global horizontal irradiance (GHI)", "W/m²", preceding=True),
    "direct_radiation": Variable("Direct irradiance on the horizontal plane", "W/m²", preceding=True),
    "direct_normal_irradiance": Variable("Direct normal irradiance (DNI)", "W/m²", preceding=True),
    "diffuse_radiation": Variable("Diffuse horizontal irradiance (DHI)", "W/m²", preceding=True),
    "global_tilted_irradiance": Variable("Irradiance on the plane of `tilt` and `azimuth`", "W/m²", preceding=True),
    "terrestrial_radiation": Variable("Irradiance above the atmosphere", "W/m²", preceding=True),
    "sunshine_duration": Variable("Sunshine", "s", preceding=True),
    "precipitation": Variable("Rain, showers and snow", "mm", preceding=True),
    "precipitation_probability": Variable("Probability of precipitation", "%", preceding=True),
    "rain": Variable("Rain", "mm", preceding=True),
    "snowfall": Variable("Fresh snow", "cm", preceding=True),
    "snow_depth": Variable("Snow on the ground", "m"),
    "visibility": Variable("How far one can see", "m"),
    "soil_temperature_0cm": Variable("Temperature of the ground", "°C"),
}


class OpenMeteoSettings(PlaceSettings):
    days: int = Field(7, ge=1, le=MOST_DAYS, description="How many days ahead to ask for.")
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


class OpenMeteo(Puller[OpenMeteoSettings]):
    name = "open-meteo"
    about = "Weather forecasts for any place: temperature, wind, clouds, irradiance. No key needed."
    settings = OpenMeteoSettings

    def series(self, settings: OpenMeteoSettings) -> Sequence[Offer]:
        return [Offer(name, variable.about, variable.unit) for name, variable in VARIABLES.items()]

    def origin(self, settings: OpenMeteoSettings, connector: str, number: int) -> Origin:
        return Origin(NAME, "forecaster", settings.model)

    def window(
        self, settings: OpenMeteoSettings, now: datetime, last_success: datetime | None
    ) -> tuple[datetime, datetime]:
        missed = max(last_success or now, now - MOST_MISSED)
        last = floor(now, DAY) + MOST_DAYS * DAY - HOUR  # who asks for more is refused
        return floor(missed, HOUR), min(floor(now, HOUR) + timedelta(days=settings.days), last)

    async def fetch(self, settings: OpenMeteoSettings, ask: Ask) -> Sequence[Fetched]:
        return await gathered(self._at(settings, *each, ask) for each in by_place(settings, ask).items())

    async def _at(
        self, settings: OpenMeteoSettings, place: Place, wanted: Sequence[str], ask: Ask
    ) -> Sequence[Fetched]:
        answer = await ask.web.ask(
            settings.address, params=parameters(settings, place, wanted, ask), reason=said_in("reason")
        )
        fetched = read(parse(answer.expect_success().body), wanted, settings.step, ask)
        expect_values(NAME, fetched, wanted, ask)
        return fetched


def parameters(settings: OpenMeteoSettings, place: Place, wanted: Sequence[str], ask: Ask) -> dict[str, str | float]:
    """The question. A value of preceding time comes with the time it ends, so one step more is asked for."""
    block, span = ("hourly", "hour") if settings.step == HOUR else ("minutely_15", "minutely_15")
    first, last = floor(ask.start, settings.step), ceil(ask.end, settings.step)
    key = None if settings.api_key is None else settings.api_key.get_secret_value()
    asked: dict[str, str | float | None] = {
        "latitude": place.latitude,
        "longitude": place.longitude,
        block: ",".join(wanted),
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
    return {name: value for name, value in asked.items() if value is not None}


def read(message: Any, wanted: Sequence[str], step: timedelta, ask: Ask) -> list[Fetched]:
    """The series in an answer. Of a variable that is not there, there are no values."""
    block = "hourly" if step == HOUR else "minutely_15"
    fetched = []
    with understanding(NAME):
        series, units = message[block], message[f"{block}_units"]
        times = read_times(series["time"], UTC_SECONDS)
        for name in wanted:
            if name not in series:
                continue
            values = read_values(series[name])
            starts = times - np.timedelta64(step) if VARIABLES[name].preceding else times
            if values.shape != times.shape:
                raise ValueError(f"not as many values of {name} as times")
            asked = (starts >= instant(ask.start)) & (starts < instant(ask.end))
            fetched.append(Fetched(name, starts[asked], values[asked], str(units[name]), ask.now, step))
    return fetched
