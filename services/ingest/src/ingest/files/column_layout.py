"""Detection of the roles of a table's columns: time, value, sensor, belief time, source, probability."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from flexmodel.quantities import is_convertible

from ingest.files.cell_parsing import parse_wall_time
from ingest.files.errors import FileError, RowErrors

COLUMN_NAMES = {
    "start": ("event_start", "start", "time", "timestamp", "datetime", "date_time", "date", "from", "start_time"),
    "belief": ("belief_time", "believed_at", "recorded_at", "prior"),
    "source": ("source",),
    "probability": ("cumulative_probability",),
}
"""Names of columns by role, in order of preference."""
VALUE_NAMES = ("event_value", "value", "values")
SENSOR_NAMES = ("sensor", "sensor_id", "sensor_name")

UNIT = re.compile(r"[\[(]\s*([^\[\]()]+?)\s*[\])]\s*$")

DEFAULT_PROBABILITY = 0.5
"""Cumulative probability of a single value."""


@dataclass(frozen=True, slots=True)
class ColumnLayout:
    """Roles of the columns. In a file with a column per sensor, `sensors` has the sensor's name of each."""

    roles: dict[str, str]
    sensors: dict[str, str]
    unnamed_columns: tuple[str, ...] = ()
    """Columns without a name beside named ones. They must be empty."""
    unit: str | None = None
    """Unit in the name of the value column."""

    def named_sensors(self, table: pl.DataFrame) -> set[str]:
        """Return the names of the sensors in this table."""
        if self.sensors:
            return set(self.sensors.values())
        return set(table[self.roles["sensor"]].unique().drop_nulls()) if "sensor" in self.roles else set()

    def drop_unknown_sensors(self, unknown: Sequence[str], table: pl.DataFrame, errors: RowErrors) -> pl.DataFrame:
        """Drop the rows of unknown sensors and report them."""
        if not unknown:
            return table
        if self.sensors:
            raise FileError(f"There is no sensor called '{unknown[0]}' that you may send values to.")
        column = self.roles["sensor"]
        is_unknown = pl.col(column).is_in(unknown).fill_null(False)
        errors.add(
            table.filter(is_unknown).select("row", column),
            lambda name: f"there is no sensor called '{name}' that you may send values to.",
        )
        return table.filter(~is_unknown)


def find_heading(table: pl.DataFrame) -> tuple[str, ...]:
    """Return the names in the first row, or none if it holds a time and so is data."""
    first = table.drop("row").head(1)
    if any(holds_time(first, column) for column in first.columns):
        return ()
    return tuple(str(cell or "") for cell in first.row(0))


def holds_time(table: pl.DataFrame, column: str) -> bool:
    return table.head(1).select(parse_wall_time(column).is_not_null().any()).item() is True


def layout_for_one_sensor(names: tuple[str, ...], table: pl.DataFrame, value_name: str) -> ColumnLayout:
    """Detect the layout of a file about one sensor, by name of the columns, else by their order.

    The value column may also be called `value_name`.
    """
    columns = table.drop("row").columns
    roles = find_roles(names, columns, COLUMN_NAMES | {"value": (*VALUE_NAMES, normalize_name(value_name))})
    rest = [column for column in columns if column not in roles.values()]
    missing = [role for role in ("start", "value") if role not in roles]
    if len(missing) == 2 and len(rest) == 3 and holds_time(table, rest[1]):
        missing = ["start", "belief", "value"]
    if missing and len(missing) != len(rest):
        called = ", ".join(names) or f"{len(columns)} without names"
        raise FileError(f"The columns cannot be told apart ({called[:400]}): call them event_start and event_value.")
    roles |= dict(zip(missing, rest, strict=False))
    name = dict(zip(columns, names, strict=False)).get(roles["value"], "")
    return ColumnLayout(roles, {}, unit=unit_in_name(name))


def layout_for_many_sensors(names: tuple[str, ...], table: pl.DataFrame) -> ColumnLayout:
    """Detect the layout of a file about several sensors.

    It has a column with the sensor of each row, or a column of values per sensor.
    """
    columns = table.drop("row").columns
    roles = find_roles(names, columns, COLUMN_NAMES | {"value": VALUE_NAMES, "sensor": SENSOR_NAMES})
    if "start" not in roles:
        raise FileError(
            "The first row must name the columns: event_start, sensor and event_value, or event_start and each sensor."
        )
    rest = {column: name for column, name in zip(columns, names, strict=False) if column not in roles.values()}
    if "sensor" in roles:
        if "value" not in roles:
            raise FileError("There is a column for the sensor but none for the values: call it event_value.")
        return ColumnLayout(roles, {})
    if "value" in roles:  # a sensor may have that name
        column = roles.pop("value")
        rest[column] = names[columns.index(column)]
    sensors = {column: name for column, name in rest.items() if name}
    if not sensors:
        raise FileError("No column is called like a sensor. Name the columns of values by sensor id or name.")
    return ColumnLayout(roles, sensors, tuple(column for column in rest if column not in sensors))


def unit_in_name(name: str) -> str | None:
    """Return the unit in the name of a column, such as `power [MW]` or `power (MW)`."""
    match = UNIT.search(name)
    return match[1] if match and is_convertible(match[1], match[1]) else None


def find_roles(names: tuple[str, ...], columns: list[str], known_names: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Return the column of each role that is found by name."""
    normalized = [normalize_name(name) for name in names]
    roles = {}
    for role, candidates in known_names.items():
        matching = [columns[normalized.index(name)] for name in candidates if name in normalized]
        if matching:
            roles[role] = matching[0]
    return roles


def normalize_name(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")
