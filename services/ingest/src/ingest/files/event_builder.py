"""Construction of a sensor's events from rows: without duplicates, on its clock, in its unit and resolution."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from math import gcd

import polars as pl

from ingest.data.repository import Sensor
from ingest.data.resampling import DAY, MICROSECOND, event_start
from ingest.data.units import convert_to_sensor_unit, is_additive
from ingest.files.column_layout import DEFAULT_PROBABILITY
from ingest.files.errors import FileError, RowErrors

EVENTS_PER_PART = 200_000
"""Most events that are built at a time."""
MAX_ROWS_PER_EVENT = 1_000_000

BELIEF_KEY = ["start", "belief", "source"]
"""Columns that identify a belief."""
VALUE_KEY = [*BELIEF_KEY, "probability"]
"""Columns that identify a value. A belief may have several values, by probability."""


@dataclass(frozen=True, slots=True)
class RowSpacing:
    """Time between consecutive rows of a sensor."""

    common: timedelta
    """The most common one; of equally common ones the shortest."""
    shortest: timedelta


class EventBuilder:
    """Builds events from one sensor's rows, which come in order of time, in parts of any size."""

    def __init__(self, sensor: Sensor, unit: str | None, spacing: RowSpacing | None, errors: RowErrors) -> None:
        self.sensor = sensor
        self.unit = unit or sensor.unit
        self.errors = errors
        self.resolution = sensor.resolution
        self.row_spacing = spacing.common if spacing else sensor.resolution
        self._is_uneven = bool(spacing and spacing.shortest < spacing.common)
        self._pending: pl.DataFrame | None = None
        """Rows of an event that rows to come may belong to."""
        self._incompatibility = self._find_incompatibility()

    def add(self, rows: pl.DataFrame, *, last: bool) -> Iterator[pl.DataFrame]:
        """Add rows and yield the events that are complete. `last` is true for the last part."""
        if self._incompatibility:
            self.errors.add_same_reason(rows["row"], self._incompatibility)
            return
        if self._pending is not None:
            rows = pl.concat([self._pending, rows])
        slot = (
            event_start(pl.col("start"), self.resolution, self.sensor.timezone)
            if self.row_spacing < self.resolution
            else pl.col("start")
        )
        rows = rows.with_columns(slot=slot)
        incomplete = rows.filter(pl.col("slot") == rows["slot"][-1]) if not last and rows.height else rows.clear()
        if incomplete.height > MAX_ROWS_PER_EVENT:
            raise FileError(f"More than {MAX_ROWS_PER_EVENT} rows make one event of {self.resolution}.")
        self._pending = incomplete.drop("slot")
        rows = self._drop_duplicates(rows.head(rows.height - incomplete.height))
        yield from self._resample(self._convert_unit(self._drop_off_clock(rows)))

    # --- refused rows

    def _find_incompatibility(self) -> str | None:
        """Return why rows of this spacing cannot become events of the sensor's resolution."""
        if not self.resolution:
            return None
        longer, shorter = max(self.row_spacing, self.resolution), min(self.row_spacing, self.resolution)
        is_uneven = self._is_uneven and self.row_spacing > self.resolution
        if longer % shorter or is_uneven:
            closer = " (but some are closer)" if is_uneven else ""
            return (
                f"Resolutions do not fit: rows every {self.row_spacing}{closer}, where sensor {self.sensor.id} has "
                f"events of {self.resolution}."
            )
        if self.row_spacing // self.resolution > EVENTS_PER_PART:
            return f"One row of {self.row_spacing} would fill more than {EVENTS_PER_PART} events of {self.resolution}."
        return None

    def _drop_duplicates(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Drop repeated beliefs. Another value for the same belief is refused."""
        if (rows["start"].diff().drop_nulls() > timedelta(0)).all():
            return rows
        same_belief, repeated = (
            pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift()) for name in names)
            & (pl.int_range(pl.len()) > 0)
            for names in (BELIEF_KEY, VALUE_KEY)
        )
        rows = rows.with_columns(
            repeated=repeated,
            falling=same_belief & ~repeated & (pl.col("value") < pl.col("value").shift()),
            differs=pl.col("value") != pl.col("value").shift(),
            previous=pl.col("row").shift(),
        )
        self.errors.add(
            rows.filter("repeated", "differs").select("row", "previous"),
            lambda previous: f"another value for the same time as in row {previous}.",
        )
        self.errors.add(
            rows.filter("falling").select("row", "previous"),
            lambda previous: f"less than in row {previous}, though the probability is higher.",
        )
        return rows.filter(~pl.col("repeated")).drop("repeated", "falling", "differs", "previous")

    def _drop_off_clock(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Drop rows off the sensor's clock, which ticks from midnight in its time zone or that of the written time."""
        if not self.resolution:
            return rows
        tick = min(self.row_spacing, self.resolution)
        step = gcd(tick // MICROSECOND, DAY)
        local = pl.col("start").dt.convert_time_zone(self.sensor.timezone).dt.replace_time_zone(None)
        is_off = pl.all_horizontal(time.dt.epoch("us") % DAY % step != 0 for time in (pl.col("wall"), local))
        self.errors.add(
            rows.filter(is_off).select("row", "wall"),
            lambda time: f"{time.isoformat()} is off the sensor's clock, which ticks every {tick}.",
        )
        return rows.filter(~is_off)

    # --- accepted rows

    def _convert_unit(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(
            value=convert_to_sensor_unit(rows["value"].to_numpy(), self.unit, self.sensor.unit, self.row_spacing)
        )

    def _resample(self, rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
        if self.resolution and self.row_spacing > self.resolution:
            for part in split_between_events(rows, max(1, EVENTS_PER_PART // (self.row_spacing // self.resolution))):
                yield self._repeat(part)
        elif self.row_spacing < self.resolution:
            yield self._aggregate(rows)
        else:
            yield rows

    def _repeat(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Repeat each row for all the events that it spans."""
        times = self.row_spacing // self.resolution
        steps = pl.DataFrame({"step": pl.int_range(times, eager=True)})
        return rows.join(steps, how="cross").with_columns(
            start=pl.col("start") + pl.col("step") * self.resolution,
            value=pl.col("value") / (times if is_additive(self.sensor.unit) else 1),
        )

    def _aggregate(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Aggregate the rows within each event: the mean, or the sum of additive values."""
        is_spread = pl.col("probability") != DEFAULT_PROBABILITY
        self.errors.add_same_reason(
            rows.filter(is_spread)["row"],
            f"spreads cannot be averaged: sensor {self.sensor.id} has events of {self.resolution}.",
        )
        rows = rows.filter(~is_spread)
        slots = rows.with_columns(start="slot").group_by(*VALUE_KEY, maintain_order=True)
        if not is_additive(self.sensor.unit):
            return slots.agg(pl.col("value").mean())
        parts = self.resolution // self.row_spacing
        sums = slots.agg(pl.col("value").sum(), pl.len().alias("parts"), pl.col("row").min())
        self.errors.add(
            sums.filter(pl.col("parts") != parts).select("row", "parts"),
            lambda count: f"only {count} of the {parts} amounts that make up one event of {self.resolution}.",
        )
        return sums.filter(pl.col("parts") == parts)


def split_between_events(rows: pl.DataFrame, size: int) -> Iterator[pl.DataFrame]:
    """Yield parts of the ordered rows, of about this size. Rows of one event stay together."""
    starts = rows.select((pl.col("start") != pl.col("start").shift()).fill_null(True).arg_true())["start"]
    cuts = starts.filter((starts // size).diff().fill_null(1) > 0).to_list()
    for cut, following in pairwise([*cuts, rows.height]):
        yield rows[cut:following]
