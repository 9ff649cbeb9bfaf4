"""Handling of messages: values of events are stored at once, readings are stored until their event is over."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain
from time import monotonic

import numpy as np
from asyncpg import ForeignKeyViolationError
from flexmodel.errors import FlexmeshError, Unavailable
from flexmodel.quantities import QuantityError, convert
from flexmodel.time import moment_of
from paho.mqtt.matcher import MQTTMatcher

from ingest.connectors.connector_kind import ListenerContext
from ingest.connectors.fetched_series import FetchedSeries, FetchError
from ingest.connectors.mqtt import repository
from ingest.connectors.mqtt.inbox import MqttMessage
from ingest.connectors.mqtt.mapping import SeriesMapping
from ingest.connectors.mqtt.payloads import MAX_CLOCK_LEAD, Readings, parse_readings
from ingest.connectors.mqtt.rejected_messages import MESSAGES, RejectedMessages
from ingest.connectors.mqtt.repository import ReadingKey
from ingest.data.units import convert_to_sensor_unit

SIGN_OF_LIFE_SECONDS = 10.0


@dataclass(slots=True)
class ParsedMessages:
    """Content of some messages."""

    used_count: int = 0
    """Number of used messages, once for each series."""
    pending: dict[tuple[ReadingKey, datetime], float] = field(default_factory=dict)
    """Readings that wait for the end of their event."""
    event_values: list[tuple[SeriesMapping, Readings]] = field(default_factory=list)
    """Values of events."""


class MessageHandler:
    """Stores the messages of one connector."""

    def __init__(self, mappings: Mapping[str, SeriesMapping], max_delay: timedelta, context: ListenerContext) -> None:
        self.context = context
        self.max_delay = max_delay
        self.rejected = RejectedMessages()
        self.adding_lock = asyncio.Lock()
        """Held while readings are added."""
        self.earliest_new: dict[ReadingKey, datetime] = {}
        """Earliest reading of each key added since it was last checked."""
        self._next_sign_of_life = 0.0
        self._matcher = MQTTMatcher()  # type: ignore[no-untyped-call]
        by_topic: dict[str, list[SeriesMapping]] = defaultdict(list)
        for mapping in mappings.values():
            by_topic[mapping.series.topic].append(mapping)
        for topic, of_topic in by_topic.items():
            self._matcher[topic] = of_topic

    def parse(self, messages: Sequence[MqttMessage]) -> ParsedMessages:
        """Parse messages. Those that cannot be used are rejected for good."""
        parsed = ParsedMessages()
        for message in messages:
            for mapping in self._matching_series(message):
                self._parse_one(message, mapping, parsed)
        return parsed

    async def store(self, parsed: ParsedMessages) -> None:
        """Store parsed messages. It can be repeated if it raises."""
        if parsed.pending:
            await self._store_readings(parsed.pending)
        if parsed.event_values:
            await self._deliver(parsed.event_values)
        MESSAGES.labels("stored").inc(parsed.used_count)
        if not parsed.event_values and monotonic() >= self._next_sign_of_life:
            await self.context.deliver([])  # records that it listens: the next event may end much later
            self._next_sign_of_life = monotonic() + SIGN_OF_LIFE_SECONDS

    def _matching_series(self, message: MqttMessage) -> Iterable[SeriesMapping]:
        matches: Iterator[list[SeriesMapping]] = self._matcher.iter_match(message.topic)  # type: ignore[no-untyped-call]
        mappings = list(chain.from_iterable(matches))
        if not mappings:
            MESSAGES.labels("unknown").inc()
        return mappings

    def _parse_one(self, message: MqttMessage, mapping: SeriesMapping, parsed: ParsedMessages) -> None:
        """Parse a message for one of its series."""
        if message.retained and mapping.series.time is None and not mapping.series.retained:
            MESSAGES.labels("retained").inc()
            return
        try:
            readings = convert_readings(mapping, parse_readings(message, mapping.series))
            if not mapping.is_event_value:
                readings = check_times(readings, datetime.now(UTC), self.max_delay)
        except FlexmeshError as error:
            self.rejected.add(mapping.name, message.topic, error.message)
            return
        parsed.used_count += 1
        if mapping.is_event_value:
            parsed.event_values.append((mapping, readings))
            return
        key, times = mapping.key, readings.times.astype("datetime64[us]").tolist()
        for time, value in zip(times, readings.values.tolist(), strict=True):
            parsed.pending[key, time.replace(tzinfo=UTC)] = value

    async def _store_readings(self, readings_by_key: Mapping[tuple[ReadingKey, datetime], float]) -> None:
        async with self.adding_lock:
            try:
                async with self.context.store.transaction() as con:
                    await repository.add_readings(con, self.context.connector_id, readings_by_key)
            except ForeignKeyViolationError:
                raise FetchError("A sensor that it fills is not there any more.") from None
            for key, time in readings_by_key:
                self.earliest_new[key] = min(time, self.earliest_new.get(key, time))

    async def _deliver(self, event_values: Sequence[tuple[SeriesMapping, Readings]]) -> None:
        now = datetime.now(UTC)
        fetched = [to_fetched_series(mapping, readings, now) for mapping, readings in merge_by_series(event_values)]
        try:
            await self.context.deliver(fetched)
        except Unavailable:
            raise
        except FlexmeshError:
            # A series that does not fit must not block the others, nor be sent again for ever.
            for series in fetched:
                await self._deliver_alone(series)

    async def _deliver_alone(self, fetched: FetchedSeries) -> None:
        try:
            await self.context.deliver([fetched])
        except Unavailable:
            raise
        except FlexmeshError as error:
            self.rejected.add(fetched.series, "", error.message)


def convert_readings(mapping: SeriesMapping, readings: Readings) -> Readings:
    """Convert readings into the unit of storage."""
    if mapping.is_event_value:
        values = convert_to_sensor_unit(readings.values, readings.unit, mapping.unit, mapping.sensor.resolution)
    else:
        try:
            values = convert(readings.values, readings.unit, mapping.unit)
        except QuantityError as error:
            raise FetchError(str(error)) from error
    return Readings(readings.times, values, mapping.unit)


def check_times(readings: Readings, now: datetime, max_delay: timedelta) -> Readings:
    """Refuse readings with impossible times."""
    first, last = moment_of(readings.times.min()), moment_of(readings.times.max())
    if first < now - max_delay:
        raise FetchError(f"It was read at {first.isoformat()}, which is longer ago than readings may come late.")
    if last > now + MAX_CLOCK_LEAD:
        raise FetchError(f"It says it was read at {last.isoformat()}, which is in the future.")
    return readings


def merge_by_series(event_values: Sequence[tuple[SeriesMapping, Readings]]) -> Iterable[tuple[SeriesMapping, Readings]]:
    """Yield the readings of each series together. Of several at one time, the last counts."""
    by_series: dict[str, list[tuple[SeriesMapping, Readings]]] = defaultdict(list)
    for mapping, readings in event_values:
        by_series[mapping.name].append((mapping, readings))
    for mappings in by_series.values():
        mapping = mappings[0][0]
        times = mapping.event_starts_of(np.concatenate([readings.times for _, readings in mappings]))
        values = np.concatenate([readings.values for _, readings in mappings])
        unique, back = np.unique(times[::-1], return_index=True)
        yield mapping, Readings(unique, values[::-1][back], mapping.unit)


def to_fetched_series(mapping: SeriesMapping, readings: Readings, now: datetime) -> FetchedSeries:
    resolution = mapping.sensor.resolution or None
    return FetchedSeries(mapping.name, readings.times, readings.values, readings.unit, now, resolution)
