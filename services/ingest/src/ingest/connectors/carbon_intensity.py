"""CO2 per kWh of Great Britain's electricity, from the free Carbon Intensity API of its grid operator."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Self

import numpy as np
from flexmodel.time import ceil, floor, instant
from pydantic import Field, model_validator

from ingest.connectors.asking import expect_values, gathered
from ingest.connectors.fetched import Fetched, Origin
from ingest.connectors.json_answers import parse, read_times, read_values
from ingest.connectors.kinds import Ask, Offer, Puller, Settings
from ingest.connectors.weather import UTC_SECONDS, said_in, understanding

NAME = "Carbon Intensity API"
UNIT = "g/kWh"
HALF_HOUR = timedelta(minutes=30)
AHEAD = timedelta(hours=48)
BACK = timedelta(days=1)
MOST_MISSED = timedelta(days=14)


class CarbonIntensitySettings(Settings):
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


class CarbonIntensity(Puller[CarbonIntensitySettings]):
    name = "carbon-intensity-gb"
    about = "CO2 per kWh of electricity in Great Britain, two days ahead. No key needed."
    settings = CarbonIntensitySettings
    interval = HALF_HOUR
    longest = timedelta(days=14)

    def series(self, settings: CarbonIntensitySettings) -> Sequence[Offer]:
        forecast = Offer("forecast", "CO2 equivalents per kWh, two days ahead", UNIT)
        actual = Offer("actual", "CO2 equivalents per kWh as they turned out, of all Great Britain", UNIT)
        return [forecast] if settings.is_regional else [forecast, actual]

    def origin(self, settings: CarbonIntensitySettings, connector: str, number: int) -> Origin:
        return Origin(NAME, "forecaster")

    def window(
        self, settings: CarbonIntensitySettings, now: datetime, last_success: datetime | None
    ) -> tuple[datetime, datetime]:
        missed = max(min(last_success or now, now - BACK), now - MOST_MISSED)
        return floor(missed, HALF_HOUR), floor(now, HALF_HOUR) + AHEAD

    async def fetch(self, settings: CarbonIntensitySettings, ask: Ask) -> Sequence[Fetched]:
        paths = {}
        if "actual" in ask.sensors and ask.start < ask.now:
            paths["actual"] = f"/intensity/{written(ask.start)}/{written(min(ask.end, ceil(ask.now, HALF_HOUR)))}"
        if "forecast" in ask.sensors and ask.end > ask.now:
            paths["forecast"] = forecast_path(settings, ask)
        return await gathered(self._ask(settings, series, path, ask) for series, path in paths.items())

    async def _ask(self, settings: CarbonIntensitySettings, series: str, path: str, ask: Ask) -> Sequence[Fetched]:
        answer = await ask.web.ask(settings.url.rstrip("/") + path, reason=said_in("error", "message"))
        fetched = [read(parse(answer.expect_success().body), series, ask)]
        expect_values(NAME, fetched, [series], ask)
        return fetched


def forecast_path(settings: CarbonIntensitySettings, ask: Ask) -> str:
    """Two days from the half hour that runs; what is over needs no forecast any more."""
    path = f"/intensity/{written(floor(max(ask.start, ask.now), HALF_HOUR))}/fw48h"
    if settings.postcode is not None:
        return f"/regional{path}/postcode/{settings.postcode}"
    return path if settings.region is None else f"/regional{path}/regionid/{settings.region}"


def written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%MZ}"


def read(message: Any, series: str, ask: Ask) -> Fetched:
    """The series in an answer. That for a region says first which region it is."""
    with understanding(NAME):
        periods = message["data"] if isinstance(message["data"], list) else message["data"]["data"]
        starts = read_times([period["from"] for period in periods], UTC_SECONDS)
        values = read_values([period["intensity"].get(series) for period in periods])
    asked = (starts >= instant(floor(ask.start, HALF_HOUR))) & (starts < instant(ask.end))
    if series == "forecast":
        asked &= starts + np.timedelta64(HALF_HOUR) > instant(ask.now)
    return Fetched(series, starts[asked], values[asked], UNIT, ask.now, HALF_HOUR)
