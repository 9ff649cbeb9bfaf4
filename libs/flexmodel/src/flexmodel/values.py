"""The three forms of a quantity: a fixed one, segments in time, or a reference to a sensor.

Values are already in the field's canonical unit (MW, MWh, a ratio, or currency per canonical unit).
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Fixed:
    """One value for all times."""

    value: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A value from `start` to `end` (aware; equal for a point in time)."""

    start: datetime
    end: datetime
    value: float


@dataclass(frozen=True, slots=True)
class Segments:
    """Values over parts of time, in the order given."""

    items: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class SensorReference:
    """A reference to a sensor's series, with optional filters on sources and a value for empty slots."""

    sensor: int
    source_types: tuple[str, ...] | None = None
    exclude_source_types: tuple[str, ...] | None = None
    sources: tuple[int, ...] | None = None
    source_account: tuple[int, ...] | None = None
    default: float | None = None


VariableQuantity = Fixed | Segments | SensorReference
