"""Conversion of fetched series into beliefs about sensors, in their unit and resolution, and their storage."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import polars as pl
from flexmodel.errors import Invalid
from flexmodel.time import Instants, instant, moment_of
from flexstore import sources
from flexstore.series import LARGEST_VALUE, BeliefBatch, WriteCounts
from flexstore.store import Store

from ingest.belief_writer import BeliefWriter
from ingest.connectors.fetched_series import FetchedSeries, FetchError
from ingest.connectors.loaded_connector import LoadedConnector
from ingest.data.repository import Sensor
from ingest.data.resampling import MICROSECOND, check_clock, event_start
from ingest.data.units import convert_to_sensor_unit, is_additive

MAX_EVENTS = 5_000_000


class StoredSeries(NamedTuple):
    """Result of storing fetched series."""

    counts: WriteCounts
    data_until: datetime | None
    """Time up to which all series are known; None if one of them has no value."""


async def store_series(
    store: Store, writer: BeliefWriter, connector: LoadedConnector, fetched: Sequence[FetchedSeries]
) -> StoredSeries:
    """Store fetched series, all at once.

    Raises:
        FetchError: A series does not fit its sensor. The others are stored.
    """
    usual = connector.kind.source(connector.settings, connector.row.name, connector.row.id)
    series_sources = {series.source or usual for series in fetched}
    async with store.connection() as con:
        ids = {source: await sources.ensure(con, source.name, source.type, source.model) for source in series_sources}
    source_ids = [ids[series.source or usual] for series in fetched]
    beliefs, misfits = await asyncio.to_thread(beliefs_by_series, connector, fetched, source_ids)
    async with store.connection() as con:
        written = await writer.write_together(con, combine_batches(connector, beliefs))
    for misfit in misfits:
        raise misfit
    ends = [end_of_beliefs(beliefs[name], sensor) for name, sensor in connector.sensors.items() if name in beliefs]
    return StoredSeries(written, min(ends) if len(ends) == len(connector.sensors) else None)


def beliefs_by_series(
    connector: LoadedConnector, fetched: Sequence[FetchedSeries], source_ids: Sequence[int]
) -> tuple[dict[str, BeliefBatch], list[FetchError]]:
    """Build the beliefs about each sensor with known values, and the errors of series that do not fit their sensors."""
    beliefs, misfits = {}, []
    for name, sensor in connector.sensors.items():
        parts = [(series, source) for series, source in zip(fetched, source_ids, strict=True) if series.series == name]
        try:
            batch = build_beliefs(parts, sensor) if parts else None
        except FetchError as error:
            misfits.append(error)
            continue
        if batch is not None and len(batch.values):
            beliefs[name] = batch
    return beliefs, misfits


def combine_batches(
    connector: LoadedConnector, beliefs: Mapping[str, BeliefBatch]
) -> list[tuple[list[Sensor], BeliefBatch]]:
    """Combine the beliefs of each account and source, so that many sensors need one write."""
    groups: dict[tuple[int | None, bytes], list[str]] = {}
    for name in sorted(beliefs, key=lambda name: connector.sensors[name].id):
        account = connector.sensors[name].account
        groups.setdefault((account, np.unique(beliefs[name].source).tobytes()), []).append(name)
    return [
        ([connector.sensors[name] for name in names], concatenate_batches([beliefs[name] for name in names]))
        for names in groups.values()
    ]


def concatenate_batches(batches: Sequence[BeliefBatch]) -> BeliefBatch:
    """Concatenate beliefs about several sensors."""
    columns = [
        [
            np.broadcast_to(np.asarray(column), len(batch.values))
            for column in (
                batch.sensor,
                batch.event_start,
                batch.belief_time,
                batch.values,
                batch.source,
                batch.probability,
            )
        ]
        for batch in batches
    ]
    return BeliefBatch(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def end_of_beliefs(beliefs: BeliefBatch, sensor: Sensor) -> datetime:
    """Return the end of the last event."""
    return moment_of(np.max(beliefs.event_start)) + sensor.resolution


def build_beliefs(parts: Sequence[tuple[FetchedSeries, int]], sensor: Sensor) -> BeliefBatch:
    """Build the beliefs of all series fetched for the sensor, each with its source."""
    events = pl.concat(
        [resample_to_sensor(series, sensor).with_columns(source=pl.lit(source)) for series, source in parts]
    )
    return BeliefBatch(
        sensor=sensor.id,
        event_start=events["start"].to_numpy(),
        belief_time=events["belief"].to_numpy(),
        values=events["value"].to_numpy(),
        source=events["source"].to_numpy(),
    )


def resample_to_sensor(fetched: FetchedSeries, sensor: Sensor) -> pl.DataFrame:
    """Convert fetched values into the sensor's unit and resolution, with the columns `start`, `value` and `belief`."""
    rows = known_rows(fetched)
    if rows.is_empty():
        return rows
    value_length = fetched.resolution or most_common_spacing(fetched.starts) or sensor.resolution
    try:
        values = convert_to_sensor_unit(rows["value"].to_numpy(), fetched.unit, sensor.unit, value_length)
        rows = rows.with_columns(value=values)
        return match_resolution(rows, value_length, sensor) if sensor.resolution else rows
    except Invalid as error:
        raise FetchError(f"The {fetched.series} that came does not fit sensor {sensor.id}: {error.message}") from error


def known_rows(fetched: FetchedSeries) -> pl.DataFrame:
    """Return the known values in order of time."""
    if (np.abs(fetched.values) > LARGEST_VALUE).any():
        raise FetchError(f"A value of the {fetched.series} that came is not between -1e100 and 1e100.")
    belief_time = instant(fetched.belief_time) if isinstance(fetched.belief_time, datetime) else fetched.belief_time
    rows = pl.DataFrame(
        {
            "start": fetched.starts.astype("datetime64[us]"),
            "value": fetched.values,
            "belief": np.broadcast_to(belief_time, fetched.starts.shape).astype("datetime64[us]"),
        }
    )
    return rows.filter(pl.col("value").is_not_nan()).sort("start", maintain_order=True)


def most_common_spacing(starts: Instants) -> timedelta | None:
    """Return the most common time between starts, the shortest of equally common ones, of unknown values too."""
    gaps = pl.Series(starts.astype("datetime64[us]")).sort().diff().drop_nulls()
    gaps = gaps.filter(gaps > timedelta(0))
    if gaps.is_empty():
        return None
    spacing: timedelta = gaps.mode().sort()[0]
    return spacing


def match_resolution(rows: pl.DataFrame, value_length: timedelta, sensor: Sensor) -> pl.DataFrame:
    """Average finer values and repeat coarser ones. Additive values are summed and divided instead."""
    check_starts(rows["start"], min(value_length, sensor.resolution), sensor)
    longer, shorter = max(value_length, sensor.resolution), min(value_length, sensor.resolution)
    if longer % shorter:
        raise Invalid({"resolution": [f"values for {value_length} cannot become events of {sensor.resolution}."]})
    if value_length > sensor.resolution:
        return repeat_rows(rows, longer // shorter, sensor)
    return aggregate_rows(rows, longer // shorter, sensor) if value_length < sensor.resolution else rows


def check_starts(starts: pl.Series, tick: timedelta, sensor: Sensor) -> None:
    """Refuse starts that are off the sensor's clock."""
    first = starts[0]
    # The clock ticks evenly within a day, so one start stands for all that are whole ticks away from it.
    uneven = starts
    if tick < timedelta(days=1):
        uneven = starts.filter((starts - first).dt.total_microseconds() % (tick // MICROSECOND) != 0)
    for start in (first, *uneven):
        check_clock(start.replace(tzinfo=UTC), tick, sensor.zone)


def repeat_rows(rows: pl.DataFrame, times: int, sensor: Sensor) -> pl.DataFrame:
    """Repeat each value for the events that it spans."""
    if rows.height * times > MAX_EVENTS:
        raise Invalid({"resolution": [f"{rows.height} values would fill more than {MAX_EVENTS} events."]})
    steps = pl.DataFrame({"step": pl.int_range(times, eager=True)})
    return rows.join(steps, how="cross", maintain_order="left_right").select(
        start=pl.col("start") + pl.col("step") * sensor.resolution,
        value=pl.col("value") / (times if is_additive(sensor.unit) else 1),
        belief="belief",
    )


def aggregate_rows(rows: pl.DataFrame, parts: int, sensor: Sensor) -> pl.DataFrame:
    """Aggregate the values within each event, with the latest belief time. Additive values need all their parts."""
    rows = rows.unique("start", keep="last", maintain_order=True)
    events = rows.group_by(start=event_starts(pl.col("start"), sensor), maintain_order=True)
    if not is_additive(sensor.unit):
        return events.agg(pl.col("value").mean(), pl.col("belief").max())
    sums = events.agg(pl.col("value").sum(), pl.col("belief").max(), pl.len().alias("parts"))
    return sums.filter(pl.col("parts") >= parts).drop("parts")


def event_starts(times: pl.Expr, sensor: Sensor) -> pl.Expr:
    """Return the starts of the events that contain times in UTC without a time zone."""
    utc = event_start(times.dt.replace_time_zone("UTC"), sensor.resolution, sensor.timezone)
    return utc.dt.replace_time_zone(None)
