"""Reading of CSV files into tables of text cells, block by block, each row with its line number."""

import codecs
import csv
import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from io import IncrementalNewlineDecoder, StringIO
from os import SEEK_END
from typing import BinaryIO

import numpy as np
import polars as pl

from ingest.files.column_layout import ColumnLayout, find_heading
from ingest.files.errors import FileError, RowErrors
from ingest.files.file_formats import FileLimits, open_as_csv
from ingest.files.row_parser import RowParser

BLOCK_BYTES = 1 << 18
"""Bytes read at a time: enough for speed, and few enough for little memory."""
MAX_ROW_BYTES = 1 << 20
MAX_CELL_CHARACTERS = 80
"""Longest cell that is kept whole; no time, number or name is longer."""
SEPARATORS = "\t;|,"
QUOTED = re.compile(rb'"[^"]*"')
SAMPLE_ROWS = 20
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
NOT_TEXT = "This is neither CSV, Excel (.xlsx) nor Parquet."


@dataclass(frozen=True, slots=True)
class CsvDialect:
    """Separator and number of columns of a CSV file."""

    separator: str
    columns: int

    @property
    def may_have_decimal_commas(self) -> bool:
        """True if numbers may be written with a decimal comma."""
        return self.separator != ","


def detect_dialect(body: bytes, max_columns: int) -> CsvDialect | None:
    """Detect the dialect from the first row that is not blank; None if all are blank."""
    rows = [row for row in QUOTED.sub(b"", body).splitlines() if row.strip()]
    if not rows:
        return None
    separator = detect_separator([row.decode() for row in rows[:SAMPLE_ROWS]])
    columns = 1 + rows[0].decode().count(separator)
    if columns > max_columns:
        raise FileError(f"There are {columns} columns; at most {max_columns} are read.")
    return CsvDialect(separator, columns)


def detect_separator(rows: list[str]) -> str:
    """Detect the separator: a character that occurs equally often in all rows.

    The comma comes last, because it may be in numbers too.
    """
    regular = (mark for mark in SEPARATORS if rows[0].count(mark) and len({row.count(mark) for row in rows}) == 1)
    return next(regular, None) or max(reversed(SEPARATORS), key=rows[0].count)


def read_row_blocks(file: BinaryIO, first: int = 1, skip: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield blocks of whole rows in UTF-8 with plain line ends, each with the number of its first line.

    Args:
        file: The file, at its start.
        first: Number of the first line.
        skip: Lines to skip at the start.
    """
    line, rest = first + skip, b""
    for text in skip_lines(read_text(file), skip):
        rest += text.encode()
        end = end_of_last_row(rest)
        if end:
            yield line, rest[:end]
            line += rest.count(b"\n", 0, end)
            rest = rest[end:]
        elif len(rest) > MAX_ROW_BYTES:
            raise FileError(unfinished_row_message(rest, line))
    if rest.count(b'"') % 2:
        raise FileError(unfinished_row_message(rest, line))
    if rest:
        yield line, rest + b"\n"


def skip_lines(texts: Iterator[str], count: int) -> Iterator[str]:
    """Yield the text without its first lines."""
    for text in texts:
        after = text
        while count and after:
            _, end, after = after.partition("\n")
            count -= len(end)
        yield after


def end_of_last_row(text: bytes) -> int:
    """Return the end of the last row, which is after the last line end outside of quotation marks."""
    if b'"' not in text:
        return text.rfind(b"\n") + 1
    characters = np.frombuffer(text, np.uint8)
    outside = np.cumsum(characters == ord('"'), dtype=np.uint32) % 2 == 0
    ends = np.flatnonzero(outside & (characters == ord("\n")))
    return int(ends[-1]) + 1 if len(ends) else 0


def unfinished_row_message(text: bytes, line: int) -> str:
    """Return why the last row does not end."""
    if text.count(b'"') % 2:
        return f"row {line}: a quotation mark is opened and not closed."
    return f"row {line}: longer than {MAX_ROW_BYTES >> 20} MB. This is not a CSV file with one row per line."


def read_text(file: BinaryIO) -> Iterator[str]:
    """Yield the text with plain line ends."""
    encoding = detect_encoding(file)
    decoder = IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(), translate=True)
    line, block = 1, b"start"
    while block:
        block = file.read(BLOCK_BYTES)
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            valid = error.object[: error.start].decode(encoding, "replace")
            name = encoding[:6].removesuffix("-").upper()
            raise FileError(
                f"row {line + valid.count('\n')}: this is not {name} text. Save the file as UTF-8."
            ) from error
        if "\0" in text:
            raise FileError(NOT_TEXT)
        line += text.count("\n")
        yield text


def detect_encoding(file: BinaryIO) -> str:
    """Detect the encoding by a byte order mark, or by the zero bytes of UTF-16."""
    start = file.read(4)
    file.seek(0)
    for mark, encoding in BYTE_ORDER_MARKS:
        if start.startswith(mark):
            return encoding
    if len(start) == 4 and not any(start[1::2]) and all(start[::2]):
        return "utf-16-le"
    if len(start) == 4 and not any(start[::2]) and all(start[1::2]):
        return "utf-16-be"
    return "utf-8-sig"


def parse_cells(body: bytes, line: int, dialect: CsvDialect, errors: RowErrors) -> pl.DataFrame:
    """Parse rows into columns of text named `0`, `1`, …, with the number of each row (`row`), without blank rows."""
    # With our own header, Polars does not infer the columns from the block's first row.
    names = dialect.separator.join(map(str, range(dialect.columns))).encode() + b"\n"
    quoted = b'"' in body
    read = partial(pl.read_csv, separator=dialect.separator, infer_schema=False)
    try:
        table = read(names + body)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        if quoted:
            raise FileError(malformed_row_message(body, line, dialect)) from error
        table = read(names + blank_long_rows(body, line, dialect, errors))
    line_ends_inside = (
        pl.sum_horizontal(pl.all().str.count_matches("\n").fill_null(0)) if quoted else pl.lit(0, pl.UInt32)
    )
    row = line + pl.int_range(pl.len()) + line_ends_inside.cum_sum().shift(1, fill_value=0)
    table = table.select(row.cast(pl.Int64).alias("row"), pl.all().str.strip_chars(' \t"'))
    return table.filter(pl.any_horizontal(pl.exclude("row").str.len_bytes() > 0)).with_columns(
        # The ellipsis keeps a truncated cell from being parsed as a whole one.
        pl.when(pl.exclude("row").str.len_chars() > MAX_CELL_CHARACTERS)
        .then(pl.exclude("row").str.slice(0, MAX_CELL_CHARACTERS) + "…")
        .otherwise(pl.exclude("row"))
    )


def blank_long_rows(body: bytes, line: int, dialect: CsvDialect, errors: RowErrors) -> bytes:
    """Replace rows that have more fields than columns by blank ones, and report them."""
    rows = body.split(b"\n")
    separator, max_separators = dialect.separator.encode(), dialect.columns - 1
    long = [
        (number, 1 + row.count(separator)) for number, row in enumerate(rows) if row.count(separator) > max_separators
    ]
    errors.add(
        pl.DataFrame([(line + number, fields) for number, fields in long], schema=["row", "fields"], orient="row"),
        lambda fields: f"{fields} fields, where the first row has {dialect.columns}.",
    )
    for number, _ in long:
        rows[number] = b""
    return b"\n".join(rows)


def malformed_row_message(body: bytes, line: int, dialect: CsvDialect) -> str:
    """Return a message about the first row that Polars cannot have parsed."""
    rows = csv.reader(StringIO(body.decode(), newline=""), delimiter=dialect.separator, strict=True)
    try:
        for fields in rows:
            if len(fields) > dialect.columns:
                return (
                    f"row {line + rows.line_num - 1}: {len(fields)} fields, where the first row has {dialect.columns}."
                )
    except csv.Error as error:
        return f"row {line + rows.line_num - 1}: quotation marks are not as they should be ({error})."
    return f"row {line} or one soon after it: a quotation mark stands inside a cell."


type LayoutDetector = Callable[[tuple[str, ...], pl.DataFrame], ColumnLayout]
"""Detects the layout from the names in the first row (none: it has no names) and the rows after it."""
type SizeCallback = Callable[[int], None]
"""Called with the number of bytes of a file as text, before they are read."""


def read_tables(
    file: BinaryIO,
    limits: FileLimits,
    detect_layout: LayoutDetector,
    errors: RowErrors,
    *,
    on_size_known: SizeCallback | None = None,
) -> Generator[tuple[RowParser, pl.DataFrame]]:
    """Yield tables of the rows that are not blank, without the header, each with the parser for them."""
    dialect: CsvDialect | None = None
    names: tuple[str, ...] | None = None
    parser: RowParser | None = None
    count = 0
    with open_as_csv(file, limits) as csv_file:
        if on_size_known is not None:
            on_size_known(csv_file.file.seek(0, SEEK_END))
            csv_file.file.seek(0)
        for line, body in read_row_blocks(csv_file.file, csv_file.first_line):
            dialect = dialect or detect_dialect(body, limits.columns)
            if dialect is None:
                continue
            table = parse_cells(body, line, dialect, errors)
            if names is None and table.height:
                names = find_heading(table)
                table = table.slice(1) if names else table
            if table.is_empty():
                continue
            count += table.height
            if count > limits.rows:
                raise FileError(f"There are more than {limits.rows} rows. Split the file.")
            parser = parser or RowParser(detect_layout(names or (), table), dialect.may_have_decimal_commas)
            yield parser, table
    if parser is None and not errors.count:
        raise FileError("The file is empty." if dialect is None else "There are no rows with data in it.")
