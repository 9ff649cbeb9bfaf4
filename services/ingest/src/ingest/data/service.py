"""Posted values to stored beliefs."""

from datetime import UTC, datetime, timedelta

import numpy as np
from flexmodel.errors import Invalid
from flexmodel.time import Instants, steps
from flexstore.series import BeliefBatch, WriteCounts
from flexstore.store import Store

from ingest.data import rules
from ingest.data.repository import Sensor, UserSources, find_sensor
from ingest.data.rules import Events
from ingest.data.schemas import Head, Post
from ingest.data.units import adds_up, check_unit_of_type, in_unit
from ingest.storing import Storage

FIRST, LAST = datetime(1000, 1, 1, tzinfo=UTC), datetime(9500, 1, 1, tzinfo=UTC)
"""Between these, no time zone and no horizon leads beyond the years that there are."""


class Posting:
    """Takes posts. When it returns, the values are stored."""

    def __init__(self, store: Store, storage: Storage, sources: UserSources, max_events: int) -> None:
        self.store = store
        self.storage = storage
        self.sources = sources
        self.max_events = max_events

    async def take(self, sensor: int | Sensor, user_id: int, post: Post) -> WriteCounts:
        # No transaction here: a few values are one statement, which is its own.
        async with self.store.connection() as con:
            if not isinstance(sensor, Sensor):
                sensor = await find_sensor(con, sensor)
            source = await self.sources.of(con, user_id)
            return await self.storage.store(con, sensor, beliefs_of(post, sensor, source, self.max_events))


def beliefs_of(post: Post, sensor: Sensor, source: int, max_events: int) -> BeliefBatch:
    events = events_of(post, sensor, max_events).known()
    believed = rules.belief_times(
        events.starts, sensor.resolution, prior=post.prior, horizon=post.horizon, now=datetime.now(UTC)
    )
    check_type(post, events.starts + np.timedelta64(sensor.resolution), believed)
    return BeliefBatch(sensor.id, events.starts, believed, events.values, source)


def events_of(post: Post, sensor: Sensor, max_events: int) -> Events:
    """The events that the posted values are for this sensor."""
    duration = window(post)
    count = post.values.shape[-1]
    spacing = duration / count
    if not sensor.resolution or (count > 1 and not duration):
        events = rules.spread(post.start, duration, post.values)
        return Events(events.starts, in_unit(events.values, post.unit, sensor.unit, spacing))
    if not duration:
        raise Invalid({"duration": ["Must be longer than zero: this sensor does not record moments."]})
    rules.check_clock(post.start, sensor.resolution, sensor.zone)
    slots = rules.slots_in(count, duration, sensor.resolution)
    if slots > max_events:
        raise Invalid(
            {"duration": [f"Spans {slots} events of this sensor; at most {max_events} can be posted at once."]}
        )
    values = in_unit(post.values, post.unit, sensor.unit, spacing)
    if slots != count:
        values = rules.fit(values, slots, adds_up=adds_up(sensor.unit))
    return Events(steps(post.start, sensor.resolution, slots), values)


def window(head: Head) -> timedelta:
    """How long the values span. A day is 24 hours; months and years are those that follow the start."""
    try:
        duration = head.duration.from_start(head.start)
    except (OverflowError, ValueError) as error:
        raise Invalid({"duration": ["Ends after the year 9999."]}) from error
    if duration < timedelta(0):
        raise Invalid({"duration": ["Must not be negative."]})
    if head.start < FIRST or duration > LAST - head.start:
        raise Invalid({"start": [f"The values must lie between {FIRST.isoformat()} and {LAST.isoformat()}."]})
    return duration


def check_type(head: Head, ends: Instants, believed: np.datetime64 | Instants) -> None:
    """Refuse what an old type of message cannot hold."""
    if head.type is None:
        return
    check_unit_of_type(head.type, head.unit)
    if head.type == "PostMeterDataRequest" and np.any(believed < ends):
        raise rules.refuse("Meter data must lie in the past.")
    if head.type == "PostPrognosisRequest" and np.any(believed > ends):
        raise rules.refuse("Prognoses must lie in the future.")
