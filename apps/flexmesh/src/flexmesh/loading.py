"""Values of a sensor from a file, read as the layout says, by the same rules as uploads."""

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
from ingest.data.repository import Sensor, find_sensor
from ingest.files import columns, text
from ingest.files.columns import Reader
from ingest.files.formats import Limits, as_csv
from ingest.files.problems import FileError, Problems
from ingest.files.staging import Staging, beside
from ingest.files.text import Shape
from ingest.storing import Storage

from flexmesh.inventory import find_source

NOTHING = "There are no rows with a value in it."
LIMITS = Limits(rows=1_000_000_000, text_bytes=10_000_000_000, workbook_bytes=200_000_000)
"""Of files that whoever runs the command chose."""


@dataclass(frozen=True)
class Layout:
    """Where in the file things are, and how they are written."""

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


async def load(
    con: Connection,
    file: Path,
    layout: Layout,
    *,
    sensor_id: int,
    source: str,
    unit: str | None = None,
    horizon: timedelta | None = None,
    probability: float = 0.5,
    overwrite: bool = False,
) -> WriteCounts:
    """Stores what is in the file. Without horizon and column of belief times, all of it was believed now."""
    sensor = await find_sensor(con, sensor_id)
    source_id = await find_source(con, source)
    now, written, storage = datetime.now(UTC), WriteCounts(), Storage()
    try:
        async for events in events_in(con, file, layout, sensor, unit):
            starts = instants(events["start"])
            believed: np.datetime64 | Instants = instant(now)
            if horizon is not None:
                believed = starts + np.timedelta64((sensor.resolution - horizon) // timedelta(microseconds=1), "us")
            elif layout.beliefcol is not None:
                believed = instants(events["belief"])
            values = events["value"].to_numpy()
            beliefs = BeliefBatch(sensor_id, starts, believed, values, source_id, probability)
            written += await storage.store(con, sensor, beliefs)
    except FileError as error:
        raise FlexmeshError(f"{file}: {error}") from None
    if written.changed and not overwrite:
        raise Conflict(
            f"{written.changed} values are there already, for the same time of belief, and differ. "
            "Nothing was stored. Use --allow-overwrite to replace them."
        )
    return written


async def events_in(
    con: Connection, file: Path, layout: Layout, sensor: Sensor, unit: str | None
) -> AsyncIterator[pl.DataFrame]:
    """The events of the sensor that the rows make. Raises `FileError` if there is any row that cannot be read."""
    problems = Problems()
    async with Staging.opened(con) as staging:
        async for rows in beside(rows_in(file, layout, problems)):
            await staging.add(rows.with_columns(sensor=pl.lit(sensor.id, pl.Int32)))
        if not problems.count:
            if not staging.count:
                raise FileError(NOTHING)
            await staging.settle()
            async for _, events in staging.events([sensor], unit, problems):
                yield events
        if problems.count:
            raise FileError(" ".join(problems.sentences()))


def rows_in(file: Path, layout: Layout, problems: Problems) -> Iterator[pl.DataFrame]:
    """The rows that hold a value, with times and numbers read."""
    reader: Reader | None = None
    shape: Shape | None = None
    left = layout.nrows
    with file.open("rb") as content, as_csv(content, LIMITS) as csv:
        skip = layout.skiprows if csv.first else 1  # a format that names its columns has no other rows at the top
        for line, body in text.records(csv.file, csv.first, skip):
            shape = shape or shape_of(body, layout)
            if shape is None:
                continue
            table = text.cells(body, line, shape, problems)
            if left is not None:
                table = table.head(left)
                left -= table.height
            reader = reader or reader_of(layout, shape)
            yield reader.rows(wanted(table, layout), layout.timezone, problems)


def shape_of(body: bytes, layout: Layout) -> Shape | None:
    found = text.shape_of(body, LIMITS.columns)
    if found is None or layout.delimiter is None:
        return found
    first = next(line for line in body.split(b"\n") if line.strip())
    return Shape(layout.delimiter, 1 + first.decode().count(layout.delimiter))


def reader_of(layout: Layout, shape: Shape) -> Reader:
    numbers = {"start": layout.datecol, "value": layout.valuecol}
    if layout.beliefcol is not None:
        numbers["belief"] = layout.beliefcol
    for number in (*numbers.values(), *layout.filters):
        if number >= shape.columns:
            raise FileError(f"There is no column {number}: the file has the columns 0 to {shape.columns - 1}.")
    comma = shape.decimal_comma if layout.decimal is None else layout.decimal == ","
    return Reader(columns.Layout({role: str(number) for role, number in numbers.items()}, {}), comma)


def wanted(table: pl.DataFrame, layout: Layout) -> pl.DataFrame:
    """The rows that were asked for, with what stands for a missing value away."""
    for number, value in layout.filters.items():
        table = table.filter(pl.col(str(number)) == value)
    return table.with_columns(value_text(str(layout.valuecol), layout))


def value_text(column: str, layout: Layout) -> pl.Expr:
    text = pl.col(column)
    if layout.thousands:
        text = text.str.replace_all(layout.thousands, "", literal=True)
    missing = ["", *layout.missing]
    return pl.when(~text.is_in(missing)).then(text)


def instants(column: pl.Series) -> Instants:
    return column.dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
