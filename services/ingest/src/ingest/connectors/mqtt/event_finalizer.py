"""Finalization of events that are over from their readings, again when a reading comes late."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import numpy as np
from flexmodel.errors import FlexmeshError, Unavailable
from flexmodel.time import Instants, moment_of
from flexserve import logs

from ingest.connectors.fetched_series import FetchedSeries
from ingest.connectors.mqtt import repository
from ingest.connectors.mqtt.aggregation import aggregate_readings, event_bounds
from ingest.connectors.mqtt.mapping import SeriesMapping
from ingest.connectors.mqtt.message_handler import MessageHandler
from ingest.connectors.mqtt.repository import PendingEvents
from ingest.data.resampling import MICROSECOND, Values

log = logs.get(__name__)

GRACE = timedelta(seconds=5)
"""Wait after the end of an event, for readings on their way."""
RETRY_AFTER = timedelta(minutes=1)
"""Wait after a failure."""
CHECKS_PER_EVENT = 20
"""Checks per event for the reading of a counter that ends it."""


class EventFinalizer:
    """Builds events from stored readings, and deletes readings that are no longer needed."""

    def __init__(self, mappings: Mapping[str, SeriesMapping], handler: MessageHandler) -> None:
        self.handler = handler
        self.context = handler.context
        self._mappings = {mapping.key: mapping for mapping in mappings.values() if not mapping.is_event_value}
        self._next: dict[PendingEvents, datetime] = {}
        """Time of the next check of pending events."""

    async def finalize(self, now: datetime) -> None:
        """Deliver all events that are over."""
        async with self.context.store.connection() as con:
            all_pending = await repository.load_pending(con, self.context.connector_id)
        self._next = {pending: self._next[pending] for pending in all_pending if pending in self._next}
        for pending in all_pending:
            if now < self._next.get(pending, now):
                continue
            try:
                await self._finalize_pending(pending, now)
            except Unavailable:
                raise
            except FlexmeshError as error:  # must not block the other sensors
                log.warning("readings cannot become events", sensor=pending.key.sensor, reason=error.message)
                self._next[pending] = now + RETRY_AFTER

    async def _finalize_pending(self, pending: PendingEvents, now: datetime) -> None:
        if pending.key in self._mappings:
            await self._finalize_series(self._mappings[pending.key], pending, now)
        else:
            async with self.context.store.transaction() as con:
                await repository.delete_all(con, self.context.connector_id, pending.key)

    async def _finalize_series(self, mapping: SeriesMapping, pending: PendingEvents, now: datetime) -> None:
        self.handler.earliest_new.pop(pending.key, None)
        bounds, values = await self._compute_events(mapping, pending, now)
        until = moment_of(bounds[-1])
        if until <= pending.since:
            return
        if not np.isnan(values).all():
            resolution = mapping.sensor.resolution
            await self.context.deliver(
                [FetchedSeries(mapping.name, bounds[:-1], values, mapping.unit, now, resolution)]
            )
        async with self.handler.adding_lock, self.context.store.transaction() as con:
            if self.handler.earliest_new.get(pending.key, until) < until:
                self._next.pop(pending)
                return  # a reading came for an event that has just been finalized
            await repository.advance_pending(con, self.context.connector_id, pending, until)
            await repository.delete_before(
                con, self.context.connector_id, pending.key, self._oldest_needed(mapping, until, now)
            )

    async def _compute_events(
        self, mapping: SeriesMapping, pending: PendingEvents, now: datetime
    ) -> tuple[Instants, Values]:
        """Compute the bounds and values of the events that are over, from the first one that new readings affect.

        That is the event of the reading before them, because a counter has counted since then.
        """
        resolution, zone, gap = mapping.sensor.resolution, mapping.sensor.zone, mapping.series.longest_gap
        key, connector = pending.key, self.context.connector_id
        async with self.context.store.connection() as con:
            before = await repository.load_last_time_before(con, connector, key, pending.since, gap)
            start = (before or pending.since) - MICROSECOND
            first = moment_of(event_bounds(start, start, resolution, zone)[0])
            times, readings = await repository.load_readings(
                con, connector, key, await repository.load_last_time_before(con, connector, key, first, gap) or first
            )
        end_limit = now - GRACE
        if mapping.series.meaning == "counter" and len(times):
            end_limit = min(end_limit, moment_of(times[-1]))
        *bounds, following = event_bounds(first, max(first, end_limit) + MICROSECOND, resolution, zone)
        following_over = moment_of(following) + GRACE
        self._next[pending] = following_over if following_over > now else now + resolution / CHECKS_PER_EVENT
        event_times = np.array(bounds)
        return event_times, aggregate_readings(mapping.series.meaning, event_times, times, readings, gap)

    def _oldest_needed(self, mapping: SeriesMapping, until: datetime, now: datetime) -> datetime:
        """Return the time before which readings affect no event that may still be finalized."""
        return min(until, now - self.handler.max_delay) - 2 * (mapping.series.longest_gap + mapping.sensor.resolution)
