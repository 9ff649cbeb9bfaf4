"""What ENTSO-E is asked for: day-ahead prices, and forecasts of load and generation, day by day of the market."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, ClassVar
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from flexmodel.time import Instants, instant
from pydantic import AfterValidator, Field, SecretStr

from ingest.connectors.asking import gathered
from ingest.connectors.entsoe import document
from ingest.connectors.entsoe.document import Part
from ingest.connectors.entsoe.zones import eic_of
from ingest.connectors.fetched import Fetched, NotFetched, Origin
from ingest.connectors.kinds import Ask, Offer, Puller, Settings

MARKET = ZoneInfo("Europe/Brussels")
"""The day of the market is one of this time zone, everywhere."""
PUBLISHED = timedelta(hours=6)
"""So long before its day begins, everything is published."""
CATCHES_UP = timedelta(days=7)
PRICE = "day-ahead-price"


@dataclass(frozen=True, slots=True)
class Data:
    """A series of the platform: how to ask for it."""

    about: str
    domains: Sequence[str]
    """The parameters that name the zone."""
    fixed: Mapping[str, str]


def forecast(about: str, kind: str, domain: str, **fixed: str) -> Data:
    return Data(about, [domain], {"documentType": kind, "processType": "A01", **fixed})


SERIES: Mapping[str, Data] = {
    PRICE: Data(
        "Day-ahead price.", ["in_Domain", "out_Domain"], {"documentType": "A44", "contract_MarketAgreement.type": "A01"}
    ),
    "load-forecast": forecast("Day-ahead forecast of the load.", "A65", "outBiddingZone_Domain"),
    "generation-forecast": forecast("Day-ahead forecast of all generation.", "A71", "in_Domain"),
    "solar-forecast": forecast("Day-ahead forecast of solar power.", "A69", "in_Domain", psrType="B16"),
    "wind-offshore-forecast": forecast("The same of wind power at sea.", "A69", "in_Domain", psrType="B18"),
    "wind-onshore-forecast": forecast("The same of wind power on land.", "A69", "in_Domain", psrType="B19"),
}


def check_zone(zone: str) -> str:
    eic_of(zone)
    return zone


class EntsoeSettings(Settings):
    zone: Annotated[str, AfterValidator(check_zone)] = Field(
        description="The bidding zone: its name, such as NL, BE or DE_LU, or its EIC code."
    )
    token: SecretStr = Field(description="Your security token of the Transparency Platform.")
    sequence: int = Field(
        1, ge=1, le=9, description="Which auction, where a zone has several: 1 is the coupled one of Europe."
    )
    url: Annotated[str, Field(pattern="^https?://")] = "https://web-api.tp.entsoe.eu/api"


class Entsoe(Puller[EntsoeSettings]):
    name: ClassVar[str] = "entsoe"
    about: ClassVar[str] = "Day-ahead prices, and forecasts of load, sun and wind, from ENTSO-E (needs a free token)."
    settings = EntsoeSettings
    interval: ClassVar[timedelta] = timedelta(minutes=30)

    def series(self, settings: EntsoeSettings) -> Sequence[Offer]:
        return [Offer(name, data.about, None if name == PRICE else "MW") for name, data in SERIES.items()]

    def origin(self, settings: EntsoeSettings, connector: str, number: int) -> Origin:
        return Origin("ENTSO-E", "market")

    def window(
        self, settings: EntsoeSettings, now: datetime, last_success: datetime | None
    ) -> tuple[datetime, datetime]:
        """Today and tomorrow, and the days since the last success."""
        start = market_day(now)
        if last_success is not None:
            start = min(start, market_day(max(last_success, now - CATCHES_UP)))
        return start, market_day(now, 2)

    async def fetch(self, settings: EntsoeSettings, ask: Ask) -> Sequence[Fetched]:
        return await gathered(self._fetch_one(settings, name, ask) for name in ask.sensors)

    async def _fetch_one(self, settings: EntsoeSettings, name: str, ask: Ask) -> list[Fetched]:
        found = await self._find(settings, name, ask)
        if not found and is_due(ask):
            raise NotFetched(
                f"ENTSO-E has no {name} of {settings.zone} from {ask.start.isoformat()} to {ask.end.isoformat()}, "
                "although it should be out."
            )
        return found

    async def _find(self, settings: EntsoeSettings, name: str, ask: Ask) -> list[Fetched]:
        data = SERIES[name]
        zone = eic_of(settings.zone)
        form = "%Y%m%d%H%M"
        answer = await ask.web.ask(
            settings.url,
            params={
                **data.fixed,
                **dict.fromkeys(data.domains, zone),
                "periodStart": instant(ask.start).item().strftime(form),
                "periodEnd": instant(ask.end).item().strftime(form),
                "securityToken": settings.token.get_secret_value(),
            },
            reason=document.reason,
        )
        if answer.status != 200 and document.is_nothing(answer.body):
            return []
        body = answer.expect_success().body
        parts = await asyncio.to_thread(document.read, body, ask.web.limits.largest)
        return [as_fetched(name, part, ask.now) for part in chosen(parts, name, settings.sequence)]


def chosen(parts: Sequence[Part], name: str, sequence: int) -> list[Part]:
    """Those that are meant, the coarser first: where something is also known more finely, that counts."""
    if name == PRICE:
        parts = [part for part in parts if part.agreement in (None, "A01") and part.sequence in (None, sequence)]
    if name == "generation-forecast":
        parts = [part for part in parts if part.is_generation]  # what pumps are going to consume comes along
    return sorted(parts, key=lambda part: part.resolution, reverse=True)


def as_fetched(name: str, part: Part, now: datetime) -> Fetched:
    origin = None if name == PRICE else Origin("ENTSO-E", "forecaster")
    believed = believed_at(part.starts, min(part.created, now))
    return Fetched(name, part.starts, part.values, part.unit, believed, part.resolution, origin)


def believed_at(starts: Instants, created: datetime) -> Instants:
    """When each value was known: when the document was made, or when its day was published, if that was earlier.

    The platform makes a document anew for every request; without the latter, nobody would have known last year's
    prices last year.
    """
    days = pl.Series(starts).dt.replace_time_zone("UTC").dt.convert_time_zone(MARKET.key).dt.truncate("1d")
    published = days.dt.convert_time_zone("UTC").dt.replace_time_zone(None).to_numpy() - np.timedelta64(PUBLISHED)
    known: Instants = np.minimum(published, instant(created)).astype("datetime64[us]")
    return known


def market_day(moment: datetime, later: int = 0) -> datetime:
    """The beginning of the market's day, or of one some days later."""
    midnight = moment.astimezone(MARKET).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return midnight + timedelta(days=later)


def is_due(ask: Ask) -> bool:
    """Whether the first day that is asked for should have been published by now."""
    return market_day(ask.start) - PUBLISHED <= ask.now
