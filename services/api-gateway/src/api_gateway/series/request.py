"""Validated requests for series: the window, and of each sensor the steps, the unit and the filter of beliefs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo

from flexcore.permissions.resources import ResourceRow
from flexcore.sources.repository import find_existing
from flexmodel.errors import Invalid
from flexmodel.quantities import QuantityError, convert, is_valid_unit
from flexmodel.time import zone
from flexstore.series import SeriesQuery as StoreQuery
from flexstore.store import Connection

from api_gateway.data.window import end_of, fixed, length_of, positive
from api_gateway.series.schemas import Presentation, SeriesQuery

STEP_HOLDS = 200_000
"""The most events of a sensor in one step."""


@dataclass(frozen=True, slots=True)
class SensorSelection:
    """A sensor of the request, with the unit and the steps of its values."""

    row: ResourceRow
    unit: str
    step: timedelta | None
    """The length of the steps; None: each event at its own time."""
    query: StoreQuery
    """The query for all its beliefs. Long series are loaded by parts of it."""

    @property
    def id(self) -> int:
        return self.row.id

    @property
    def own(self) -> timedelta:
        return self.row.event_resolution

    @property
    def steps(self) -> int:
        return (self.query.end - self.query.start) // self.step if self.step else 0

    def part(self, start: datetime, end: datetime) -> StoreQuery:
        return replace(self.query, start=start, end=end)


@dataclass(frozen=True, slots=True)
class SeriesRequest:
    """A validated request for the series of one or several sensors."""

    selections: list[SensorSelection]
    start: datetime
    end: datetime
    zone: tzinfo
    zone_name: str
    beliefs: str | None
    several: bool


def parse_request(
    rows: Sequence[ResourceRow], query: SeriesQuery, *, several: bool, table: bool, most_values: int
) -> SeriesRequest:
    """Validate the query parameters. Tables have rows only for known events. Raises `Invalid` by parameter."""
    start, end = window_of(query)
    step = None if query.resolution is None else positive(fixed(query.resolution, "resolution"), "resolution")
    if step and query.beliefs:
        raise Invalid({"resolution": ["Beliefs are told as they are, each in the resolution of its sensor."]})
    selections = []
    for row in rows:
        told = step_of(row, step, table) if query.beliefs is None else None
        check_unit(row, query.unit, told or row.event_resolution)
        # The last step may end after the window.
        until = end_of(start, -(-(end - start) // told) * told, "resolution") if told else end
        selections.append(SensorSelection(row, query.unit or row.unit, told, store_query(row, query, start, until)))
    total = sum(one.steps for one in selections)
    if total > most_values:
        raise Invalid({"duration": [f"This asks for {total} values. At most {most_values} can be read at once."]})
    name = zone_of(rows, query)
    return SeriesRequest(selections, start, end, zone(name), name, query.beliefs, several)


def window_of(query: SeriesQuery) -> tuple[datetime, datetime]:
    if (query.duration is None) == (query.end is None):
        raise Invalid({"duration": ["Give either a duration or an end."]})
    if query.duration is not None:
        return query.start, end_of(query.start, length_of(query.duration, query.start, "duration"), "duration")
    assert query.end is not None
    if query.end < query.start:
        raise Invalid({"end": ["Must not be before the start."]})
    return query.start, end_of(query.start, query.end - query.start, "end")


def step_of(row: ResourceRow, step: timedelta | None, table: bool) -> timedelta | None:
    own = row.event_resolution
    if own and step and step // own > STEP_HOLDS:
        raise Invalid({"resolution": [f"Sensor {row.id} has too many events in such a step: choose a shorter one."]})
    if table and step == own:
        return None
    return step or (None if table else own) or None


def check_unit(row: ResourceRow, unit: str | None, step: timedelta) -> None:
    try:
        if unit is None:
            return
        if not is_valid_unit(unit):
            raise QuantityError(f"Unit '{unit}' cannot be handled.")
        convert([], row.unit, unit, step)
    except QuantityError as error:
        sentence = f"The '{row.unit}' of sensor {row.id} cannot be converted to '{unit}'."
        raise Invalid({"unit": [sentence]}) from error


def store_query(row: ResourceRow, query: SeriesQuery, start: datetime, end: datetime) -> StoreQuery:
    return StoreQuery(
        sensor_id=row.id,
        start=start,
        end=end,
        resolution=row.event_resolution,
        prior=query.prior,
        horizon=None if query.horizon is None else fixed(query.horizon, "horizon"),
        sources=query.source or None,
        types=query.source_type or None,
        accounts=query.source_account or None,
    )


def zone_of(rows: Sequence[ResourceRow], query: Presentation) -> str:
    zones = {row.timezone for row in rows}
    return query.timezone or (zones.pop() if len(zones) == 1 else "UTC")


async def check_sources(con: Connection, query: SeriesQuery) -> None:
    """Raise `Invalid` for unknown sources and accounts."""
    if not (query.source or query.source_account):
        return
    sources, accounts = await find_existing(con, query.source, query.source_account)
    wrong = {
        "source": [f"No data source found with id {id}." for id in query.source if id not in sources],
        "source-account": [f"No account found with id {id}." for id in query.source_account if id not in accounts],
    }
    if any(wrong.values()):
        raise Invalid({name: sentences for name, sentences in wrong.items() if sentences})
