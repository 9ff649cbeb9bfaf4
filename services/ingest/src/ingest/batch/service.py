"""Storage of posted batches: all items, or with `partial` those without errors."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from flexmodel.errors import Invalid
from flexmodel.time import Instants
from flexstore.series import LARGEST_VALUE, BeliefBatch, WriteCounts
from flexstore.store import Store
from numpy.typing import NDArray

from ingest.batch.schemas import Batch, ItemErrors, ItemGroup, too_many_events
from ingest.belief_writer import BeliefWriter
from ingest.data import resampling
from ingest.data.repository import Sensor, UserSources, load_sensors
from ingest.data.schemas import SeriesPost
from ingest.data.service import build_events, check_message_type, window_length

SINGLE_VALUE = (0.5,)
"""Cumulative probability of a single value."""


@dataclass(frozen=True, slots=True)
class BeliefRows:
    """Beliefs as columns, with the position of the item of each."""

    position: NDArray[np.int64]
    sensor: NDArray[np.int64]
    start: Instants
    belief_time: Instants
    probability: NDArray[np.float64]
    spread: NDArray[np.bool_]
    """True for a value that is one of several of its event."""
    value: resampling.Values

    def __getitem__(self, index: NDArray[np.bool_] | NDArray[np.intp]) -> "BeliefRows":
        return BeliefRows(*(getattr(self, name)[index] for name in self.__slots__))

    def without_items(self, positions: Iterable[int]) -> "BeliefRows":
        """Return the rows of all other items."""
        excluded = np.fromiter(positions, np.int64)
        return self[~np.isin(self.position, excluded)] if len(excluded) else self

    def to_batch(self, source: int) -> BeliefBatch:
        """Return the beliefs for writing, all of one source."""
        return BeliefBatch(self.sensor, self.start, self.belief_time, self.value, source, self.probability)


class BatchHandler:
    """Stores batches."""

    def __init__(self, store: Store, writer: BeliefWriter, sources: UserSources, max_events: int) -> None:
        self.store = store
        self.writer = writer
        self.sources = sources
        self.max_events = max_events

    async def store_batch(self, user_id: int, batch: Batch, *, partial: bool) -> tuple[WriteCounts, ItemErrors]:
        """Store a batch. Returns the counts, and with `partial` the errors of the items that were not stored.

        Raises:
            Invalid: An item has errors and `partial` is false, or all items have errors.
        """
        errors = dict(batch.errors)
        async with self.store.connection() as con:
            sensors = await load_sensors(con, {sensor for group in batch.groups for sensor in group.sensors})
            source = await self.sources.load_source_id(con, user_id)
            rows = build_rows(batch.groups, sensors, self.max_events, errors)
            if errors and (not partial or len(errors) == batch.item_count):
                raise Invalid({str(number): errors[number] for number in sorted(errors)})
            parts = [(sensors_of(part, sensors), part.to_batch(source)) for part in split_for_writing(rows, sensors)]
            return await self.writer.write_together(con, parts), errors


def build_rows(
    groups: list[ItemGroup], sensors: Mapping[int, Sensor], max_events: int, errors: ItemErrors
) -> BeliefRows:
    """Build the beliefs of all items without errors. The errors of the others are added to `errors`."""
    now = datetime.now(UTC)
    groups_by_type = [each for group in groups for each in group_by_sensor_type(group, sensors, errors)]
    check_event_count(groups_by_type, max_events)
    parts = [NO_ROWS]
    for sensor_type, group in groups_by_type:
        try:
            parts.append(build_group_rows(group, sensor_type, now, max_events))
        except Invalid as invalid:
            errors |= {number: dict(invalid.fields) for number in group.positions}
    rows = BeliefRows(*(np.concatenate(column) for column in zip(*map(columns_of, parts), strict=True)))
    too_large = rows[np.abs(rows.value) > LARGEST_VALUE]
    for number, sensor in zip(too_large.position.tolist(), too_large.sensor.tolist(), strict=True):
        errors[number] = {"values": [f"Too large a number in {sensors[sensor].unit}, the unit of the sensor."]}
    rows = rows.without_items(errors)
    errors |= duplicate_errors(rows)
    return rows.without_items(errors)


def columns_of(rows: BeliefRows) -> list[NDArray[np.generic]]:
    """Return the columns in the order of the fields."""
    return [getattr(rows, name) for name in rows.__slots__]


NO_ROWS = BeliefRows(*(np.empty(0, dtype) for dtype in ("i8", "i8", "M8[us]", "M8[us]", "f8", "?", "f8")))


def group_by_sensor_type(
    group: ItemGroup, sensors: Mapping[int, Sensor], errors: ItemErrors
) -> Iterator[tuple[Sensor, ItemGroup]]:
    """Yield the items whose sensors have the same unit, resolution and time zone, with one of these sensors."""
    indices: dict[tuple[str, timedelta, str], list[int]] = {}
    for index, (number, id) in enumerate(zip(group.positions, group.sensors, strict=True)):
        sensor = sensors.get(id)
        if sensor is None:
            errors[number] = {"sensor": [f"Sensor {id} not found"]}
        else:
            indices.setdefault((sensor.unit, sensor.resolution, sensor.timezone), []).append(index)
    for part in indices.values():
        yield sensors[group.sensors[part[0]]], group.subset(part)


def check_event_count(groups: list[tuple[Sensor, ItemGroup]], max_events: int) -> None:
    """Refuse a batch that is small as text but large as beliefs."""
    total = 0
    for sensor, group in groups:
        items, probabilities, count = group.values.shape
        try:
            slots = window_length(group.header) // sensor.resolution if sensor.resolution else count
        except Invalid:  # reported when the rows are built
            continue
        total += items * probabilities * slots
    if total > max_events:
        raise too_many_events(total, max_events)


def build_group_rows(group: ItemGroup, sensor: Sensor, now: datetime, max_events: int) -> BeliefRows:
    """Build the beliefs of all items as if each had been posted to this sensor."""
    header, (items, probabilities, count) = group.header, group.values.shape
    fields = {name: getattr(header, name) for name in type(header).model_fields if name != "probabilities"}
    cumulative = header.probabilities or SINGLE_VALUE
    events = build_events(SeriesPost.model_construct(**fields, values=group.values), sensor, max_events)
    slots = events.values.shape[-1]
    if slots < count and probabilities > 1:
        raise Invalid({"values": [f"Spreads cannot be averaged: send them in steps of {sensor.resolution}."]})
    belief_times = resampling.compute_belief_times(
        events.starts, sensor.resolution, prior=header.prior, horizon=header.horizon, now=now
    )
    check_message_type(header, events.starts + np.timedelta64(sensor.resolution), belief_times)
    shape = (items, probabilities, slots)
    rows = BeliefRows(
        position=np.repeat(np.array(group.positions), probabilities * slots),
        sensor=np.repeat(np.array(group.sensors), probabilities * slots),
        start=np.broadcast_to(events.starts, shape).reshape(-1),
        belief_time=np.broadcast_to(belief_times, shape).reshape(-1),
        probability=np.broadcast_to(np.array(cumulative)[:, None], shape).reshape(-1),
        spread=np.full(items * probabilities * slots, cumulative != SINGLE_VALUE),
        value=events.values.reshape(-1),
    )
    return rows[~np.isnan(rows.value)]


def duplicate_errors(rows: BeliefRows) -> ItemErrors:
    """Return the errors of items that repeat an event and belief time of an earlier item of the same sensor."""
    rows = rows[np.lexsort([rows.position, rows.belief_time, rows.start, rows.sensor])]
    is_new = np.ones(len(rows.position), np.bool_)
    is_new[1:] = np.any([column[1:] != column[:-1] for column in (rows.sensor, rows.start, rows.belief_time)], axis=0)
    first = rows.position[np.flatnonzero(is_new)[np.cumsum(is_new) - 1]]
    repeated = rows.position != first
    return {
        number: {"sensor": [f"Item {earlier} tells of the same events of this sensor."]}
        for number, earlier in zip(rows.position[repeated].tolist(), first[repeated].tolist(), strict=True)
    }


def split_for_writing(rows: BeliefRows, sensors: Mapping[int, Sensor]) -> Iterator[BeliefRows]:
    """Split the rows by account, and single values from several values per event."""
    ids = np.unique(rows.sensor)
    accounts = np.array([sensors[id].account or 0 for id in ids.tolist()])[np.searchsorted(ids, rows.sensor)]
    for account in np.unique(accounts).tolist():
        for spread in (False, True):
            part = rows[(accounts == account) & (rows.spread == spread)]
            if len(part.position):
                yield part


def sensors_of(rows: BeliefRows, sensors: Mapping[int, Sensor]) -> list[Sensor]:
    """Return the sensors that occur in the rows."""
    return [sensors[id] for id in np.unique(rows.sensor).tolist()]
