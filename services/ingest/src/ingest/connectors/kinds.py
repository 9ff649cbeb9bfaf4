"""What a kind of connector has to provide: its settings, the series it can fill, and how it gets their values."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

from flexstore.store import Store
from pydantic import BaseModel, ConfigDict

from ingest.connectors.fetched import Fetched, Origin
from ingest.connectors.web import Web
from ingest.data.repository import Sensor


class Settings(BaseModel):
    """What a connector of a kind is told. Fields of type `SecretStr` are stored apart and shown to nobody."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Offer:
    """A series that a connector can fill."""

    name: str
    about: str
    unit: str | None = None
    """The provider's unit, so that a sensor that does not fit is refused at once; None: the answers tell."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is, in degrees."""

    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Ask:
    """What to fetch: these series over [start, end)."""

    sensors: Mapping[str, Sensor]
    """The sensors that are to be filled, by series. Other series need not be fetched."""
    start: datetime
    end: datetime
    now: datetime
    web: Web
    places: Mapping[str, Place] = field(default_factory=dict)
    """Where the assets of the sensors are, or the nearest assets above them that are somewhere; by series."""


class Kind[S: Settings](ABC):
    """A kind of connector. One object serves all connectors of the kind, so it keeps nothing about any of them."""

    name: ClassVar[str]
    """As people type it, for example `entsoe`."""
    about: ClassVar[str]
    """One line: what it fills, from where."""
    settings: type[S]
    interval: ClassVar[timedelta] = timedelta(hours=1)
    """Time from one run to the next, unless a connector says otherwise."""

    @abstractmethod
    def series(self, settings: S) -> Sequence[Offer]:
        """What a connector with these settings can fill."""

    @abstractmethod
    def origin(self, settings: S, connector: str, number: int) -> Origin:
        """The source of the values; `connector` and `number` are the name and the id of the connector."""


class Puller[S: Settings](Kind[S]):
    """A kind that asks for values again and again."""

    longest: ClassVar[timedelta] = timedelta(days=31)
    """The longest time to ask for at once; longer ones are asked for in parts."""

    @abstractmethod
    def window(self, settings: S, now: datetime, last_success: datetime | None) -> tuple[datetime, datetime]:
        """The time that a run at its hour asks for. Ask for what was missed since the last success, within reason."""

    @abstractmethod
    async def fetch(self, settings: S, ask: Ask) -> Sequence[Fetched]:
        """The values. Raises `NotFetched` with a sentence on why there are none, if there should be some."""


type Deliver = Callable[[Sequence[Fetched]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Listening:
    """What a connector that listens works with."""

    connector: int
    """Its id."""
    sensors: Mapping[str, Sensor]
    """The sensors that are to be filled, by series."""
    deliver: Deliver
    """When it returns, the values are stored."""
    store: Store
    """For what has to be kept until there is a value to deliver."""
    private_addresses: bool = False
    """Whether it may listen to what is at a private address."""


class Listener[S: Settings](Kind[S]):
    """A kind that is told values as they come, for as long as it listens."""

    @abstractmethod
    async def listen(self, settings: S, listening: Listening) -> None:
        """Connect, and deliver what comes until cancelled.

        Raises `NotFetched` when it cannot go on; it is started again later.
        """


AnyKind = Kind[Any]
