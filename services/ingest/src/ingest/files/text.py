"""The text of a CSV file as tables of cells, a block at a time, each row with the number of its line."""

import codecs
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from io import IncrementalNewlineDecoder, StringIO
from typing import BinaryIO

import numpy as np
import polars as pl

from ingest.files.problems import FileError, Problems

BLOCK = 1 << 18
"""Bytes that are read at a time: enough to be quick, few enough to need little memory, whatever they hold."""
LONGEST_ROW = 1 << 20
LONGEST_CELL = 80
"""Characters: no time, number or name that we look for is longer."""
SEPARATORS = "\t;|,"
QUOTED = re.compile(rb'"[^"]*"')
ROWS_TO_TELL = 20
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
NOT_TEXT = "This is neither CSV, Excel (.xlsx) nor Parquet."


@dataclass(frozen=True, slots=True)
class Shape:
    """How the rows of a file are written."""

    separator: str
    columns: int

    @property
    def decimal_comma(self) -> bool:
        """Whether numbers may be written with a decimal comma."""
        return self.separator != ","


def shape_of(body: bytes, max_columns: int) -> Shape | None:
    """How the first row that is not blank is written, which goes for all; None if all are blank."""
    rows = [row for row in QUOTED.sub(b"", body).splitlines() if row.strip()]
    if not rows:
        return None
    separator = separator_of([row.decode() for row in rows[:ROWS_TO_TELL]])
    columns = 1 + rows[0].decode().count(separator)
    if columns > max_columns:
        raise FileError(f"There are {columns} columns; at most {max_columns} are read.")
    return Shape(separator, columns)


def separator_of(rows: list[str]) -> str:
    """What stands in all rows equally often. A comma may be in numbers too, so that others come before it."""
    even = (mark for mark in SEPARATORS if rows[0].count(mark) and len({row.count(mark) for row in rows}) == 1)
    return next(even, None) or max(reversed(SEPARATORS), key=rows[0].count)


def records(file: BinaryIO, first: int = 1, skip: int = 0) -> Iterator[tuple[int, bytes]]:
    """Whole rows in UTF-8 with plain line ends, a block at a time, each with the number of its first line.

    So many lines at the start are skipped, whatever they hold.
    """
    line, rest = first + skip, b""
    for text in without_lines(decoded(file), skip):
        rest += text.encode()
        end = end_of_rows(rest)
        if end:
            yield line, rest[:end]
            line += rest.count(b"\n", 0, end)
            rest = rest[end:]
        elif len(rest) > LONGEST_ROW:
            raise FileError(unfinished(rest, line))
    if rest.count(b'"') % 2:
        raise FileError(unfinished(rest, line))
    if rest:
        yield line, rest + b"\n"


def without_lines(texts: Iterator[str], count: int) -> Iterator[str]:
    for text in texts:
        after = text
        while count and after:
            _, end, after = after.partition("\n")
            count -= len(end)
        yield after


def end_of_rows(text: bytes) -> int:
    """Where the last row ends: after the last line end that is not between quotation marks."""
    if b'"' not in text:
        return text.rfind(b"\n") + 1
    characters = np.frombuffer(text, np.uint8)
    outside = np.cumsum(characters == ord('"'), dtype=np.uint32) % 2 == 0
    ends = np.flatnonzero(outside & (characters == ord("\n")))
    return int(ends[-1]) + 1 if len(ends) else 0


def unfinished(text: bytes, line: int) -> str:
    if text.count(b'"') % 2:
        return f"row {line}: a quotation mark is opened and not closed."
    return f"row {line}: longer than {LONGEST_ROW >> 20} MB. This is not a CSV file with one row per line."


def decoded(file: BinaryIO) -> Iterator[str]:
    """The text, with plain line ends."""
    encoding = encoding_of(file)
    decoder = IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(), translate=True)
    line, block = 1, b"start"
    while block:
        block = file.read(BLOCK)
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            good = error.object[: error.start].decode(encoding, "replace")
            name = encoding[:6].removesuffix("-").upper()
            raise FileError(
                f"row {line + good.count('\n')}: this is not {name} text. Save the file as UTF-8."
            ) from error
        if "\0" in text:
            raise FileError(NOT_TEXT)
        line += text.count("\n")
        yield text


def encoding_of(file: BinaryIO) -> str:
    """By the mark at the start, or by the zeros beside every letter that UTF-16 writes."""
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


def cells(body: bytes, line: int, shape: Shape, problems: Problems) -> pl.DataFrame:
    """The rows as text in columns called `0`, `1`, …, and the number of each (`row`), blank ones left out."""
    # With our own row of names, Polars need not guess the columns, whatever the block begins with.
    names = shape.separator.join(map(str, range(shape.columns))).encode() + b"\n"
    quoted = b'"' in body
    read = partial(pl.read_csv, separator=shape.separator, infer_schema=False)
    try:
        table = read(names + body)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        if quoted:
            raise FileError(misread(body, line, shape)) from error
        table = read(names + without_long_rows(body, line, shape, problems))
    inside = pl.sum_horizontal(pl.all().str.count_matches("\n").fill_null(0)) if quoted else pl.lit(0, pl.UInt32)
    row = line + pl.int_range(pl.len()) + inside.cum_sum().shift(1, fill_value=0)
    table = table.select(row.cast(pl.Int64).alias("row"), pl.all().str.strip_chars(' \t"'))
    return table.filter(pl.any_horizontal(pl.exclude("row").str.len_bytes() > 0)).with_columns(
        # What is cut off must not be taken for the whole.
        pl.when(pl.exclude("row").str.len_chars() > LONGEST_CELL)
        .then(pl.exclude("row").str.slice(0, LONGEST_CELL) + "…")
        .otherwise(pl.exclude("row"))
    )


def without_long_rows(body: bytes, line: int, shape: Shape, problems: Problems) -> bytes:
    """The rows, with blank ones where there are more fields than columns."""
    rows = body.split(b"\n")
    separator, most = shape.separator.encode(), shape.columns - 1
    long = [(number, 1 + row.count(separator)) for number, row in enumerate(rows) if row.count(separator) > most]
    problems.add(
        pl.DataFrame([(line + number, fields) for number, fields in long], schema=["row", "fields"], orient="row"),
        lambda fields: f"{fields} fields, where the first row has {shape.columns}.",
    )
    for number, _ in long:
        rows[number] = b""
    return b"\n".join(rows)


def misread(body: bytes, line: int, shape: Shape) -> str:
    """The first row that Polars cannot have understood."""
    rows = csv.reader(StringIO(body.decode(), newline=""), delimiter=shape.separator, strict=True)
    try:
        for fields in rows:
            if len(fields) > shape.columns:
                return f"row {line + rows.line_num - 1}: {len(fields)} fields, where the first row has {shape.columns}."
    except csv.Error as error:
        return f"row {line + rows.line_num - 1}: quotation marks are not as they should be ({error})."
    return f"row {line} or one soon after it: a quotation mark stands inside a cell."
