"""Errors of an uploaded file, as a whole or row by row."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from errno import EDQUOT, ENOSPC

import polars as pl
from flexmodel.errors import Unavailable

MAX_LISTED = 20
"""Most rows that are listed with their reason; the others are counted."""


@contextmanager
def disk_full_as_unavailable() -> Iterator[None]:
    """Raise a full disk as `Unavailable`, so that an upload is refused for now and an accepted one is tried again."""
    try:
        yield
    except OSError as error:
        if error.errno not in (ENOSPC, EDQUOT):
            raise
        raise Unavailable("disk", "There is no room for files on disk now. Please try again later.") from error


class FileError(ValueError):
    """A file that cannot be read as a whole, with a sentence on why and what would help."""


@dataclass(frozen=True, slots=True, order=True)
class RowError:
    """A refused row with the reason."""

    row: int
    reason: str

    def __str__(self) -> str:
        return f"row {self.row}: {self.reason}"


@dataclass(slots=True)
class RowErrors:
    """Refused rows of a file: their number, and the first of them."""

    count: int = 0
    listed: list[RowError] = field(default_factory=list)

    def add(self, rows: pl.DataFrame, reason: Callable[..., str]) -> None:
        """Add refused rows. The first column is the row number; `reason` is called with the others."""
        self.count += rows.height
        new = (
            RowError(row, reason(*cells)) for row, *cells in rows.bottom_k(MAX_LISTED, by=rows.columns[0]).iter_rows()
        )
        self.listed = sorted([*self.listed, *new])[:MAX_LISTED]

    def add_same_reason(self, rows: pl.Series, reason: str) -> None:
        """Add rows that are refused for the same reason, which is listed once."""
        self.count += len(rows)
        if len(rows) and reason not in {error.reason for error in self.listed}:
            self.listed = sorted([*self.listed, RowError(rows[0], reason)])[:MAX_LISTED]

    def to_sentences(self) -> list[str]:
        """Return a sentence per listed row, and one with the number of the others."""
        sentences = [str(error) for error in self.listed]
        if self.count > len(sentences):
            sentences.append(f"… and {self.count - len(sentences)} more that cannot be taken.")
        return sentences
