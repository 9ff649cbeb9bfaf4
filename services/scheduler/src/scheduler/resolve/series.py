"""Series of stored values: load all that a trigger refers to in one query."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from flexmodel.errors import FlexmeshError
from flexmodel.problem import Array, Window
from flexmodel.series import LONGEST_HOLD
from flexmodel.time import Instants
from flexmodel.tree import AssetTree
from flexmodel.trigger import Reference, StateReference, Trigger
from flexmodel.values import SensorReference
from flexstore.series import SeriesQuery, load_series
from flexstore.store import Connection


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


async def load_referenced_series(con: Connection, trigger: Trigger, tree: AssetTree, now: datetime) -> Readings:
    """Everything as it was known at the trigger's `prior`, or now."""
    wanted = references(trigger)
    series = await load_series(con, queries(trigger, wanted, tree, trigger.prior or now))
    return Readings(
        {
            reference: events(reference, tree, found.event_start, found.values)
            for reference, found in zip(wanted, series, strict=True)
        }
    )


def events(reference: Reference, tree: AssetTree, starts: Instants, values: Array) -> Events:
    """A sensor's values, with the unit and resolution that the tree knows of."""
    sensor = tree.sensors[reference.sensor]
    return Events(sensor.unit, sensor.resolution, starts, values)


def references(trigger: Trigger) -> list[Reference]:
    """What has to be read, each once."""
    return list(dict.fromkeys(key(reference) for reference in trigger.references()))


def queries(trigger: Trigger, wanted: Sequence[Reference], tree: AssetTree, known_at: datetime) -> list[SeriesQuery]:
    """One query per reference. The end is included, for states of charge; prices may also hold from the day before."""
    holding = prices(trigger)
    return [_query(reference, trigger.window, reference in holding, tree, known_at) for reference in wanted]


def prices(trigger: Trigger) -> set[Reference]:
    """The sensors whose values hold over a gap."""
    given = (price for site in trigger.sites for price in (site.consumption_price, site.production_price))
    return {key(price) for price in given if isinstance(price, SensorReference)}


def _query(reference: Reference, window: Window, holds: bool, tree: AssetTree, known_at: datetime) -> SeriesQuery:
    resolution = tree.sensors[reference.sensor].resolution
    if isinstance(reference, StateReference):
        start, end = window.start - reference.within, window.start + reference.within
        return SeriesQuery(reference.sensor, start, end + window.resolution, resolution, known_at)
    return SeriesQuery(
        reference.sensor,
        window.start - LONGEST_HOLD if holds else window.start,
        window.end + window.resolution,
        resolution,
        known_at,
        sources=reference.sources,
        types=reference.source_types,
        excluded_types=reference.exclude_source_types,
        accounts=reference.source_account,
    )
