"""What was fetched as beliefs about a sensor: in its unit, at its resolution, on its clock."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from flexmodel.errors import Invalid
from flexmodel.time import Instants, instant
from flexstore.series import LARGEST_VALUE, BeliefBatch

from ingest.connectors.fetched import Fetched, NotFetched
from ingest.data.repository import Sensor
from ingest.data.rules import MICROSECOND, check_clock
from ingest.data.units import adds_up, in_unit

MOST_EVENTS = 5_000_000


def beliefs_of(fetched: Sequence[tuple[Fetched, int]], sensor: Sensor) -> BeliefBatch:
    """All that was fetched for the sensor, each with its source."""
    events = pl.concat([events_of(each, sensor).with_columns(source=pl.lit(source)) for each, source in fetched])
    return BeliefBatch(
        sensor=sensor.id,
        event_start=events["start"].to_numpy(),
        belief_time=events["belief"].to_numpy(),
        values=events["value"].to_numpy(),
        source=events["source"].to_numpy(),
    )


def events_of(fetched: Fetched, sensor: Sensor) -> pl.DataFrame:
    """The events that the values are for the sensor: `start`, `value`, `belief`."""
    rows = rows_of(fetched)
    if rows.is_empty():
        return rows
    lasting = fetched.resolution or spacing_of(fetched.starts) or sensor.resolution
    try:
        values = in_unit(rows["value"].to_numpy(), fetched.unit, sensor.unit, lasting)
        rows = rows.with_columns(value=values)
        return at_resolution(rows, lasting, sensor) if sensor.resolution else rows
    except Invalid as error:
        raise NotFetched(f"The {fetched.series} that came does not fit sensor {sensor.id}: {error.message}") from error


def rows_of(fetched: Fetched) -> pl.DataFrame:
    """The known values in order of time."""
    if (np.abs(fetched.values) > LARGEST_VALUE).any():
        raise NotFetched(f"A value of the {fetched.series} that came is not between -1e100 and 1e100.")
    believed = instant(fetched.believed) if isinstance(fetched.believed, datetime) else fetched.believed
    rows = pl.DataFrame(
        {
            "start": fetched.starts.astype("datetime64[us]"),
            "value": fetched.values,
            "belief": np.broadcast_to(believed, fetched.starts.shape).astype("datetime64[us]"),
        }
    )
    return rows.filter(pl.col("value").is_not_nan()).sort("start", maintain_order=True)


def spacing_of(starts: Instants) -> timedelta | None:
    """The most common time from one start to the next, the shortest of equally common ones; unknown values count."""
    gaps = pl.Series(starts.astype("datetime64[us]")).sort().diff().drop_nulls()
    gaps = gaps.filter(gaps > timedelta(0))
    if gaps.is_empty():
        return None
    spacing: timedelta = gaps.mode().sort()[0]
    return spacing


def at_resolution(rows: pl.DataFrame, lasting: timedelta, sensor: Sensor) -> pl.DataFrame:
    """Finer values averaged, coarser ones repeated; amounts added and divided."""
    check_starts(rows["start"], min(lasting, sensor.resolution), sensor)
    longer, shorter = max(lasting, sensor.resolution), min(lasting, sensor.resolution)
    if longer % shorter:
        raise Invalid({"resolution": [f"values for {lasting} cannot become events of {sensor.resolution}."]})
    if lasting > sensor.resolution:
        return repeated(rows, longer // shorter, sensor)
    return merged(rows, longer // shorter, sensor) if lasting < sensor.resolution else rows


def check_starts(starts: pl.Series, tick: timedelta, sensor: Sensor) -> None:
    """Refuse what does not start on the sensor's clock."""
    first = starts[0]
    # Within a day the clock ticks evenly, so that one start stands for all that are a number of ticks away from it.
    uneven = starts
    if tick < timedelta(days=1):
        uneven = starts.filter((starts - first).dt.total_microseconds() % (tick // MICROSECOND) != 0)
    for start in (first, *uneven):
        check_clock(start.replace(tzinfo=UTC), tick, sensor.zone)


def repeated(rows: pl.DataFrame, times: int, sensor: Sensor) -> pl.DataFrame:
    if rows.height * times > MOST_EVENTS:
        raise Invalid({"resolution": [f"{rows.height} values would fill more than {MOST_EVENTS} events."]})
    steps = pl.DataFrame({"step": pl.int_range(times, eager=True)})
    return rows.join(steps, how="cross", maintain_order="left_right").select(
        start=pl.col("start") + pl.col("step") * sensor.resolution,
        value=pl.col("value") / (times if adds_up(sensor.unit) else 1),
        belief="belief",
    )


def merged(rows: pl.DataFrame, parts: int, sensor: Sensor) -> pl.DataFrame:
    """The values within each event as one, which is known when the last of them is. Amounts need all their parts."""
    rows = rows.unique("start", keep="last", maintain_order=True)
    events = rows.group_by(start=slots(sensor), maintain_order=True)
    if not adds_up(sensor.unit):
        return events.agg(pl.col("value").mean(), pl.col("belief").max())
    sums = events.agg(pl.col("value").sum(), pl.col("belief").max(), pl.len().alias("parts"))
    return sums.filter(pl.col("parts") >= parts).drop("parts")


def slots(sensor: Sensor) -> pl.Expr:
    """The start of the event in which something starts. Days follow the calendar of the sensor's time zone."""
    days, rest = divmod(sensor.resolution, timedelta(days=1))
    length = f"{sensor.resolution // MICROSECOND}us" if rest else f"{days}d"
    local = pl.col("start").dt.replace_time_zone("UTC").dt.convert_time_zone(sensor.timezone)
    return local.dt.truncate(length).dt.convert_time_zone("UTC").dt.replace_time_zone(None)
