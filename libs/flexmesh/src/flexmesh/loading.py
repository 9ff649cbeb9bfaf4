"""Values of a sensor from a file, read as the layout says, by the same rules as uploads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from flexmodel.errors import Conflict, FlexmeshError
from flexstore import series
from flexstore.series import Beliefs, Written
from flexstore.store import Connection
from ingest.data.repository import find_sensor
from ingest.files.columns import read_cells
from ingest.files.events import events_of
from ingest.files.formats import FileError, Limits, Table, decode, read
from ingest.storing import Storage

from flexmesh.inventory import find_source

NOTHING = "There are no rows with a value in it."
BINARY = (b"PK\x03\x04", b"PAR1", b"\xd0\xcf\x11\xe0")
"""How Excel and Parquet files begin."""

LIMITS = Limits(rows=5_000_000, unpacked_bytes=2_000_000_000)


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
) -> Written:
    """Stores what is in the file. Without horizon and column of belief times, all of it was believed now."""
    sensor = await find_sensor(con, sensor_id)
    source_id = await find_source(con, source)
    try:
        events = events_of(rows_of(table_of(file, layout), layout), sensor, unit)
    except FileError as error:
        raise FlexmeshError(f"{file}: {error}") from None
    starts = instants(events["start"])
    if horizon is not None:
        believed = starts + np.timedelta64((sensor.resolution - horizon) // timedelta(microseconds=1), "us")
    elif layout.beliefcol is not None:
        believed = instants(events["belief"])
    else:
        believed = np.full(len(starts), series.moment(datetime.now(UTC)))
    values = events["value"].to_numpy().astype(float)
    written = await Storage().store(con, sensor, Beliefs(sensor_id, starts, believed, values, source_id, probability))
    if written.changed and not overwrite:
        raise Conflict(
            f"{written.changed} values are there already, for the same time of belief, and differ. "
            "Nothing was stored. Use --allow-overwrite to replace them."
        )
    return written


def table_of(file: Path, layout: Layout) -> Table:
    """The rows below those to skip, which may look quite different."""
    content = file.read_bytes()
    if content.startswith(BINARY):
        table = read(content, LIMITS)
        skipped = 0 if table.names else layout.skiprows
        return Table(table.rows.slice(skipped), table.first + skipped, table.decimal_comma)
    body = "".join(decode(content).splitlines(keepends=True)[layout.skiprows :])
    if not body.strip():
        raise FileError(NOTHING)
    if layout.delimiter is None:
        table = read(body.encode(), LIMITS)
        return Table(table.rows, table.first + layout.skiprows, table.decimal_comma)
    try:
        rows = pl.read_csv(body.encode(), has_header=False, infer_schema=False, separator=layout.delimiter)
    except pl.exceptions.PolarsError as error:
        raise FileError(f"This is no CSV with '{layout.delimiter}' between columns: {error}") from None
    return Table(rows.rename({name: str(i) for i, name in enumerate(rows.columns)}), 1 + layout.skiprows)


def rows_of(table: Table, layout: Layout) -> pl.DataFrame:
    """The rows that hold a value, with times and numbers read."""
    columns = {"start": layout.datecol, "value": layout.valuecol}
    if layout.beliefcol is not None:
        columns["belief"] = layout.beliefcol
    for number in (*columns.values(), *layout.filters):
        if str(number) not in table.rows.columns:
            raise FileError(f"There is no column {number}: the file has the columns 0 to {table.rows.width - 1}.")
    rows = table.rows.with_row_index("row", offset=table.first).slice(0, layout.nrows)
    for number, wanted in layout.filters.items():
        rows = rows.filter(pl.col(str(number)) == wanted)
    if rows.is_empty():
        raise FileError(NOTHING)
    nothing = pl.lit(None, pl.String)
    text = rows.select(
        "row",
        start=pl.col(str(layout.datecol)),
        value=value_text(str(layout.valuecol), layout),
        belief=nothing if layout.beliefcol is None else pl.col(str(layout.beliefcol)),
        source=nothing,
    )
    decimal_comma = table.decimal_comma if layout.decimal is None else layout.decimal == ","
    found = read_cells(text, layout.timezone, decimal_comma)
    if found.problems:
        raise FileError(" ".join(found.problems))
    if found.frame.is_empty():
        raise FileError(NOTHING)
    return found.frame


def value_text(column: str, layout: Layout) -> pl.Expr:
    text = pl.col(column)
    if layout.thousands:
        text = text.str.replace_all(layout.thousands, "", literal=True)
    missing = ["", *layout.missing]
    return pl.when(~text.is_in(missing)).then(text)


def instants(column: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.datetime64]]:
    return column.dt.replace_time_zone(None).dt.cast_time_unit("us").to_numpy().astype("datetime64[us]")
