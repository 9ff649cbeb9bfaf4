"""Posted items to stored beliefs: all of them, or none, or those that can be."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from flexmodel.errors import Invalid
from flexmodel.time import Instants
from flexstore.series import LARGEST_VALUE, BeliefBatch, WriteCounts
from flexstore.store import Store
from numpy.typing import NDArray

from ingest.batch.schemas import Alike, Batch, Problems, too_much
from ingest.data import rules
from ingest.data.repository import Sensor, UserSources, find_sensors
from ingest.data.schemas import Post
from ingest.data.service import check_type, events_of, window
from ingest.storing import Storage

ONE_VALUE = (0.5,)
"""The probability of a value that is not one of a spread."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Beliefs with the position of the item that each came from."""

    number: NDArray[np.int64]
    sensor: NDArray[np.int64]
    start: Instants
    believed: Instants
    probability: NDArray[np.float64]
    spread: NDArray[np.bool_]
    """Whether the value is one of several of the event."""
    value: rules.Values

    def __getitem__(self, which: Any) -> "Rows":
        return Rows(*(getattr(self, name)[which] for name in self.__slots__))

    def without(self, numbers: Iterable[int]) -> "Rows":
        """The rows of the other items."""
        left_out = np.fromiter(numbers, np.int64)
        return self[~np.isin(self.number, left_out)] if len(left_out) else self

    def beliefs(self, source: int) -> BeliefBatch:
        return BeliefBatch(self.sensor, self.start, self.believed, self.value, source, self.probability)


class Batching:
    """Takes batches. When it returns, the values are stored."""

    def __init__(self, store: Store, storage: Storage, sources: UserSources, max_events: int) -> None:
        self.store = store
        self.storage = storage
        self.sources = sources
        self.max_events = max_events

    async def take(self, user_id: int, batch: Batch, *, partial: bool) -> tuple[WriteCounts, Problems]:
        """What was stored; and why not, of items that could not be, where the others are wanted all the same."""
        problems = dict(batch.problems)
        async with self.store.connection() as con:
            sensors = await find_sensors(con, {sensor for group in batch.groups for sensor in group.sensors})
            source = await self.sources.of(con, user_id)
            rows = rows_of(batch.groups, sensors, self.max_events, problems)
            if problems and (not partial or len(problems) == batch.items):
                raise Invalid({str(number): problems[number] for number in sorted(problems)})
            parts = [(sensors_in(part, sensors), part.beliefs(source)) for part in parts_of(rows, sensors)]
            return await self.storage.store_together(con, parts), problems


def rows_of(groups: list[Alike], sensors: Mapping[int, Sensor], max_events: int, problems: Problems) -> Rows:
    """The beliefs of all items with which nothing is wrong; the others are added to the problems."""
    now = datetime.now(UTC)
    alike = [(kind, part) for group in groups for kind, part in by_kind(group, sensors, problems)]
    check_size(alike, max_events)
    found = [NOTHING]
    for kind, group in alike:
        try:
            found.append(beliefs_of(group, kind, now, max_events))
        except Invalid as invalid:
            problems |= {number: dict(invalid.fields) for number in group.numbers}
    rows = Rows(*(np.concatenate(parts) for parts in zip(*map(columns, found), strict=True)))
    too_large = rows[np.abs(rows.value) > LARGEST_VALUE]
    for number, sensor in zip(too_large.number.tolist(), too_large.sensor.tolist(), strict=True):
        problems[number] = {"values": [f"Too large a number in {sensors[sensor].unit}, the unit of the sensor."]}
    rows = rows.without(problems)
    problems |= contradictions(rows)
    return rows.without(problems)


def columns(rows: Rows) -> list[Any]:
    return [getattr(rows, name) for name in rows.__slots__]


NOTHING = Rows(*(np.empty(0, kind) for kind in ("i8", "i8", "M8[us]", "M8[us]", "f8", "?", "f8")))


def by_kind(group: Alike, sensors: Mapping[int, Sensor], problems: Problems) -> Iterator[tuple[Sensor, Alike]]:
    """The items whose sensors have the same unit, resolution and clock, with one of these sensors."""
    places: dict[tuple[Any, ...], list[int]] = {}
    for place, (number, id) in enumerate(zip(group.numbers, group.sensors, strict=True)):
        sensor = sensors.get(id)
        if sensor is None:
            problems[number] = {"sensor": [f"Sensor {id} not found"]}
        else:
            places.setdefault((sensor.unit, sensor.resolution, sensor.timezone), []).append(place)
    for alike in places.values():
        yield sensors[group.sensors[alike[0]]], group.part(alike)


def check_size(alike: list[tuple[Sensor, Alike]], max_events: int) -> None:
    """Refuse a batch that is small as text but large as beliefs."""
    total = 0
    for sensor, group in alike:
        items, probabilities, count = group.values.shape
        try:
            slots = window(group.head) // sensor.resolution if sensor.resolution else count
        except Invalid:  # named when the group is read
            continue
        total += items * probabilities * slots
    if total > max_events:
        raise too_much(total, max_events)


def beliefs_of(group: Alike, sensor: Sensor, now: datetime, max_events: int) -> Rows:
    """The known events of all items, as if each had been posted to this sensor."""
    head, (items, probabilities, count) = group.head, group.values.shape
    said = {name: getattr(head, name) for name in type(head).model_fields if name != "probabilities"}
    chances = head.probabilities or ONE_VALUE
    events = events_of(Post.model_construct(**said, values=group.values), sensor, max_events)
    slots = events.values.shape[-1]
    if slots < count and probabilities > 1:
        raise Invalid({"values": [f"Spreads cannot be averaged: send them in steps of {sensor.resolution}."]})
    believed = rules.belief_times(events.starts, sensor.resolution, prior=head.prior, horizon=head.horizon, now=now)
    check_type(head, events.starts + np.timedelta64(sensor.resolution), believed)
    shape = (items, probabilities, slots)
    rows = Rows(
        number=np.repeat(np.array(group.numbers), probabilities * slots),
        sensor=np.repeat(np.array(group.sensors), probabilities * slots),
        start=np.broadcast_to(events.starts, shape).reshape(-1),
        believed=np.broadcast_to(believed, shape).reshape(-1),
        probability=np.broadcast_to(np.array(chances)[:, None], shape).reshape(-1),
        spread=np.full(items * probabilities * slots, chances != ONE_VALUE),
        value=events.values.reshape(-1),
    )
    return rows[~np.isnan(rows.value)]


def contradictions(rows: Rows) -> Problems:
    """An event of a sensor may be told once per time of belief; whoever tells it again has a problem."""
    rows = rows[np.lexsort([rows.number, rows.believed, rows.start, rows.sensor])]
    another = np.ones(len(rows.number), np.bool_)
    another[1:] = np.any([column[1:] != column[:-1] for column in (rows.sensor, rows.start, rows.believed)], axis=0)
    first = rows.number[np.flatnonzero(another)[np.cumsum(another) - 1]]
    again = rows.number != first
    return {
        number: {"sensor": [f"Item {earlier} tells of the same events of this sensor."]}
        for number, earlier in zip(rows.number[again].tolist(), first[again].tolist(), strict=True)
    }


def parts_of(rows: Rows, sensors: Mapping[int, Sensor]) -> Iterator[Rows]:
    """What is stored together: the values of one account, and apart from these its spreads."""
    ids = np.unique(rows.sensor)
    accounts = np.array([sensors[id].account or 0 for id in ids.tolist()])[np.searchsorted(ids, rows.sensor)]
    for account in np.unique(accounts).tolist():
        for spread in (False, True):
            part = rows[(accounts == account) & (rows.spread == spread)]
            if len(part.number):
                yield part


def sensors_in(rows: Rows, sensors: Mapping[int, Sensor]) -> list[Sensor]:
    return [sensors[id] for id in np.unique(rows.sensor).tolist()]
