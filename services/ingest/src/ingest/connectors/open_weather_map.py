"""Weather forecasts of OpenWeatherMap: One Call 3.0 hour by hour, or the free five days in steps of three hours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np
from flexmodel.time import floor, instant
from pydantic import Field, SecretStr

from ingest.connectors.asking import expect_values, gathered
from ingest.connectors.fetched import Fetched, Origin
from ingest.connectors.json_answers import parse, read_times, read_values
from ingest.connectors.kinds import Ask, Offer, Place, Puller
from ingest.connectors.weather import UTC_SECONDS, PlaceSettings, by_place, said_in, understanding

NAME = "OpenWeatherMap"


@dataclass(frozen=True, slots=True)
class Variable:
    about: str
    unit: str
    path: tuple[str, ...]
    """Where its value stands in what is said about one time."""
    preceding: bool = False
    """Whether a value is about the time that ends then."""
    absent: float = np.nan
    """What it is when nothing is said: of rain and snow, that there is none."""


@dataclass(frozen=True, slots=True)
class Product:
    """One of the forecasts that OpenWeatherMap sells or gives away."""

    url: str
    listed: str
    """The field with the list of times."""
    step: timedelta
    reach: timedelta
    variables: Mapping[str, Variable]


ONE_CALL = Product(
    "https://api.openweathermap.org/data/3.0/onecall",
    "hourly",
    timedelta(hours=1),
    timedelta(hours=48),
    {
        "temp": Variable("Air temperature", "°C", ("temp",)),
        "feels_like": Variable("Temperature as it feels", "°C", ("feels_like",)),
        "dew_point": Variable("Dew point", "°C", ("dew_point",)),
        "pressure": Variable("Air pressure at sea level", "hPa", ("pressure",)),
        "humidity": Variable("Relative humidity", "%", ("humidity",)),
        "clouds": Variable("Clouds, share of the sky", "%", ("clouds",)),
        "uvi": Variable("UV index", "", ("uvi",)),
        "visibility": Variable("How far one can see, 10 km at most", "m", ("visibility",)),
        "wind_speed": Variable("Wind speed", "m/s", ("wind_speed",)),
        "wind_gust": Variable("Gusts", "m/s", ("wind_gust",)),
        "wind_deg": Variable("Direction the wind comes from", "°", ("wind_deg",)),
        "pop": Variable("Probability of precipitation", "", ("pop",)),
        "rain": Variable("Rain", "mm/h", ("rain", "1h"), absent=0.0),
        "snow": Variable("Snow", "mm/h", ("snow", "1h"), absent=0.0),
    },
)
FIVE_DAYS = Product(
    "https://api.openweathermap.org/data/2.5/forecast",
    "list",
    timedelta(hours=3),
    timedelta(days=5),
    {
        "temp": Variable("Air temperature", "°C", ("main", "temp")),
        "feels_like": Variable("Temperature as it feels", "°C", ("main", "feels_like")),
        "pressure": Variable("Air pressure at sea level", "hPa", ("main", "pressure")),
        "humidity": Variable("Relative humidity", "%", ("main", "humidity")),
        "clouds": Variable("Clouds, share of the sky", "%", ("clouds", "all")),
        "visibility": Variable("How far one can see, 10 km at most", "m", ("visibility",)),
        "wind_speed": Variable("Wind speed", "m/s", ("wind", "speed")),
        "wind_gust": Variable("Gusts", "m/s", ("wind", "gust")),
        "wind_deg": Variable("Direction the wind comes from", "°", ("wind", "deg")),
        "pop": Variable("Probability of precipitation", "", ("pop",)),
        "rain": Variable("Rain", "mm", ("rain", "3h"), preceding=True, absent=0.0),
        "snow": Variable("Snow", "mm", ("snow", "3h"), preceding=True, absent=0.0),
    },
)
PRODUCTS = {"one-call": ONE_CALL, "five-days": FIVE_DAYS}


class OpenWeatherMapSettings(PlaceSettings):
    api_key: SecretStr = Field(description="The key of your account.")
    product: Literal["one-call", "five-days"] = Field(
        "one-call",
        description="one-call: two days hour by hour (a subscription). five-days: every 3 hours (free).",
    )
    url: str | None = Field(None, pattern=r"^https?://", description="Where the API is, if not where it usually is.")

    @property
    def bought(self) -> Product:
        return PRODUCTS[self.product]


class OpenWeatherMap(Puller[OpenWeatherMapSettings]):
    name = "openweathermap"
    about = "Weather forecasts for any place: temperature, wind, clouds. Needs a key."
    settings = OpenWeatherMapSettings

    def series(self, settings: OpenWeatherMapSettings) -> Sequence[Offer]:
        return [Offer(name, variable.about, variable.unit) for name, variable in settings.bought.variables.items()]

    def origin(self, settings: OpenWeatherMapSettings, connector: str, number: int) -> Origin:
        return Origin(NAME, "forecaster", settings.product)

    def window(
        self, settings: OpenWeatherMapSettings, now: datetime, last_success: datetime | None
    ) -> tuple[datetime, datetime]:
        start = floor(now, settings.bought.step)
        return start, start + settings.bought.reach

    async def fetch(self, settings: OpenWeatherMapSettings, ask: Ask) -> Sequence[Fetched]:
        return await gathered(self._at(settings, *each, ask) for each in by_place(settings, ask).items())

    async def _at(
        self, settings: OpenWeatherMapSettings, place: Place, wanted: Sequence[str], ask: Ask
    ) -> Sequence[Fetched]:
        asked: dict[str, str | float] = {
            "lat": place.latitude,
            "lon": place.longitude,
            "units": "metric",
            "appid": settings.api_key.get_secret_value(),
        }
        if settings.bought is ONE_CALL:
            asked["exclude"] = "current,minutely,daily,alerts"
        answer = await ask.web.ask(settings.url or settings.bought.url, params=asked, reason=said_in("message"))
        fetched = read(parse(answer.expect_success().body), wanted, settings.bought, ask)
        expect_values(NAME, fetched, wanted, ask)
        return fetched


def read(message: Any, wanted: Sequence[str], product: Product, ask: Ask) -> list[Fetched]:
    """The series in an answer."""
    fetched = []
    with understanding(NAME):
        rows = message[product.listed]
        times = read_times([row["dt"] for row in rows], UTC_SECONDS)
        for name in wanted:
            variable = product.variables[name]
            values = read_values([value_at(row, variable) for row in rows])
            starts = times - np.timedelta64(product.step) if variable.preceding else times
            asked = (starts >= instant(ask.start)) & (starts < instant(ask.end))
            fetched.append(Fetched(name, starts[asked], values[asked], variable.unit, ask.now, product.step))
    return fetched


def value_at(row: Mapping[str, Any], variable: Variable) -> Any:
    found: Any = row
    for name in variable.path:
        if name not in found:
            return variable.absent
        found = found[name]
    return found
