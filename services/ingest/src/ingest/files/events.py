"""Rows of a file to events of a sensor: spacing, clock, resolution, and no event twice."""

from dataclasses import dataclass
from datetime import timedelta
from math import gcd

import polars as pl

from ingest.data.repository import Sensor
from ingest.data.rules import DAY, MICROSECOND
from ingest.data.units import adds_up, in_unit
from ingest.files.formats import FileError

MOST_EVENTS = 5_000_000

BELIEF = ["start", "belief", "source"]
"""What makes a belief: the event, and when and by whom it was believed."""


@dataclass(frozen=True, slots=True)
class Spacing:
    """How long each row lasts, beside how long the sensor's events last."""

    rows: timedelta
    events: timedelta

    def described(self, *, uneven: bool = False) -> str:
        some = " (but some are closer)" if uneven else ""
        return f"rows every {self.rows}{some}, where the sensor has events of {self.events}"


def events_of(rows: pl.DataFrame, sensor: Sensor, unit: str | None) -> pl.DataFrame:
    """The rows as events: `start`, `value`, `belief`, `source`, in the sensor's unit and resolution."""
    once = without_repeats(rows)
    spacing = Spacing(spacing_of(once["start"]) or sensor.resolution, sensor.resolution)
    values = in_unit(once["value"].to_numpy(), unit or sensor.unit, sensor.unit, spacing.rows)
    once = once.with_columns(value=values)
    if not sensor.resolution:
        return once.select(*BELIEF, "value")
    check_clock(once, min(spacing.rows, spacing.events), sensor.timezone)
    if spacing.rows > spacing.events:
        once = repeated(once, spacing, adds_up(sensor.unit))
    elif spacing.rows < spacing.events:
        once = merged(once, spacing, sensor)
    return once.select(*BELIEF, "value")


def without_repeats(rows: pl.DataFrame) -> pl.DataFrame:
    """Each belief once, in the order of time; two that disagree are refused."""
    if (rows["start"].diff().drop_nulls() > timedelta(0)).all():
        return rows
    distinct = rows.unique([*BELIEF, "value"], keep="first", maintain_order=True).sort(*BELIEF, maintain_order=True)
    twice = distinct.filter(pl.struct(BELIEF).is_duplicated())
    if twice.height:
        first, second = twice["row"].to_list()[:2]
        raise FileError(f"row {second}: another value for the same time as in row {first}.")
    return distinct


def spacing_of(starts: pl.Series) -> timedelta | None:
    """The most common time between one start and the next; of equally common ones the shortest."""
    gaps = starts.diff().drop_nulls()
    gaps = gaps.filter(gaps > timedelta(0))
    if gaps.is_empty():
        return None
    common = gaps.value_counts().sort(["count", gaps.name], descending=[True, False])
    spacing: timedelta = common[gaps.name][0]
    return spacing


def check_clock(rows: pl.DataFrame, tick: timedelta, zone: str) -> None:
    """Refuse rows off the sensor's clock, which ticks from midnight in its time zone or as they are written."""
    step = gcd(tick // MICROSECOND, DAY)
    local = pl.col("start").dt.convert_time_zone(zone).dt.replace_time_zone(None)
    off = rows.filter(*(time_of_day(time) % step != 0 for time in (pl.col("wall"), local)))
    if off.height:
        row, time = off.select("row", "wall").row(0)
        more = f" So are {off.height - 1} more." if off.height > 1 else ""
        raise FileError(f"row {row}: {time.isoformat()} is off the sensor's clock, which ticks every {tick}.{more}")


def time_of_day(wall: pl.Expr) -> pl.Expr:
    """Microseconds since midnight."""
    return wall.dt.epoch("us") % DAY


def repeated(rows: pl.DataFrame, spacing: Spacing, divide: bool) -> pl.DataFrame:
    """Each row as all the events that it spans."""
    times, rest = divmod(spacing.rows, spacing.events)
    gaps = rows["start"].diff()
    uneven = bool(((gaps > timedelta(0)) & (gaps < spacing.rows)).any())
    if rest or uneven:
        raise FileError(f"Resolutions do not fit: {spacing.described(uneven=uneven)}.")
    if rows.height * times > MOST_EVENTS:
        raise FileError(f"More than {MOST_EVENTS} events: {spacing.described()}. Split the file.")
    steps = pl.DataFrame({"step": pl.int_range(times, eager=True)})
    return rows.join(steps, how="cross").with_columns(
        start=pl.col("start") + pl.col("step") * spacing.events,
        value=pl.col("value") / (times if divide else 1),
    )


def merged(rows: pl.DataFrame, spacing: Spacing, sensor: Sensor) -> pl.DataFrame:
    """The rows within each event as one: their mean, or their sum where they are amounts."""
    parts, rest = divmod(spacing.events, spacing.rows)
    if rest:
        raise FileError(f"Resolutions do not fit: {spacing.described()}.")
    event = pl.col("start").dt.convert_time_zone(sensor.timezone).dt.truncate(as_text(spacing.events))
    slots = rows.with_columns(start=event.dt.convert_time_zone("UTC")).group_by(*BELIEF, maintain_order=True)
    if not adds_up(sensor.unit):
        return slots.agg(pl.col("value").mean())
    sums = slots.agg(pl.col("value").sum(), pl.len().alias("parts"), pl.col("row").first())
    short = sums.filter(pl.col("parts") != parts)
    if short.height:
        row, count = short.select("row", "parts").row(0)
        raise FileError(f"row {row}: only {count} of the {parts} amounts that make up one event of {spacing.events}.")
    return sums


def as_text(span: timedelta) -> str:
    """A length of time in the words of polars, for which only whole days follow the calendar."""
    days, rest = divmod(span, timedelta(days=1))
    return f"{span // MICROSECOND}us" if rest else f"{days}d"
