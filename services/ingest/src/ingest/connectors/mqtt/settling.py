"""Events that are over are worked out from their readings, again when a reading comes late."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import numpy as np
from flexmodel.errors import FlexmeshError, Unavailable
from flexmodel.time import Instants, moment_of
from flexserve import logs

from ingest.connectors.fetched import Fetched
from ingest.connectors.mqtt import repository
from ingest.connectors.mqtt.events import ticks, values_of
from ingest.connectors.mqtt.intake import Intake
from ingest.connectors.mqtt.mapping import Mapped
from ingest.connectors.mqtt.repository import Due
from ingest.data.rules import MICROSECOND, Values

log = logs.get(__name__)

PATIENCE = timedelta(seconds=5)
"""After the end of an event, for readings that are on their way."""
AGAIN = timedelta(minutes=1)
"""Until it is tried again to make events that could not be made."""
LOOKS = 20
"""How often to look, while an event lasts, for the reading of a counter that ends it."""


class Settling:
    """Makes events of the readings that an intake has kept, and forgets them when they have become too old."""

    def __init__(self, mapped: Mapping[str, Mapped], intake: Intake) -> None:
        self.intake = intake
        self.listening = intake.listening
        self._mapped = {each.key: each for each in mapped.values() if not each.is_whole}
        self._next: dict[Due, datetime] = {}
        """When there is something to do for what is due, as far as is known."""

    async def settle(self, now: datetime) -> None:
        """Deliver all events that are over by now."""
        async with self.listening.store.connection() as con:
            all_due = await repository.due(con, self.listening.connector)
        self._next = {due: self._next[due] for due in all_due if due in self._next}
        for due in all_due:
            if now < self._next.get(due, now):
                continue
            try:
                await self._make(due, now)
            except Unavailable:
                raise
            except FlexmeshError as error:  # which must not keep the other sensors waiting
                log.warning("readings cannot become events", sensor=due.key.sensor, reason=error.message)
                self._next[due] = now + AGAIN

    async def _make(self, due: Due, now: datetime) -> None:
        if due.key in self._mapped:
            await self._settle(self._mapped[due.key], due, now)
        else:
            async with self.listening.store.transaction() as con:
                await repository.drop(con, self.listening.connector, due.key)

    async def _settle(self, mapped: Mapped, due: Due, now: datetime) -> None:
        self.intake.came.pop(due.key, None)
        bounds, values = await self._events(mapped, due, now)
        until = moment_of(bounds[-1])
        if until <= due.since:
            return
        if not np.isnan(values).all():
            resolution = mapped.sensor.resolution
            await self.listening.deliver([Fetched(mapped.name, bounds[:-1], values, mapped.unit, now, resolution)])
        async with self.intake.adding, self.listening.store.transaction() as con:
            if self.intake.came.get(due.key, until) < until:
                self._next.pop(due)
                return  # a reading came for an event that has just been made
            await repository.advance(con, self.listening.connector, due, until)
            await repository.forget(con, self.listening.connector, due.key, self._horizon(mapped, until, now))

    async def _events(self, mapped: Mapped, due: Due, now: datetime) -> tuple[Instants, Values]:
        """The bounds and values of the events that are over, from the first that new readings have a bearing on.

        That is the event of the reading before them: a counter has counted since then.
        """
        resolution, zone, gap = mapped.sensor.resolution, mapped.sensor.zone, mapped.series.longest_gap
        key, connector = due.key, self.listening.connector
        async with self.listening.store.connection() as con:
            before = await repository.last_before(con, connector, key, due.since, gap)
            start = (before or due.since) - MICROSECOND
            first = moment_of(ticks(start, start, resolution, zone)[0])
            times, readings = await repository.load(
                con, connector, key, await repository.last_before(con, connector, key, first, gap) or first
            )
        over = now - PATIENCE
        if mapped.series.meaning == "counter" and len(times):
            over = min(over, moment_of(times[-1]))
        *bounds, following = ticks(first, max(first, over) + MICROSECOND, resolution, zone)
        following_over = moment_of(following) + PATIENCE
        self._next[due] = following_over if following_over > now else now + resolution / LOOKS
        found = np.array(bounds)
        return found, values_of(mapped.series.meaning, found, times, readings, gap)

    def _horizon(self, mapped: Mapped, until: datetime, now: datetime) -> datetime:
        """Before that, no reading has a bearing on an event that is still to be made, or on one made again."""
        return min(until, now - self.intake.late) - 2 * (mapped.series.longest_gap + mapped.sensor.resolution)
