"""Excel and Parquet to CSV, in a process of its own that may take only so much memory, time and disk.

A small file can claim, or unpack to, gigabytes. Who reads it here ends at the limit, and harms nobody else.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from errno import ENOSPC
from pathlib import Path

import fastexcel
import polars as pl

from ingest.files.problems import FileError
from ingest.files.workbooks import Sheet, unpacked

REFUSED = 3
"""The exit code when the reason is on standard output."""
NO_ROOM = 4
"""The exit code when the disk is full."""
MEMORY_BYTES = 200 * 2**20
SECONDS = 60
AT_A_TIME = 100_000
"""Rows that are written at a time."""
MAY_BE_ROUNDED = r"^-?(?:0|(?:0|[1-9]\d*)\.\d*[1-9])$"
"""Numbers as they are written for cells; `7` is exact, and `1.10` is a text, such as the name of a sensor."""


def main() -> int:
    kind, given, made, *numbers = sys.argv[1:]
    rows, text_bytes, workbook_bytes, columns = map(int, numbers)
    limit_means(max(text_bytes, workbook_bytes))
    try:
        if kind == "excel":
            write(excel(Path(given), workbook_bytes, rows, columns), Path(made), names=False)
        else:
            write(parquet(Path(given), rows, columns), Path(made), names=True)
    except FileError as error:
        print(error, end="")
        return REFUSED
    except (pl.exceptions.PolarsError, OSError) as error:
        if os.strerror(ENOSPC) in str(error):
            return NO_ROOM
        print(f"This {kind.capitalize()} file cannot be read: {str(error).partition('\n')[0]}.", end="")
        return REFUSED
    return 0


def limit_means(file_bytes: int) -> None:
    """Take no more than this from here on. Where the system cannot promise that, the checks on the way have to do."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    if sys.platform == "linux":
        [taken] = (
            line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData:")
        )
        resource.setrlimit(resource.RLIMIT_DATA, (int(taken) * 1024 + MEMORY_BYTES,) * 2)
    for what, most in (
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def write(parts: Iterable[pl.DataFrame], made: Path, *, names: bool) -> None:
    """As CSV, with a first row of names or without."""
    with made.open("wb") as file:
        for place, part in enumerate(parts):
            part.write_csv(file, include_header=names and place == 0)


def excel(given: Path, most_bytes: int, most_rows: int, most_columns: int) -> Iterator[pl.DataFrame]:
    """The first sheet of a workbook, row by row as in the sheet."""
    plain = given.with_suffix(".xlsx")
    sheet = unpacked(given, plain, Sheet(most_rows, most_columns), most_bytes)
    given.unlink()
    try:
        workbook = fastexcel.read_excel(plain)
        # Without `skip_rows`, blank rows at the top would not count. Numbers come first: they take less room.
        numbers, texts = (
            workbook.load_sheet(0, header_row=None, skip_rows=0, dtypes=kind).to_polars()
            for kind in ("float", "string")
        )
    except fastexcel.FastExcelError as error:
        raise FileError(f"This Excel file cannot be read: {str(error).partition('\n')[0]}.") from error
    for first in range(0, texts.height, AT_A_TIME):
        part = unrounded(texts.slice(first, AT_A_TIME), numbers.slice(first, AT_A_TIME)).select(on_one_line(pl.all()))
        for column, cells in sheet.wrong.items():
            rows = [row - first for row in cells if first <= row < first + part.height]
            if column < part.width:
                said = [cells[row + first] for row in rows]
                part = part.with_columns(part.to_series(column).scatter(rows, said))
        yield part


def unrounded(texts: pl.DataFrame, numbers: pl.DataFrame) -> pl.DataFrame:
    """The texts with numbers as they are in the sheet: what reads it writes at most nine decimals of them."""
    exact = numbers.select(pl.all().cast(pl.String).name.prefix("exact "))
    return texts.hstack(exact).select(
        pl.when(pl.col(name).str.contains(MAY_BE_ROUNDED))
        .then(pl.coalesce(pl.col(f"exact {name}"), name))
        .otherwise(name)
        .alias(name)
        for name in texts.columns
    )


def parquet(given: Path, most_rows: int, most_columns: int) -> Iterator[pl.DataFrame]:
    """The rows of a Parquet file, some at a time: all of them together can take much memory."""
    lazy = pl.scan_parquet(given)
    schema = lazy.collect_schema()
    if len(schema) > most_columns:
        raise FileError(f"There are {len(schema)} columns; at most {most_columns} are read.")
    count = lazy.select(pl.len()).collect().item()
    if count > most_rows:
        raise FileError(f"There are more than {most_rows} rows. Split the file.")
    plain = {name: " ".join(name.split()) for name in schema}
    lazy = lazy.select(as_text(name, kind) for name, kind in schema.items()).rename(plain)
    for first in range(0, max(count, 1), AT_A_TIME):
        yield lazy.slice(first, AT_A_TIME).collect()


def as_text(name: str, kind: pl.DataType) -> pl.Expr:
    if isinstance(kind, pl.Datetime) and kind.time_zone:
        return pl.col(name).dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%d %H:%M:%S%.fZ")
    if kind.is_nested():  # so that it is named where a value is looked for
        return pl.when(pl.col(name).is_not_null()).then(pl.lit(f"a {kind.base_type()}")).alias(name)
    return on_one_line(pl.col(name).cast(pl.String))


def on_one_line(text: pl.Expr) -> pl.Expr:
    """Each row is to be one line, so that lines can be counted as rows."""
    return text.str.replace_all(r"[\r\n]", " ")


if __name__ == "__main__":
    sys.exit(main())
