"""What becomes of messages: values of whole events are stored at once, readings are kept until their event is over."""

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

from ingest.connectors.fetched import Fetched, NotFetched
from ingest.connectors.kinds import Listening
from ingest.connectors.mqtt import repository
from ingest.connectors.mqtt.complaints import MESSAGES, Complaints
from ingest.connectors.mqtt.inbox import Message
from ingest.connectors.mqtt.mapping import Mapped
from ingest.connectors.mqtt.payloads import AHEAD, Readings, read
from ingest.connectors.mqtt.repository import Key
from ingest.data.units import in_unit

SHOWN_SECONDS = 10.0


@dataclass(slots=True)
class Sorted:
    """What is in some messages."""

    count: int = 0
    """Of those that are of use, once for each series."""
    kept: dict[tuple[Key, datetime], float] = field(default_factory=dict)
    """Readings that wait for the end of their event."""
    whole: list[tuple[Mapped, Readings]] = field(default_factory=list)
    """Values of whole events."""


class Intake:
    """Stores messages of one connector."""

    def __init__(self, mapped: Mapping[str, Mapped], late: timedelta, listening: Listening) -> None:
        self.listening = listening
        self.late = late
        self.complaints = Complaints()
        self.adding = asyncio.Lock()
        """Held while readings are added."""
        self.came: dict[Key, datetime] = {}
        """The earliest reading of each that was added since somebody looked."""
        self._shown_until = 0.0
        self._matching = MQTTMatcher()  # type: ignore[no-untyped-call]
        by_topic: dict[str, list[Mapped]] = defaultdict(list)
        for each in mapped.values():
            by_topic[each.series.topic].append(each)
        for topic, those in by_topic.items():
            self._matching[topic] = those

    def sort(self, messages: Sequence[Message]) -> Sorted:
        """What is of use in messages; the rest is refused for good."""
        found = Sorted()
        for message in messages:
            for mapped in self._meant(message):
                self._sort(message, mapped, found)
        return found

    async def store(self, found: Sorted) -> None:
        """When this returns, all of it is stored. If it raises, it may be done again."""
        if found.kept:
            await self._keep(found.kept)
        if found.whole:
            await self._deliver(found.whole)
        MESSAGES.labels("stored").inc(found.count)
        if not found.whole and monotonic() >= self._shown_until:
            await self.listening.deliver([])  # a sign of life: it may be long until the next event is over
            self._shown_until = monotonic() + SHOWN_SECONDS

    def _meant(self, message: Message) -> Iterable[Mapped]:
        matches: Iterator[list[Mapped]] = self._matching.iter_match(message.topic)  # type: ignore[no-untyped-call]
        found = list(chain.from_iterable(matches))
        if not found:
            MESSAGES.labels("unknown").inc()
        return found

    def _sort(self, message: Message, mapped: Mapped, found: Sorted) -> None:
        """Read a message for a series of which it is one."""
        if message.retained and mapped.series.time is None and not mapped.series.retained:
            MESSAGES.labels("retained").inc()
            return
        try:
            readings = in_unit_of(mapped, read(message, mapped.series))
            if not mapped.is_whole:
                readings = in_time(readings, datetime.now(UTC), self.late)
        except FlexmeshError as error:
            self.complaints.add(mapped.name, message.topic, error.message)
            return
        found.count += 1
        if mapped.is_whole:
            found.whole.append((mapped, readings))
            return
        key, times = mapped.key, readings.times.astype("datetime64[us]").tolist()
        for at, value in zip(times, readings.values.tolist(), strict=True):
            found.kept[key, at.replace(tzinfo=UTC)] = value

    async def _keep(self, kept: Mapping[tuple[Key, datetime], float]) -> None:
        async with self.adding:
            try:
                async with self.listening.store.transaction() as con:
                    await repository.add(con, self.listening.connector, kept)
            except ForeignKeyViolationError:
                raise NotFetched("A sensor that it fills is not there any more.") from None
            for key, at in kept:
                self.came[key] = min(at, self.came.get(key, at))

    async def _deliver(self, whole: Sequence[tuple[Mapped, Readings]]) -> None:
        now = datetime.now(UTC)
        fetched = [fetched_of(mapped, readings, now) for mapped, readings in joined(whole)]
        try:
            await self.listening.deliver(fetched)
        except Unavailable:
            raise
        except FlexmeshError:
            # One that does not fit must not keep the others out, nor come back for ever.
            for each in fetched:
                await self._deliver_alone(each)

    async def _deliver_alone(self, fetched: Fetched) -> None:
        try:
            await self.listening.deliver([fetched])
        except Unavailable:
            raise
        except FlexmeshError as error:
            self.complaints.add(fetched.series, "", error.message)


def in_unit_of(mapped: Mapped, readings: Readings) -> Readings:
    """The readings in the unit in which they are kept or stored."""
    if mapped.is_whole:
        values = in_unit(readings.values, readings.unit, mapped.unit, mapped.sensor.resolution)
    else:
        try:
            values = convert(readings.values, readings.unit, mapped.unit)
        except QuantityError as error:
            raise NotFetched(str(error)) from error
    return Readings(readings.times, values, mapped.unit)


def in_time(readings: Readings, now: datetime, late: timedelta) -> Readings:
    """The readings, if their times are possible."""
    first, last = moment_of(readings.times.min()), moment_of(readings.times.max())
    if first < now - late:
        raise NotFetched(f"It was read at {first.isoformat()}, which is longer ago than readings may come late.")
    if last > now + AHEAD:
        raise NotFetched(f"It says it was read at {last.isoformat()}, which is in the future.")
    return readings


def joined(whole: Sequence[tuple[Mapped, Readings]]) -> Iterable[tuple[Mapped, Readings]]:
    """The readings of each series together, each time once: the last of several counts."""
    by_series: dict[str, list[tuple[Mapped, Readings]]] = defaultdict(list)
    for mapped, readings in whole:
        by_series[mapped.name].append((mapped, readings))
    for those in by_series.values():
        mapped = those[0][0]
        times = mapped.starts(np.concatenate([readings.times for _, readings in those]))
        values = np.concatenate([readings.values for _, readings in those])
        unique, back = np.unique(times[::-1], return_index=True)
        yield mapped, Readings(unique, values[::-1][back], mapped.unit)


def fetched_of(mapped: Mapped, readings: Readings, now: datetime) -> Fetched:
    resolution = mapped.sensor.resolution or None
    return Fetched(mapped.name, readings.times, readings.values, readings.unit, now, resolution)
