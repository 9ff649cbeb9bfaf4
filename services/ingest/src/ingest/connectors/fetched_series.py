"""Series that a connector has fetched, and the errors of a fetch."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flexmodel.errors import FlexmeshError
from flexmodel.time import Instants

from ingest.data.resampling import Values


@dataclass(frozen=True, slots=True)
class SeriesSource:
    """Data source under which the values are stored."""

    name: str
    type: str
    """One of the usual types: `forecaster`, `market`, `gateway`."""
    model: str | None = None


@dataclass(frozen=True, slots=True)
class FetchedSeries:
    """Values of one series in the provider's unit and resolution, in order of time.

    Unknown values are NaN or left out. Of overlapping values, the last counts.
    """

    series: str
    starts: Instants
    values: Values
    unit: str
    belief_time: datetime | Instants
    """Belief time of all values, or of each."""
    resolution: timedelta | None = None
    """Length of time of each value; None for the most common spacing, or one event of the sensor for a single value."""
    source: SeriesSource | None = None
    """Source of the values; None for the connector's usual one."""


class FetchError(FlexmeshError):
    """A failed fetch, with a sentence on why. It is tried again later, not before `retry_after` seconds.

    Series that were fetched all the same are in `partial`. They are stored.
    """

    def __init__(self, message: str, retry_after: float | None = None, partial: Sequence[FetchedSeries] = ()) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.partial = partial


class TemporaryFetchError(FetchError):
    """A failure that may be over soon."""
