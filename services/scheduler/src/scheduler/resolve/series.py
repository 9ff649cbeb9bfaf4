"""Series of stored values that a trigger refers to, loaded in one query, before conversion and resampling."""

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
    """A sensor's values over some period, sorted by start, in the sensor's unit. Resolution zero: instantaneous."""

    unit: str
    resolution: timedelta
    starts: Instants
    values: Array


@dataclass(frozen=True, slots=True)
class InitialState:
    """A state of charge, and the moment of it."""

    at: datetime
    energy: float
    """[MWh]"""


class UnknownStateError(FlexmeshError):
    """No recent state of charge is known."""


@dataclass(frozen=True, slots=True)
class LoadedSeries:
    """All series of one schedule."""

    by_reference: Mapping[Reference, SensorSeries]

    def of(self, reference: Reference) -> SensorSeries:
        return self.by_reference[series_key(reference)]


def series_key(reference: Reference) -> Reference:
    """Return a reference without its default, which plays no role in loading."""
    return replace(reference, default=None) if isinstance(reference, SensorReference) else reference


async def load_referenced_series(con: Connection, trigger: Trigger, tree: AssetTree, now: datetime) -> LoadedSeries:
    """Load all series as they were known at the trigger's `prior`, or now."""
    references = series_references(trigger)
    series = await load_series(con, series_queries(trigger, references, tree, trigger.prior or now))
    return LoadedSeries(
        {
            reference: sensor_series(reference, tree, values.event_start, values.values)
            for reference, values in zip(references, series, strict=True)
        }
    )


def sensor_series(reference: Reference, tree: AssetTree, starts: Instants, values: Array) -> SensorSeries:
    """Return a sensor's values with its unit and resolution."""
    sensor = tree.sensors[reference.sensor]
    return SensorSeries(sensor.unit, sensor.resolution, starts, values)


def series_references(trigger: Trigger) -> list[Reference]:
    """Return the references whose values must be loaded, each once."""
    return list(dict.fromkeys(series_key(reference) for reference in trigger.references()))


def series_queries(
    trigger: Trigger, references: Sequence[Reference], tree: AssetTree, known_at: datetime
) -> list[SeriesQuery]:
    """Return one query per reference. It includes the end, for states of charge, and the day before, for prices."""
    held = price_references(trigger)
    return [_query(reference, trigger.window, reference in held, tree, known_at) for reference in references]


def price_references(trigger: Trigger) -> set[Reference]:
    """Return the sensors whose values hold over a gap."""
    prices = (price for site in trigger.sites for price in (site.consumption_price, site.production_price))
    return {series_key(price) for price in prices if isinstance(price, SensorReference)}


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
