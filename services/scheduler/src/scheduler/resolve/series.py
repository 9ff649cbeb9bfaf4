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
class SensorSeries:
    """A sensor's events over some period, sorted by start, in the sensor's unit. Resolution zero: instantaneous."""

    unit: str
    resolution: timedelta
    starts: Instants
    values: Array


@dataclass(frozen=True, slots=True)
class InitialState:
    """A state of charge, and when it was that."""

    at: datetime
    energy: float
    """MWh"""


class UnknownStateError(FlexmeshError):
    """No recent state of charge is known."""


@dataclass(frozen=True, slots=True)
class LoadedSeries:
    """Everything that was read for one schedule."""

    by_reference: Mapping[Reference, SensorSeries]

    def of(self, reference: Reference) -> SensorSeries:
        return self.by_reference[series_key(reference)]


def series_key(reference: Reference) -> Reference:
    """What has to be read for a reference: its default plays no role in that."""
    return replace(reference, default=None) if isinstance(reference, SensorReference) else reference


async def load_referenced_series(con: Connection, trigger: Trigger, tree: AssetTree, now: datetime) -> LoadedSeries:
    """Everything as it was known at the trigger's `prior`, or now."""
    wanted = series_references(trigger)
    series = await load_series(con, series_queries(trigger, wanted, tree, trigger.prior or now))
    return LoadedSeries(
        {
            reference: sensor_series(reference, tree, found.event_start, found.values)
            for reference, found in zip(wanted, series, strict=True)
        }
    )


def sensor_series(reference: Reference, tree: AssetTree, starts: Instants, values: Array) -> SensorSeries:
    """A sensor's values, with the unit and resolution that the tree knows of."""
    sensor = tree.sensors[reference.sensor]
    return SensorSeries(sensor.unit, sensor.resolution, starts, values)


def series_references(trigger: Trigger) -> list[Reference]:
    """What has to be read, each once."""
    return list(dict.fromkeys(series_key(reference) for reference in trigger.references()))


def series_queries(
    trigger: Trigger, wanted: Sequence[Reference], tree: AssetTree, known_at: datetime
) -> list[SeriesQuery]:
    """One query per reference. The end is included, for states of charge; prices may also hold from the day before."""
    holding = price_references(trigger)
    return [_query(reference, trigger.window, reference in holding, tree, known_at) for reference in wanted]


def price_references(trigger: Trigger) -> set[Reference]:
    """The sensors whose values hold over a gap."""
    given = (price for context in trigger.sites for price in (context.consumption_price, context.production_price))
    return {series_key(price) for price in given if isinstance(price, SensorReference)}


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
