"""Interface of a kind of connector: its settings, the series it offers, and how it gets their values."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

import numpy as np
from flexmodel.quantities import QuantityError, check_unit
from flexmodel.time import TimeError, zone
from flexstore.store import Store
from pydantic import BaseModel, ConfigDict

from ingest.connectors.fetched_series import FetchedSeries, FetchError, SeriesSource, TemporaryFetchError
from ingest.connectors.http_client import HttpClient
from ingest.data.repository import Sensor


class ConnectorSettings(BaseModel):
    """Settings of a connector. Fields of type `SecretStr` are stored apart and never shown."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class OfferedSeries:
    """Series that a connector can fill."""

    name: str
    about: str
    unit: str | None = None
    """Unit of the provider, so that a sensor that does not fit is refused early; None if only the responses have it."""


@dataclass(frozen=True, slots=True)
class Location:
    """Latitude and longitude in degrees."""

    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """Request to fetch series over [start, end)."""

    sensors: Mapping[str, Sensor]
    """Sensors to fill, by series. Other series need not be fetched."""
    start: datetime
    end: datetime
    now: datetime
    http: HttpClient
    locations: Mapping[str, Location] = field(default_factory=dict)
    """Location of the asset of each sensor, or of its nearest ancestor that has one, by series."""


class ConnectorKind[S: ConnectorSettings](ABC):
    """A kind of connector. One stateless object serves all connectors of the kind."""

    name: ClassVar[str]
    """Name that people type, for example `entsoe`."""
    about: ClassVar[str]
    """Description in one line."""
    settings: type[S]
    interval: ClassVar[timedelta] = timedelta(hours=1)
    """Time from one run to the next, unless a connector says otherwise."""

    @abstractmethod
    def series(self, settings: S) -> Sequence[OfferedSeries]:
        """Return the series that a connector with these settings can fill."""

    @abstractmethod
    def source(self, settings: S, connector: str, number: int) -> SeriesSource:
        """Return the source of the values; `connector` and `number` are the name and the id of the connector."""


class PollingKind[S: ConnectorSettings](ConnectorKind[S]):
    """A kind that fetches values at intervals."""

    max_window: ClassVar[timedelta] = timedelta(days=31)
    """Longest window of a fetch. Longer ones are split."""

    @abstractmethod
    def window(self, settings: S, now: datetime, last_success: datetime | None) -> tuple[datetime, datetime]:
        """Return the window of a scheduled run. It includes what was missed since the last success, within reason."""

    @abstractmethod
    async def fetch(self, settings: S, request: FetchRequest) -> Sequence[FetchedSeries]:
        """Fetch the values.

        Raises:
            FetchError: There are none although there should be some.
        """


type DeliverSeries = Callable[[Sequence[FetchedSeries]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ListenerContext:
    """Context of a connector that listens."""

    connector_id: int
    """Id of the connector."""
    sensors: Mapping[str, Sensor]
    """Sensors to fill, by series."""
    deliver: DeliverSeries
    """Stores series before it returns."""
    store: Store
    """Store for readings that wait for their event to end."""
    private_addresses: bool = False
    """True if servers at private addresses are allowed."""


class ListeningKind[S: ConnectorSettings](ConnectorKind[S]):
    """A kind that receives values as they come."""

    @abstractmethod
    async def listen(self, settings: S, context: ListenerContext) -> None:
        """Connect and deliver values until cancelled.

        Raises:
            FetchError: It cannot go on. It is started again later.
        """


AnyConnectorKind = ConnectorKind[Any]


async def gather_series(fetches: Iterable[Awaitable[Sequence[FetchedSeries]]]) -> list[FetchedSeries]:
    """Await fetches one after the other and return all their series.

    After a temporary error of the server, no further fetch is awaited.

    Raises:
        FetchError: A fetch failed. Its `partial` has the series of the others.
    """
    fetched: list[FetchedSeries] = []
    failures: list[FetchError] = []
    for fetch in fetches:
        try:
            fetched += await fetch
        except FetchError as error:
            fetched += error.partial
            failures.append(error)
            if isinstance(error, TemporaryFetchError):
                break
    if failures:
        sentences = dict.fromkeys(error.message for error in failures)
        waits = [error.retry_after for error in failures if error.retry_after is not None]
        raise FetchError(" ".join(sentences), max(waits, default=None), fetched)
    return fetched


def require_values(
    provider: str, fetched: Sequence[FetchedSeries], names: Iterable[str], request: FetchRequest
) -> None:
    """Raise `FetchError`, with the fetched series as `partial`, if one of the named series has no value."""
    known = {series.series for series in fetched if not np.isnan(series.values).all()}
    missing = [name for name in names if name not in known]
    if missing:
        raise FetchError(
            f"{provider} has no {' and no '.join(missing)} from {request.start.isoformat()} to "
            f"{request.end.isoformat()}.",
            partial=fetched,
        )


def check_unit_name(text: str) -> str:
    """Validate a unit in settings."""
    try:
        return check_unit(text)
    except QuantityError as error:
        raise ValueError(str(error)) from error


def check_time_zone(text: str) -> str:
    """Validate a time zone in settings."""
    try:
        zone(text)
    except TimeError as error:
        raise ValueError(str(error)) from error
    return text
