"""What was read from the sensors, as it was stored: before conversion and resampling."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from flexmodel.errors import FlexmeshError
from flexmodel.parts import StateReading
from flexmodel.problem import Array
from flexmodel.time import Instants
from flexmodel.values import SensorReference

Reference = SensorReference | StateReading


@dataclass(frozen=True, slots=True)
class Events:
    """A sensor's events over some period, sorted by start, in the sensor's unit. Resolution zero: instantaneous."""

    unit: str
    resolution: timedelta
    starts: Instants
    values: Array


@dataclass(frozen=True, slots=True)
class State:
    """A state of charge, and when it was that."""

    at: datetime
    energy: float
    """MWh"""


class UnknownStateError(FlexmeshError):
    """No recent state of charge is known."""


@dataclass(frozen=True, slots=True)
class Readings:
    """Everything that was read for one schedule."""

    events: Mapping[Reference, Events]

    def of(self, reference: Reference) -> Events:
        return self.events[key(reference)]


def key(reference: Reference) -> Reference:
    """What has to be read for a reference: its default plays no role in that."""
    return replace(reference, default=None) if isinstance(reference, SensorReference) else reference
