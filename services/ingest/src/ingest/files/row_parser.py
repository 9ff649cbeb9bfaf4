"""Parsing of a table's text cells into rows of times and numbers. Cells that cannot be parsed are reported by row."""

from dataclasses import dataclass

import polars as pl

from ingest.files.cell_parsing import parse_numbers, parse_times
from ingest.files.column_layout import DEFAULT_PROBABILITY, ColumnLayout
from ingest.files.errors import FileError, RowErrors

TEXT_ROLES = ("start", "belief", "source", "probability", "sensor", "value")
EXAMPLE_TIME = "2026-03-29T00:15:00+01:00"


@dataclass(slots=True)
class RowParser:
    """Parses the rows of one file, table after table."""

    layout: ColumnLayout
    may_have_decimal_commas: bool
    """True if numbers may be written with a decimal comma."""
    has_decimal_comma: bool = False
    """True if a number with a decimal comma was found."""
    first_decimal_point: int | None = None
    """First row with a number that has a decimal point."""

    def parse(self, table: pl.DataFrame, zone: str | None, errors: RowErrors) -> pl.DataFrame:
        """Parse the rows that hold a value into the columns of `staging.COLUMNS`.

        Times without a UTC offset are taken in `zone`, and refused if it is None. `wall` is the start as written;
        `second` is its second occurrence, in the hour that the clock shows twice.
        """
        text = self._select_text(table, errors)
        starts, beliefs = (parse_times(text, column, zone) for column in ("start", "belief"))
        text = text.with_columns(
            starts.rename({"utc": "utc_start"}), utc_belief=beliefs["utc"], is_ambiguous=beliefs["second"].is_not_null()
        )
        self._refuse_times(text, zone, errors)
        text = self._unpivot(text)
        self._detect_decimal_mark(text)
        text = text.with_columns(
            number=parse_numbers("value", decimal_comma=self.has_decimal_comma),
            parsed_probability=parse_numbers("probability", decimal_comma=self.has_decimal_comma),
        )
        text = text.with_columns(
            valid_probability=pl.col("probability").is_null() | pl.col("parsed_probability").is_between(0, 1)
        )
        self._refuse_values(text, errors)
        valid_belief = pl.col("belief").is_null() | (pl.col("utc_belief").is_not_null() & ~pl.col("is_ambiguous"))
        valid_probability = pl.col("valid_probability").fill_null(False)
        has_sensor = pl.col("sensor").is_not_null() if "sensor" in self.layout.roles else pl.lit(True)
        required = (pl.col(name).is_not_null() for name in ("utc_start", "number"))
        return text.filter(*required, valid_belief, valid_probability, has_sensor).select(
            "row", "sensor", "wall", "second", "source",
            start="utc_start", belief="utc_belief", value="number",
            probability=pl.col("parsed_probability").fill_null(DEFAULT_PROBABILITY),
        )  # fmt: skip

    def _unpivot(self, text: pl.DataFrame) -> pl.DataFrame:
        """Move each value of a table with a column per sensor into a row of its own, with the sensor beside it."""
        sensors = self.layout.sensors
        if not sensors:
            return text
        text = text.drop("sensor", "value")
        index = [name for name in text.columns if name not in sensors]
        values = text.unpivot(on=list(sensors), index=index, variable_name="sensor")
        return values.filter(pl.col("value").is_not_null()).with_columns(pl.col("sensor").replace_strict(sensors))

    def _select_text(self, table: pl.DataFrame, errors: RowErrors) -> pl.DataFrame:
        for column in self.layout.unnamed_columns:
            filled = table.filter(pl.col(column).str.len_bytes() > 0)["row"]
            errors.add_same_reason(filled, "there is something in a column without a name.")
        roles = self.layout.roles
        missing = pl.lit(None, pl.String)
        by_role = (
            (pl.when(pl.col(roles[role]) != "").then(pl.col(roles[role])) if role in roles else missing).alias(role)
            for role in TEXT_ROLES
        )
        values = (pl.when(pl.col(column) != "").then(pl.col(column)) for column in self.layout.sensors)
        return table.select("row", *by_role, *values)

    def _detect_decimal_mark(self, text: pl.DataFrame) -> None:
        """Detect whether the file writes decimal commas or points. A file with both is refused."""
        if not self.may_have_decimal_commas:
            return
        commas = text.filter(pl.col("value").str.contains(",", literal=True))["row"]
        if len(commas) and self.first_decimal_point is not None:
            raise FileError(
                f"row {commas[0]}: a decimal comma, where row {self.first_decimal_point} has a decimal point."
            )
        self.has_decimal_comma = self.has_decimal_comma or bool(len(commas))
        points = text.filter(pl.col("value").str.contains(".", literal=True))["row"]
        if len(points) and not self.has_decimal_comma:
            self.first_decimal_point = points[0]

    def _refuse_times(self, text: pl.DataFrame, zone: str | None, errors: RowErrors) -> None:
        expected = f"in {zone}, such as {EXAMPLE_TIME}" if zone else f"with its distance to UTC, such as {EXAMPLE_TIME}"
        for column, parsed in (("start", "utc_start"), ("belief", "utc_belief")):
            bad = text.filter(pl.col(column).is_not_null() & pl.col(parsed).is_null()).select("row", column)
            errors.add(bad, lambda cell: f"'{cell}' is not a time {expected}.")
        errors.add(
            text.filter("is_ambiguous").select("row", "belief"),
            lambda cell: f"the clock shows '{cell}' twice that night: write its distance to UTC.",
        )

    def _refuse_values(self, text: pl.DataFrame, errors: RowErrors) -> None:
        example = ", such as 12.5" if not self.has_decimal_comma else ", such as 12,5"
        hint = "; the file writes decimal commas, so a point is unclear"
        sensor_column = ["sensor"] if self.layout.sensors else []
        errors.add(
            text.filter(pl.col("value").is_not_null() & pl.col("number").is_null()).select(
                "row", "value", *sensor_column
            ),
            lambda cell, *sensor: (
                f"{''.join(f'{name}: ' for name in sensor)}'{cell}' is not a number"
                f"{hint if self.has_decimal_comma and '.' in cell else example}."
            ),
        )
        errors.add(
            text.filter(~pl.col("valid_probability").fill_null(False)).select("row", "probability"),
            lambda cell: f"'{cell}' is not a cumulative probability, from 0 to 1.",
        )
        for column, what in (("start", "time"), *([("sensor", "sensor")] if "sensor" in self.layout.roles else [])):
            without = text.filter(pl.col("value").is_not_null() & pl.col(column).is_null()).select("row")
            errors.add(without, lambda what=what: f"there is a value but no {what}.")
