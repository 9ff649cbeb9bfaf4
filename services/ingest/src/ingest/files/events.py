"""Rows of a sensor to its events: no event twice, on the clock, in its unit and resolution."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from math import gcd

import polars as pl

from ingest.data.repository import Sensor
from ingest.data.rules import DAY, MICROSECOND
from ingest.data.units import adds_up, in_unit
from ingest.files.columns import CERTAIN
from ingest.files.problems import FileError, Problems

AT_A_TIME = 200_000
"""Events that are made at a time."""
MOST_IN_ONE_EVENT = 1_000_000

SAID = ["start", "belief", "source"]
"""What makes a belief: the event, and when and by whom it was believed."""
BELIEF = [*SAID, "probability"]
"""What makes a value of it: beliefs may be spreads of values."""


@dataclass(frozen=True, slots=True)
class Spacing:
    """How far apart the rows of a sensor are."""

    common: timedelta
    """Most of them; of equally common ones the shortest."""
    shortest: timedelta


class Events:
    """Makes events of one sensor's rows, which come in order of time, in parts of any size."""

    def __init__(self, sensor: Sensor, unit: str | None, spacing: Spacing | None, problems: Problems) -> None:
        self.sensor = sensor
        self.unit = unit or sensor.unit
        self.problems = problems
        self.length = sensor.resolution
        self.spacing = spacing.common if spacing else sensor.resolution
        self._uneven = bool(spacing and spacing.shortest < spacing.common)
        self._kept: pl.DataFrame | None = None
        """Rows that may belong together with rows that are still to come."""
        self._misfit = self._find_misfit()

    def add(self, rows: pl.DataFrame, *, last: bool) -> Iterator[pl.DataFrame]:
        """Take rows (`last`: there are no more) and give the events that are complete by now."""
        if self._misfit:
            self.problems.add_together(rows["row"], self._misfit)
            return
        if self._kept is not None:
            rows = pl.concat([self._kept, rows])
        slot = self._slot() if self.spacing < self.length else pl.col("start")
        rows = rows.with_columns(slot=slot)
        open_ones = rows.filter(pl.col("slot") == rows["slot"][-1]) if not last and rows.height else rows.clear()
        if open_ones.height > MOST_IN_ONE_EVENT:
            raise FileError(f"More than {MOST_IN_ONE_EVENT} rows make one event of {self.length}.")
        self._kept = open_ones.drop("slot")
        rows = self._once(rows.head(rows.height - open_ones.height))
        yield from self._fitted(self._converted(self._on_the_clock(rows)))

    # --- what is refused

    def _find_misfit(self) -> str | None:
        """Why rows so far apart cannot become events of this length."""
        if not self.length:
            return None
        longer, shorter = max(self.spacing, self.length), min(self.spacing, self.length)
        uneven = self._uneven and self.spacing > self.length
        if longer % shorter or uneven:
            some = " (but some are closer)" if uneven else ""
            return (
                f"Resolutions do not fit: rows every {self.spacing}{some}, where sensor {self.sensor.id} has events of "
                f"{self.length}."
            )
        if self.spacing // self.length > AT_A_TIME:
            return f"One row of {self.spacing} would fill more than {AT_A_TIME} events of {self.length}."
        return None

    def _once(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Each belief once; another value for the same belief is refused."""
        if (rows["start"].diff().drop_nulls() > timedelta(0)).all():
            return rows
        said, again = (
            pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift()) for name in names)
            & (pl.int_range(pl.len()) > 0)
            for names in (SAID, BELIEF)
        )
        rows = rows.with_columns(
            again=again,
            falling=said & ~again & (pl.col("value") < pl.col("value").shift()),
            other=pl.col("value") != pl.col("value").shift(),
            before=pl.col("row").shift(),
        )
        self.problems.add(
            rows.filter("again", "other").select("row", "before"),
            lambda before: f"another value for the same time as in row {before}.",
        )
        self.problems.add(
            rows.filter("falling").select("row", "before"),
            lambda before: f"less than in row {before}, though the probability is higher.",
        )
        return rows.filter(~pl.col("again")).drop("again", "falling", "other", "before")

    def _on_the_clock(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows on the sensor's clock, which ticks from midnight in its time zone or as they are written."""
        if not self.length:
            return rows
        tick = min(self.spacing, self.length)
        step = gcd(tick // MICROSECOND, DAY)
        local = pl.col("start").dt.convert_time_zone(self.sensor.timezone).dt.replace_time_zone(None)
        off = pl.all_horizontal(time.dt.epoch("us") % DAY % step != 0 for time in (pl.col("wall"), local))
        self.problems.add(
            rows.filter(off).select("row", "wall"),
            lambda time: f"{time.isoformat()} is off the sensor's clock, which ticks every {tick}.",
        )
        return rows.filter(~off)

    # --- what becomes of the rest

    def _converted(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(value=in_unit(rows["value"].to_numpy(), self.unit, self.sensor.unit, self.spacing))

    def _fitted(self, rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
        if self.length and self.spacing > self.length:
            for part in by_events(rows, max(1, AT_A_TIME // (self.spacing // self.length))):
                yield self._repeated(part)
        elif self.spacing < self.length:
            yield self._merged(rows)
        else:
            yield rows

    def _repeated(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Each row as all the events that it spans."""
        times = self.spacing // self.length
        steps = pl.DataFrame({"step": pl.int_range(times, eager=True)})
        return rows.join(steps, how="cross").with_columns(
            start=pl.col("start") + pl.col("step") * self.length,
            value=pl.col("value") / (times if adds_up(self.sensor.unit) else 1),
        )

    def _merged(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows within each event as one: their mean, or their sum where they are amounts."""
        spread = pl.col("probability") != CERTAIN
        self.problems.add_together(
            rows.filter(spread)["row"],
            f"spreads cannot be averaged: sensor {self.sensor.id} has events of {self.length}.",
        )
        rows = rows.filter(~spread)
        slots = rows.with_columns(start="slot").group_by(*BELIEF, maintain_order=True)
        if not adds_up(self.sensor.unit):
            return slots.agg(pl.col("value").mean())
        parts = self.length // self.spacing
        sums = slots.agg(pl.col("value").sum(), pl.len().alias("parts"), pl.col("row").min())
        self.problems.add(
            sums.filter(pl.col("parts") != parts).select("row", "parts"),
            lambda count: f"only {count} of the {parts} amounts that make up one event of {self.length}.",
        )
        return sums.filter(pl.col("parts") == parts)

    def _slot(self) -> pl.Expr:
        """The start of the event that a row belongs to."""
        local = pl.col("start").dt.convert_time_zone(self.sensor.timezone)
        return local.dt.truncate(as_text(self.length)).dt.convert_time_zone("UTC")


def by_events(rows: pl.DataFrame, size: int) -> Iterator[pl.DataFrame]:
    """Parts of the rows, which are in order, of about this size. Rows of one event stay together."""
    begins = rows.select((pl.col("start") != pl.col("start").shift()).fill_null(True).arg_true())["start"]
    cuts = begins.filter((begins // size).diff().fill_null(1) > 0).to_list()
    for cut, following in pairwise([*cuts, rows.height]):
        yield rows[cut:following]


def as_text(span: timedelta) -> str:
    """A length of time in the words of polars, for which only whole days follow the calendar."""
    days, rest = divmod(span, timedelta(days=1))
    return f"{span // MICROSECOND}us" if rest else f"{days}d"
