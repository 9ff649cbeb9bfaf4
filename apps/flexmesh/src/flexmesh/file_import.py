"""Import of a file with values of a sensor, by the same rules as uploads."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from flexmodel.errors import Conflict, FlexmeshError
from flexmodel.time import Instants, instant
from flexstore.series import BeliefBatch, WriteCounts
from flexstore.store import Connection
from ingest.belief_writer import BeliefWriter
from ingest.data.repository import Sensor, load_sensor
from ingest.files import csv_reader
from ingest.files.column_layout import ColumnLayout
from ingest.files.csv_reader import CsvDialect
from ingest.files.errors import FileError, RowErrors
from ingest.files.file_formats import FileLimits, open_as_csv
from ingest.files.row_parser import RowParser
from ingest.files.staging import Staging, iterate_in_thread

from flexmesh.record_creation import find_source

NOTHING = "There are no rows with a value in it."
LIMITS = FileLimits(rows=1_000_000_000, text_bytes=10_000_000_000, workbook_bytes=200_000_000)
"""Limits of files on the command line. They are wide, because the operator chooses the file."""


@dataclass(frozen=True)
class FileLayout:
    """Columns and notation of a file."""

    skiprows: int = 1
    nrows: int | None = None
    datecol: int = 0
    valuecol: int = 1
    beliefcol: int | None = None
    filters: Mapping[int, str] = field(default_factory=dict)
    missing: Sequence[str] = ()
    delimiter: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    timezone: str = "UTC"


async def import_file(
    con: Connection,
    file: Path,
    layout: FileLayout,
    *,
    sensor_id: int,
    source: str,
    unit: str | None = None,
    horizon: timedelta | None = None,
    probability: float = 0.5,
    overwrite: bool = False,
) -> WriteCounts:
    """Store the values of the file. Without a horizon and a column of belief times, the belief time is now.

    Raises:
        FlexmeshError: If a row is invalid. Nothing is stored then.
        Conflict: If values differ from stored ones and may not overwrite them.
    """
    sensor = await load_sensor(con, sensor_id)
    source_id = await find_source(con, source)
    now, written, writer = datetime.now(UTC), WriteCounts(), BeliefWriter()
    try:
        async for events in iterate_events(con, file, layout, sensor, unit):
            starts = to_instants(events["start"])
            believed: np.datetime64 | Instants = instant(now)
            if horizon is not None:
                believed = starts + np.timedelta64((sensor.resolution - horizon) // timedelta(microseconds=1), "us")
            elif layout.beliefcol is not None:
                believed = to_instants(events["belief"])
            values = events["value"].to_numpy()
            beliefs = BeliefBatch(sensor_id, starts, believed, values, source_id, probability)
            written += await writer.write(con, sensor, beliefs)
    except FileError as error:
        raise FlexmeshError(f"{file}: {error}") from None
    if written.changed and not overwrite:
        raise Conflict(
            f"{written.changed} values are there already, for the same time of belief, and differ. "
            "Nothing was stored. Use --allow-overwrite to replace them."
        )
    return written


async def iterate_events(
    con: Connection, file: Path, layout: FileLayout, sensor: Sensor, unit: str | None
) -> AsyncIterator[pl.DataFrame]:
    """Yield the events of the sensor from the rows. Raises `FileError` if any row is invalid."""
    errors = RowErrors()
    async with Staging.open(con) as staging:
        async for rows in iterate_in_thread(iterate_rows(file, layout, errors)):
            await staging.add(rows.with_columns(sensor=pl.lit(sensor.id, pl.Int32)))
        if not errors.count:
            if not staging.count:
                raise FileError(NOTHING)
            await staging.resolve_ambiguous_times()
            async for _, events in staging.build_events([sensor], unit, errors):
                yield events
        if errors.count:
            raise FileError(" ".join(errors.to_sentences()))


def iterate_rows(file: Path, layout: FileLayout, errors: RowErrors) -> Iterator[pl.DataFrame]:
    """Yield the rows that have a value, with times and numbers parsed."""
    parser: RowParser | None = None
    dialect: CsvDialect | None = None
    left = layout.nrows
    with file.open("rb") as content, open_as_csv(content, LIMITS) as csv_file:
        skip = (
            layout.skiprows if csv_file.first_line else 1
        )  # a format that names its columns has no other rows at the top
        for line, body in csv_reader.read_row_blocks(csv_file.file, csv_file.first_line, skip):
            dialect = dialect or choose_dialect(body, layout)
            if dialect is None:
                continue
            table = csv_reader.parse_cells(body, line, dialect, errors)
            if left is not None:
                table = table.head(left)
                left -= table.height
            parser = parser or build_parser(layout, dialect)
            yield parser.parse(select_rows(table, layout), layout.timezone, errors)


def choose_dialect(body: bytes, layout: FileLayout) -> CsvDialect | None:
    found = csv_reader.detect_dialect(body, LIMITS.columns)
    if found is None or layout.delimiter is None:
        return found
    first = next(line for line in body.split(b"\n") if line.strip())
    return CsvDialect(layout.delimiter, 1 + first.decode().count(layout.delimiter))


def build_parser(layout: FileLayout, dialect: CsvDialect) -> RowParser:
    numbers = {"start": layout.datecol, "value": layout.valuecol}
    if layout.beliefcol is not None:
        numbers["belief"] = layout.beliefcol
    for number in (*numbers.values(), *layout.filters):
        if number >= dialect.columns:
            raise FileError(f"There is no column {number}: the file has the columns 0 to {dialect.columns - 1}.")
    comma = dialect.may_have_decimal_commas if layout.decimal is None else layout.decimal == ","
    return RowParser(ColumnLayout({role: str(number) for role, number in numbers.items()}, {}), comma)


def select_rows(table: pl.DataFrame, layout: FileLayout) -> pl.DataFrame:
    """Return the rows that match the filters, with null for missing values."""
    for number, value in layout.filters.items():
        table = table.filter(pl.col(str(number)) == value)
    return table.with_columns(value_expression(str(layout.valuecol), layout))


def value_expression(column: str, layout: FileLayout) -> pl.Expr:
    text = pl.col(column)
    if layout.thousands:
        text = text.str.replace_all(layout.thousands, "", literal=True)
    missing = ["", *layout.missing]
    return pl.when(~text.is_in(missing)).then(text)


def to_instants(column: pl.Series) -> Instants:
    return column.dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
