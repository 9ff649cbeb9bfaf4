"""What a connector has fetched, or why there is nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flexmodel.errors import FlexmeshError
from flexmodel.time import Instants

from ingest.data.rules import Values


@dataclass(frozen=True, slots=True)
class Origin:
    """The data source that the values are stored under."""

    name: str
    type: str
    """One of the usual types: `forecaster`, `market`, `gateway`."""
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """Values of one series in the provider's unit and resolution, in order of time.

    What is not known is NaN or left out. Of several that overlap, the last counts.
    """

    series: str
    starts: Instants
    values: Values
    unit: str
    believed: datetime | Instants
    """When the provider knew: all of it, or value by value."""
    resolution: timedelta | None = None
    """How long each value lasts; None: as long as most of them are apart, and one alone for one event of the sensor."""
    origin: Origin | None = None
    """The source, where it is not the connector's usual one."""


class NotFetched(FlexmeshError):  # noqa: N818 - it says what it is
    """There are no values, with a sentence on why. It is tried again later, not before `retry_after` seconds.

    Values that did come, while others should have and did not, are in `fetched`; they are stored.
    """

    def __init__(self, message: str, retry_after: float | None = None, fetched: Sequence[Fetched] = ()) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.fetched = fetched


class Passing(NotFetched):
    """It may well be over in a moment."""
