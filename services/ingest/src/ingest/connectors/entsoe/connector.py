"""The connector kind `entsoe`: requests for prices and forecasts, by day of the market."""

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

from ingest.connectors.connector_kind import ConnectorSettings, FetchRequest, OfferedSeries, PollingKind, gather_series
from ingest.connectors.entsoe import document
from ingest.connectors.entsoe.document import SeriesPeriod
from ingest.connectors.entsoe.zones import eic_of
from ingest.connectors.fetched_series import FetchedSeries, FetchError, SeriesSource

MARKET = ZoneInfo("Europe/Brussels")
"""Time zone of the market's days, in all bidding zones."""
PUBLICATION_LEAD = timedelta(hours=6)
"""Time before the start of a day by which everything about it is published."""
MAX_CATCH_UP = timedelta(days=7)
PRICE = "day-ahead-price"


@dataclass(frozen=True, slots=True)
class EntsoeSeries:
    """Series of the platform, with the parameters of a request for it."""

    about: str
    domains: Sequence[str]
    """Parameters that name the zone."""
    parameters: Mapping[str, str]


def forecast(about: str, kind: str, domain: str, **parameters: str) -> EntsoeSeries:
    return EntsoeSeries(about, [domain], {"documentType": kind, "processType": "A01", **parameters})


SERIES: Mapping[str, EntsoeSeries] = {
    PRICE: EntsoeSeries(
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


class EntsoeSettings(ConnectorSettings):
    zone: Annotated[str, AfterValidator(check_zone)] = Field(
        description="The bidding zone: its name, such as NL, BE or DE_LU, or its EIC code."
    )
    token: SecretStr = Field(description="Your security token of the Transparency Platform.")
    sequence: int = Field(
        1, ge=1, le=9, description="Which auction, where a zone has several: 1 is the coupled one of Europe."
    )
    url: Annotated[str, Field(pattern="^https?://")] = "https://web-api.tp.entsoe.eu/api"


class Entsoe(PollingKind[EntsoeSettings]):
    name: ClassVar[str] = "entsoe"
    about: ClassVar[str] = "Day-ahead prices, and forecasts of load, sun and wind, from ENTSO-E (needs a free token)."
    settings = EntsoeSettings
    interval: ClassVar[timedelta] = timedelta(minutes=30)

    def series(self, settings: EntsoeSettings) -> Sequence[OfferedSeries]:
        return [OfferedSeries(name, data.about, None if name == PRICE else "MW") for name, data in SERIES.items()]

    def source(self, settings: EntsoeSettings, connector: str, number: int) -> SeriesSource:
        return SeriesSource("ENTSO-E", "market")

    def window(
        self, settings: EntsoeSettings, now: datetime, last_success: datetime | None
    ) -> tuple[datetime, datetime]:
        """Return today and tomorrow, and the days since the last success."""
        start = market_day(now)
        if last_success is not None:
            start = min(start, market_day(max(last_success, now - MAX_CATCH_UP)))
        return start, market_day(now, 2)

    async def fetch(self, settings: EntsoeSettings, request: FetchRequest) -> Sequence[FetchedSeries]:
        return await gather_series(self._fetch_one(settings, name, request) for name in request.sensors)

    async def _fetch_one(self, settings: EntsoeSettings, name: str, request: FetchRequest) -> list[FetchedSeries]:
        fetched = await self._request(settings, name, request)
        if not fetched and is_due(request):
            raise FetchError(
                f"ENTSO-E has no {name} of {settings.zone} from {request.start.isoformat()} to "
                f"{request.end.isoformat()}, although it should be out."
            )
        return fetched

    async def _request(self, settings: EntsoeSettings, name: str, request: FetchRequest) -> list[FetchedSeries]:
        data = SERIES[name]
        zone = eic_of(settings.zone)
        time_format = "%Y%m%d%H%M"
        response = await request.http.request(
            settings.url,
            params={
                **data.parameters,
                **dict.fromkeys(data.domains, zone),
                "periodStart": instant(request.start).item().strftime(time_format),
                "periodEnd": instant(request.end).item().strftime(time_format),
                "securityToken": settings.token.get_secret_value(),
            },
            reason=document.parse_reason,
        )
        if response.status != 200 and document.says_no_data(response.body):
            return []
        body = response.expect_success().body
        periods = await asyncio.to_thread(document.parse_documents, body, request.http.limits.max_bytes)
        return [
            to_fetched_series(name, period, request.now) for period in select_periods(periods, name, settings.sequence)
        ]


def select_periods(periods: Sequence[SeriesPeriod], name: str, sequence: int) -> list[SeriesPeriod]:
    """Select the periods of a series, coarser ones first, so that finer ones override them."""
    if name == PRICE:
        periods = [
            period for period in periods if period.agreement in (None, "A01") and period.sequence in (None, sequence)
        ]
    if name == "generation-forecast":
        periods = [
            period for period in periods if period.is_generation
        ]  # the response includes the consumption of pumps
    return sorted(periods, key=lambda period: period.resolution, reverse=True)


def to_fetched_series(name: str, period: SeriesPeriod, now: datetime) -> FetchedSeries:
    source = None if name == PRICE else SeriesSource("ENTSO-E", "forecaster")
    belief_times = compute_belief_times(period.starts, min(period.created, now))
    return FetchedSeries(name, period.starts, period.values, period.unit, belief_times, period.resolution, source)


def compute_belief_times(starts: Instants, created: datetime) -> Instants:
    """Return the belief times: creation of the document, or publication of the day if that was earlier.

    The platform creates a document for every request. Without the latter, last year's prices would only be known
    since now.
    """
    days = pl.Series(starts).dt.replace_time_zone("UTC").dt.convert_time_zone(MARKET.key).dt.truncate("1d")
    published = days.dt.convert_time_zone("UTC").dt.replace_time_zone(None).to_numpy() - np.timedelta64(
        PUBLICATION_LEAD
    )
    known: Instants = np.minimum(published, instant(created)).astype("datetime64[us]")
    return known


def market_day(moment: datetime, later: int = 0) -> datetime:
    """Return the start of the market's day, or of one some days later."""
    midnight = moment.astimezone(MARKET).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return midnight + timedelta(days=later)


def is_due(request: FetchRequest) -> bool:
    """Return whether the first requested day should have been published by now."""
    return market_day(request.start) - PUBLICATION_LEAD <= request.now
