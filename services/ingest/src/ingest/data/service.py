"""Storage of posted series: validation against the sensor, conversion to beliefs, writing."""

from datetime import UTC, datetime, timedelta

import numpy as np
from flexmodel.errors import Invalid
from flexmodel.time import Instants, steps
from flexstore.series import BeliefBatch, WriteCounts
from flexstore.store import Store

from ingest.belief_writer import BeliefWriter
from ingest.data import resampling
from ingest.data.repository import Sensor, UserSources, load_sensor
from ingest.data.resampling import EventValues
from ingest.data.schemas import SeriesHeader, SeriesPost
from ingest.data.units import check_message_type_unit, convert_to_sensor_unit, is_additive

EARLIEST, LATEST = datetime(1000, 1, 1, tzinfo=UTC), datetime(9500, 1, 1, tzinfo=UTC)
"""Bounds of event times, within which no time zone and no horizon leaves the calendar."""


class PostHandler:
    """Stores posted series."""

    def __init__(self, store: Store, writer: BeliefWriter, sources: UserSources, max_events: int) -> None:
        self.store = store
        self.writer = writer
        self.sources = sources
        self.max_events = max_events

    async def store_post(self, sensor: int | Sensor, user_id: int, post: SeriesPost) -> WriteCounts:
        """Store a series of a sensor, given by id or already loaded. The values are durable on return."""
        # No transaction: a few values are one statement, which is its own transaction.
        async with self.store.connection() as con:
            if not isinstance(sensor, Sensor):
                sensor = await load_sensor(con, sensor)
            source = await self.sources.load_source_id(con, user_id)
            return await self.writer.write(con, sensor, build_beliefs(post, sensor, source, self.max_events))


def build_beliefs(post: SeriesPost, sensor: Sensor, source: int, max_events: int) -> BeliefBatch:
    """Convert a posted series into beliefs about the sensor.

    Raises:
        Invalid: The series does not fit the sensor, or has too many events.
    """
    events = build_events(post, sensor, max_events).drop_missing()
    belief_times = resampling.compute_belief_times(
        events.starts, sensor.resolution, prior=post.prior, horizon=post.horizon, now=datetime.now(UTC)
    )
    check_message_type(post, events.starts + np.timedelta64(sensor.resolution), belief_times)
    return BeliefBatch(sensor.id, events.starts, belief_times, events.values, source)


def build_events(post: SeriesPost, sensor: Sensor, max_events: int) -> EventValues:
    """Convert posted values into events of the sensor, in its unit and resolution."""
    duration = window_length(post)
    count = post.values.shape[-1]
    spacing = duration / count
    if not sensor.resolution or (count > 1 and not duration):
        events = resampling.spread_evenly(post.start, duration, post.values)
        return EventValues(events.starts, convert_to_sensor_unit(events.values, post.unit, sensor.unit, spacing))
    if not duration:
        raise Invalid({"duration": ["Must be longer than zero: this sensor does not record moments."]})
    resampling.check_clock(post.start, sensor.resolution, sensor.zone)
    slots = resampling.count_slots(count, duration, sensor.resolution)
    if slots > max_events:
        raise Invalid(
            {"duration": [f"Spans {slots} events of this sensor; at most {max_events} can be posted at once."]}
        )
    values = convert_to_sensor_unit(post.values, post.unit, sensor.unit, spacing)
    if slots != count:
        values = resampling.resample(values, slots, additive=is_additive(sensor.unit))
    return EventValues(steps(post.start, sensor.resolution, slots), values)


def window_length(header: SeriesHeader) -> timedelta:
    """Return the length of the window. A day is 24 hours; months and years follow the calendar from the start."""
    try:
        duration = header.duration.from_start(header.start)
    except (OverflowError, ValueError) as error:
        raise Invalid({"duration": ["Ends after the year 9999."]}) from error
    if duration < timedelta(0):
        raise Invalid({"duration": ["Must not be negative."]})
    if header.start < EARLIEST or duration > LATEST - header.start:
        raise Invalid({"start": [f"The values must lie between {EARLIEST.isoformat()} and {LATEST.isoformat()}."]})
    return duration


def check_message_type(header: SeriesHeader, ends: Instants, belief_times: np.datetime64 | Instants) -> None:
    """Refuse a unit or belief times that an old type of message does not allow."""
    if header.type is None:
        return
    check_message_type_unit(header.type, header.unit)
    if header.type == "PostMeterDataRequest" and np.any(belief_times < ends):
        raise resampling.schema_error("Meter data must lie in the past.")
    if header.type == "PostPrognosisRequest" and np.any(belief_times > ends):
        raise resampling.schema_error("Prognoses must lie in the future.")
