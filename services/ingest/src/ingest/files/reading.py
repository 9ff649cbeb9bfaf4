"""Reading a file from its first byte to its last: as tables of text, with the one who knows what its columns mean."""

from collections.abc import Callable, Generator
from os import SEEK_END
from typing import BinaryIO

import polars as pl

from ingest.files import columns, text
from ingest.files.columns import Layout, Reader
from ingest.files.formats import Limits, as_csv
from ingest.files.problems import FileError, Problems
from ingest.files.text import Shape

type LayOut = Callable[[tuple[str, ...], pl.DataFrame], Layout]
"""Tells which column is what, by the names in the first row (none: it has no names) and the rows after it."""
type Unpacked = Callable[[int], None]
"""Is told how many bytes there are to read once a file is text, before they are read."""


def tables(
    file: BinaryIO, limits: Limits, lay_out: LayOut, problems: Problems, *, unpacked: Unpacked | None = None
) -> Generator[tuple[Reader, pl.DataFrame]]:
    """The rows that are not blank, with the first row away if it is one of names."""
    shape: Shape | None = None
    names: tuple[str, ...] | None = None
    reader: Reader | None = None
    count = 0
    with as_csv(file, limits) as csv:
        if unpacked is not None:
            unpacked(csv.file.seek(0, SEEK_END))
            csv.file.seek(0)
        for line, body in text.records(csv.file, csv.first):
            shape = shape or text.shape_of(body, limits.columns)
            if shape is None:
                continue
            table = text.cells(body, line, shape, problems)
            if names is None and table.height:
                names = columns.heading(table)
                table = table.slice(1) if names else table
            if table.is_empty():
                continue
            count += table.height
            if count > limits.rows:
                raise FileError(f"There are more than {limits.rows} rows. Split the file.")
            reader = reader or Reader(lay_out(names or (), table), shape.decimal_comma)
            yield reader, table
    if reader is None and not problems.count:
        raise FileError("The file is empty." if shape is None else "There are no rows with data in it.")
