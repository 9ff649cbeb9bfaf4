"""Which column of a table is what, and its rows as times and numbers. Whatever cannot be read has its row named."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from flexmodel.quantities import is_convertible

from ingest.files import cells
from ingest.files.problems import FileError, Problems

NAMES = {
    "start": ("event_start", "start", "time", "timestamp", "datetime", "date_time", "date", "from", "start_time"),
    "belief": ("belief_time", "believed_at", "recorded_at", "prior"),
    "source": ("source",),
    "probability": ("cumulative_probability",),
}
"""What columns may be called, in order of preference."""
VALUE_NAMES = ("event_value", "value", "values")
SENSOR_NAMES = ("sensor", "sensor_id", "sensor_name")
TEXTS = ("start", "belief", "source", "probability", "sensor", "value")

UNIT = re.compile(r"[\[(]\s*([^\[\]()]+?)\s*[\])]\s*$")

CERTAIN = 0.5
"""The cumulative probability of a value that is not one of several."""
EXAMPLE = "2026-03-29T00:15:00+01:00"


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns hold what. In a file with a column per sensor, `sensors` tells what each of them is called."""

    roles: dict[str, str]
    sensors: dict[str, str]
    unnamed: tuple[str, ...] = ()
    """Columns without a name beside others that have one: they must be empty."""
    unit: str | None = None
    """The unit that the name of the column of values tells."""

    def named_sensors(self, table: pl.DataFrame) -> set[str]:
        """The sensors that rows of this table are about, as the file calls them."""
        if self.sensors:
            return set(self.sensors.values())
        return set(table[self.roles["sensor"]].unique().drop_nulls()) if "sensor" in self.roles else set()

    def without(self, unknown: Sequence[str], table: pl.DataFrame, problems: Problems) -> pl.DataFrame:
        """The rows that are not about sensors that nobody knows."""
        if not unknown:
            return table
        if self.sensors:
            raise FileError(f"There is no sensor called '{unknown[0]}' that you may send values to.")
        column = self.roles["sensor"]
        about_them = pl.col(column).is_in(unknown).fill_null(False)
        problems.add(
            table.filter(about_them).select("row", column),
            lambda name: f"there is no sensor called '{name}' that you may send values to.",
        )
        return table.filter(~about_them)


# --- the heading


def heading(table: pl.DataFrame) -> tuple[str, ...]:
    """The names in the first row, or none if there is a time in it: then it is data already."""
    first = table.drop("row").head(1)
    if any(is_time(first, column) for column in first.columns):
        return ()
    return tuple(str(cell or "") for cell in first.row(0))


def is_time(table: pl.DataFrame, column: str) -> bool:
    return table.head(1).select(cells.wall_time(column).is_not_null().any()).item() is True


def of_one_sensor(names: tuple[str, ...], table: pl.DataFrame, value_name: str) -> Layout:
    """A file about one sensor: by name, else by order. Its values may be in a column called `value_name`."""
    columns = table.drop("row").columns
    roles = by_name(names, columns, NAMES | {"value": (*VALUE_NAMES, plainly(value_name))})
    rest = [column for column in columns if column not in roles.values()]
    missing = [role for role in ("start", "value") if role not in roles]
    if len(missing) == 2 and len(rest) == 3 and is_time(table, rest[1]):
        missing = ["start", "belief", "value"]
    if missing and len(missing) != len(rest):
        called = ", ".join(names) or f"{len(columns)} without names"
        raise FileError(f"The columns cannot be told apart ({called[:400]}): call them event_start and event_value.")
    roles |= dict(zip(missing, rest, strict=False))
    name = dict(zip(columns, names, strict=False)).get(roles["value"], "")
    return Layout(roles, {}, unit=unit_in(name))


def of_many_sensors(names: tuple[str, ...], table: pl.DataFrame) -> Layout:
    """A file about several sensors: a column that tells the sensor of each row, or a column of values per sensor."""
    columns = table.drop("row").columns
    roles = by_name(names, columns, NAMES | {"value": VALUE_NAMES, "sensor": SENSOR_NAMES})
    if "start" not in roles:
        raise FileError(
            "The first row must name the columns: event_start, sensor and event_value, or event_start and each sensor."
        )
    rest = {column: name for column, name in zip(columns, names, strict=False) if column not in roles.values()}
    if "sensor" in roles:
        if "value" not in roles:
            raise FileError("There is a column for the sensor but none for the values: call it event_value.")
        return Layout(roles, {})
    if "value" in roles:  # nothing keeps a sensor from being called that
        column = roles.pop("value")
        rest[column] = names[columns.index(column)]
    sensors = {column: name for column, name in rest.items() if name}
    if not sensors:
        raise FileError("No column is called like a sensor. Name the columns of values by sensor id or name.")
    return Layout(roles, sensors, tuple(column for column in rest if column not in sensors))


def unit_in(name: str) -> str | None:
    """The unit in the name of a column, such as `power [MW]` or `power (MW)`."""
    found = UNIT.search(name)
    return found[1] if found and is_convertible(found[1], found[1]) else None


def by_name(names: tuple[str, ...], columns: list[str], wanted: dict[str, tuple[str, ...]]) -> dict[str, str]:
    plain = [plainly(name) for name in names]
    roles = {}
    for role, known in wanted.items():
        found = [columns[plain.index(name)] for name in known if name in plain]
        if found:
            roles[role] = found[0]
    return roles


def plainly(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


# --- the rows


@dataclass(slots=True)
class Reader:
    """Reads the rows of one file, table after table."""

    layout: Layout
    may_have_commas: bool
    """Whether numbers may be written with a decimal comma."""
    comma: bool = False
    """Whether one was."""
    point: int | None = None
    """The first row with a number that has a decimal point."""

    def rows(self, table: pl.DataFrame, zone: str | None, problems: Problems) -> pl.DataFrame:
        """The rows that hold a value: what `staging.COLUMNS` names.

        Times without a distance to UTC are read in `zone`; without one they are refused. `wall` is the start as
        written; `second` the other moment it could mean, in the hour that the clock shows twice.
        """
        text = self._as_text(table, problems)
        starts, beliefs = (cells.times(text, column, zone) for column in ("start", "belief"))
        text = text.with_columns(
            starts.rename({"utc": "utc_start"}), utc_belief=beliefs["utc"], unsure=beliefs["second"].is_not_null()
        )
        self._refuse_times(text, zone, problems)
        text = self._row_per_value(text)
        self._settle_decimals(text)
        text = text.with_columns(
            number=cells.numbers("value", decimal_comma=self.comma),
            chance=cells.numbers("probability", decimal_comma=self.comma),
        )
        text = text.with_columns(likely=pl.col("probability").is_null() | pl.col("chance").is_between(0, 1))
        self._refuse_values(text, problems)
        sure = pl.col("belief").is_null() | (pl.col("utc_belief").is_not_null() & ~pl.col("unsure"))
        likely = pl.col("likely").fill_null(False)
        whose = pl.col("sensor").is_not_null() if "sensor" in self.layout.roles else pl.lit(True)
        there = (pl.col(name).is_not_null() for name in ("utc_start", "number"))
        return text.filter(*there, sure, likely, whose).select(
            "row", "sensor", "wall", "second", "source",
            start="utc_start", belief="utc_belief", value="number", probability=pl.col("chance").fill_null(CERTAIN),
        )  # fmt: skip

    def _row_per_value(self, text: pl.DataFrame) -> pl.DataFrame:
        """With a column per sensor: each of its values in a row of its own, and the sensor beside it."""
        sensors = self.layout.sensors
        if not sensors:
            return text
        text = text.drop("sensor", "value")
        beside = [name for name in text.columns if name not in sensors]
        values = text.unpivot(on=list(sensors), index=beside, variable_name="sensor")
        return values.filter(pl.col("value").is_not_null()).with_columns(pl.col("sensor").replace_strict(sensors))

    def _as_text(self, table: pl.DataFrame, problems: Problems) -> pl.DataFrame:
        for column in self.layout.unnamed:
            filled = table.filter(pl.col(column).str.len_bytes() > 0)["row"]
            problems.add_together(filled, "there is something in a column without a name.")
        roles = self.layout.roles
        nothing = pl.lit(None, pl.String)
        given = (
            (pl.when(pl.col(roles[role]) != "").then(pl.col(roles[role])) if role in roles else nothing).alias(role)
            for role in TEXTS
        )
        values = (pl.when(pl.col(column) != "").then(pl.col(column)) for column in self.layout.sensors)
        return table.select("row", *given, *values)

    def _settle_decimals(self, text: pl.DataFrame) -> None:
        """A file writes its numbers in one way: with decimal commas, or with points."""
        if not self.may_have_commas:
            return
        commas = text.filter(pl.col("value").str.contains(",", literal=True))["row"]
        if len(commas) and self.point is not None:
            raise FileError(f"row {commas[0]}: a decimal comma, where row {self.point} has a decimal point.")
        self.comma = self.comma or bool(len(commas))
        points = text.filter(pl.col("value").str.contains(".", literal=True))["row"]
        if len(points) and not self.comma:
            self.point = points[0]

    def _refuse_times(self, text: pl.DataFrame, zone: str | None, problems: Problems) -> None:
        where = f"in {zone}, such as {EXAMPLE}" if zone else f"with its distance to UTC, such as {EXAMPLE}"
        for column, read in (("start", "utc_start"), ("belief", "utc_belief")):
            bad = text.filter(pl.col(column).is_not_null() & pl.col(read).is_null()).select("row", column)
            problems.add(bad, lambda cell: f"'{cell}' is not a time {where}.")
        problems.add(
            text.filter("unsure").select("row", "belief"),
            lambda cell: f"the clock shows '{cell}' twice that night: write its distance to UTC.",
        )

    def _refuse_values(self, text: pl.DataFrame, problems: Problems) -> None:
        such = ", such as 12.5" if not self.comma else ", such as 12,5"
        point = "; the file writes decimal commas, so a point is unclear"
        beside = ["sensor"] if self.layout.sensors else []
        problems.add(
            text.filter(pl.col("value").is_not_null() & pl.col("number").is_null()).select("row", "value", *beside),
            lambda cell, *sensor: (
                f"{''.join(f'{name}: ' for name in sensor)}'{cell}' is not a number"
                f"{point if self.comma and '.' in cell else such}."
            ),
        )
        problems.add(
            text.filter(~pl.col("likely").fill_null(False)).select("row", "probability"),
            lambda cell: f"'{cell}' is not a cumulative probability, from 0 to 1.",
        )
        for column, what in (("start", "time"), *([("sensor", "sensor")] if "sensor" in self.layout.roles else [])):
            without = text.filter(pl.col("value").is_not_null() & pl.col(column).is_null()).select("row")
            problems.add(without, lambda what=what: f"there is a value but no {what}.")
