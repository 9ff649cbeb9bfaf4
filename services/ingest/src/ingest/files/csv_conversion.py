"""Conversion of Excel and Parquet files to CSV, in a subprocess with limits on memory, time and disk.

A small file can unpack to gigabytes. Reading it here fails at the limit without harm to the service.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from errno import ENOSPC
from pathlib import Path

import fastexcel
import polars as pl

from ingest.files.errors import FileError
from ingest.files.workbooks import SheetScan, unpack_workbook

REFUSED = 3
"""Exit code when the file is refused; the reason is on standard output."""
DISK_FULL = 4
"""Exit code when the disk is full."""
MEMORY_BYTES = 200 * 2**20
SECONDS = 60
ROWS_PER_PART = 100_000
"""Rows written at a time."""
MAY_BE_ROUNDED = r"^-?(?:0|(?:0|[1-9]\d*)\.\d*[1-9])$"
"""Numbers in the form in which cells are written; `7` is exact, and `1.10` is a text, such as a sensor's name."""


def main() -> int:
    """Convert the file named by the arguments. Returns the exit code."""
    kind, source, target, *numbers = sys.argv[1:]
    rows, text_bytes, workbook_bytes, columns = map(int, numbers)
    limit_resources(max(text_bytes, workbook_bytes))
    try:
        if kind == "excel":
            write_csv(read_excel(Path(source), workbook_bytes, rows, columns), Path(target), header=False)
        else:
            write_csv(read_parquet(Path(source), rows, columns), Path(target), header=True)
    except FileError as error:
        print(error, end="")
        return REFUSED
    except (pl.exceptions.PolarsError, OSError) as error:
        if os.strerror(ENOSPC) in str(error):
            return DISK_FULL
        print(f"This {kind.capitalize()} file cannot be read: {str(error).partition('\n')[0]}.", end="")
        return REFUSED
    return 0


def limit_resources(file_bytes: int) -> None:
    """Limit the memory, time and disk of this process, as far as the system supports it."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    if sys.platform == "linux":
        [in_use] = (
            line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData:")
        )
        resource.setrlimit(resource.RLIMIT_DATA, (int(in_use) * 1024 + MEMORY_BYTES,) * 2)
    for limit, value in (
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))


def write_csv(parts: Iterable[pl.DataFrame], target: Path, *, header: bool) -> None:
    """Write the parts as CSV, with or without a header."""
    with target.open("wb") as file:
        for index, part in enumerate(parts):
            part.write_csv(file, include_header=header and index == 0)


def read_excel(source: Path, max_bytes: int, max_rows: int, max_columns: int) -> Iterator[pl.DataFrame]:
    """Yield the rows of a workbook's first sheet, as in the sheet."""
    uncompressed = source.with_suffix(".xlsx")
    sheet = unpack_workbook(source, uncompressed, SheetScan(max_rows, max_columns), max_bytes)
    source.unlink()
    try:
        workbook = fastexcel.read_excel(uncompressed)
        # Without `skip_rows`, blank rows at the top would not count. Numbers first: they take less memory.
        numbers, texts = (
            workbook.load_sheet(0, header_row=None, skip_rows=0, dtypes=kind).to_polars()
            for kind in ("float", "string")
        )
    except fastexcel.FastExcelError as error:
        raise FileError(f"This Excel file cannot be read: {str(error).partition('\n')[0]}.") from error
    for first in range(0, texts.height, ROWS_PER_PART):
        part = restore_precision(texts.slice(first, ROWS_PER_PART), numbers.slice(first, ROWS_PER_PART)).select(
            join_lines(pl.all())
        )
        for column, cells in sheet.bad_cells.items():
            rows = [row - first for row in cells if first <= row < first + part.height]
            if column < part.width:
                texts_of_rows = [cells[row + first] for row in rows]
                part = part.with_columns(part.to_series(column).scatter(rows, texts_of_rows))
        yield part


def restore_precision(texts: pl.DataFrame, numbers: pl.DataFrame) -> pl.DataFrame:
    """Restore numbers that the reader wrote with at most nine decimals."""
    exact = numbers.select(pl.all().cast(pl.String).name.prefix("exact "))
    return texts.hstack(exact).select(
        pl.when(pl.col(name).str.contains(MAY_BE_ROUNDED))
        .then(pl.coalesce(pl.col(f"exact {name}"), name))
        .otherwise(name)
        .alias(name)
        for name in texts.columns
    )


def read_parquet(source: Path, max_rows: int, max_columns: int) -> Iterator[pl.DataFrame]:
    """Yield the rows of a Parquet file in parts, to save memory."""
    lazy = pl.scan_parquet(source)
    schema = lazy.collect_schema()
    if len(schema) > max_columns:
        raise FileError(f"There are {len(schema)} columns; at most {max_columns} are read.")
    count = lazy.select(pl.len()).collect().item()
    if count > max_rows:
        raise FileError(f"There are more than {max_rows} rows. Split the file.")
    normalized = {name: " ".join(name.split()) for name in schema}
    lazy = lazy.select(parquet_text(name, kind) for name, kind in schema.items()).rename(normalized)
    for first in range(0, max(count, 1), ROWS_PER_PART):
        yield lazy.slice(first, ROWS_PER_PART).collect()


def parquet_text(name: str, kind: pl.DataType) -> pl.Expr:
    """Return a column of a Parquet file as text."""
    if isinstance(kind, pl.Datetime) and kind.time_zone:
        return pl.col(name).dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%d %H:%M:%S%.fZ")
    if kind.is_nested():  # so that the error names it
        return pl.when(pl.col(name).is_not_null()).then(pl.lit(f"a {kind.base_type()}")).alias(name)
    return join_lines(pl.col(name).cast(pl.String))


def join_lines(text: pl.Expr) -> pl.Expr:
    """Remove line ends, so that line numbers are row numbers."""
    return text.str.replace_all(r"[\r\n]", " ")


if __name__ == "__main__":
    sys.exit(main())
