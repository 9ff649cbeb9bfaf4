"""Excel and Parquet to CSV, in a process of its own that may take only so much memory, time and disk.

A small file can claim, or unpack to, gigabytes. Who reads it here ends at the limit, and harms nobody else.
"""

import sys
from pathlib import Path

import fastexcel
import polars as pl

from ingest.files.problems import FileError
from ingest.files.workbooks import Sheet, unpacked

REFUSED = 3
"""The exit code when the reason is on standard output."""
MEMORY_BYTES = 230 * 2**20
SECONDS = 60
AT_A_TIME = 100_000
"""Rows that are written at a time."""


def main() -> int:
    kind, given, made, *numbers = sys.argv[1:]
    rows, text_bytes, workbook_bytes, columns = map(int, numbers)
    limit_means(max(text_bytes, workbook_bytes))
    try:
        if kind == "excel":
            excel(Path(given), workbook_bytes, rows, columns).write_csv(made, include_header=False)
        else:
            write(parquet(Path(given), rows, columns), Path(made))
    except FileError as error:
        print(error, end="")
        return REFUSED
    except (pl.exceptions.PolarsError, OSError) as error:
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


def excel(given: Path, most_bytes: int, most_rows: int, most_columns: int) -> pl.DataFrame:
    """The first sheet of a workbook, row by row as in the sheet."""
    plain = given.with_suffix(".xlsx")
    sheet = unpacked(given, plain, Sheet(most_rows, most_columns), most_bytes)
    given.unlink()
    try:
        # Without `skip_rows`, blank rows at the top would not count.
        table = fastexcel.read_excel(plain).load_sheet(0, header_row=None, skip_rows=0, dtypes="string").to_polars()
    except fastexcel.FastExcelError as error:
        raise FileError(f"This Excel file cannot be read: {str(error).partition('\n')[0]}.") from error
    table = table.select(on_one_line(pl.all()))
    for column, cells in sheet.wrong.items():
        if column < table.width:
            rows = [row for row in cells if row < table.height]
            texts = [cells[row] for row in rows]
            table = table.with_columns(table.to_series(column).scatter(rows, texts))
    return table


def parquet(given: Path, most_rows: int, most_columns: int) -> pl.LazyFrame:
    lazy = pl.scan_parquet(given)
    schema = lazy.collect_schema()
    if len(schema) > most_columns:
        raise FileError(f"There are {len(schema)} columns; at most {most_columns} are read.")
    if lazy.select(pl.len()).collect().item() > most_rows:
        raise FileError(f"There are more than {most_rows} rows. Split the file.")
    plain = {name: " ".join(name.split()) for name in schema}
    return lazy.select(as_text(name, kind) for name, kind in schema.items()).rename(plain)


def write(lazy: pl.LazyFrame, made: Path) -> None:
    """Some rows at a time: all of them together can take much memory."""
    count = lazy.select(pl.len()).collect().item()
    with made.open("wb") as file:
        for first in range(0, max(count, 1), AT_A_TIME):
            lazy.slice(first, AT_A_TIME).collect().write_csv(file, include_header=first == 0)


def as_text(name: str, kind: pl.DataType) -> pl.Expr:
    if isinstance(kind, pl.Datetime) and kind.time_zone:
        return pl.col(name).dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%d %H:%M:%S%.fZ")
    if kind.is_nested() or kind == pl.Binary:
        return pl.lit(None, pl.String).alias(name)
    return on_one_line(pl.col(name).cast(pl.String))


def on_one_line(text: pl.Expr) -> pl.Expr:
    """Each row is to be one line, so that lines can be counted as rows."""
    return text.str.replace_all(r"[\r\n]", " ")


if __name__ == "__main__":
    sys.exit(main())
