"""What is wrong with a file: as a whole, or row by row."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from errno import EDQUOT, ENOSPC

import polars as pl
from flexmodel.errors import Unavailable

MANY = 20
"""Rows that are told with their reason; the others are counted."""


@contextmanager
def room_on_disk() -> Iterator[None]:
    """A full disk is not the fault of a file: it is refused for now, and what was accepted stays accepted."""
    try:
        yield
    except OSError as error:
        if error.errno not in (ENOSPC, EDQUOT):
            raise
        raise Unavailable("disk", "There is no room for files on disk now. Please try again later.") from error


class FileError(ValueError):
    """The file as a whole cannot be read; says why and what would help."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Why a row is not taken."""

    row: int
    reason: str

    def __str__(self) -> str:
        return f"row {self.row}: {self.reason}"


@dataclass(slots=True)
class Problems:
    """What is not taken of a file, of which the first rows are told."""

    count: int = 0
    first: list[Problem] = field(default_factory=list)

    def add(self, found: pl.DataFrame, reason: Callable[..., str]) -> None:
        """Rows that are not taken: the first column is the number, of the others the reason is made."""
        self.count += found.height
        told = (Problem(row, reason(*cells)) for row, *cells in found.bottom_k(MANY, by=found.columns[0]).iter_rows())
        self.first = sorted([*self.first, *told])[:MANY]

    def add_together(self, rows: pl.Series, reason: str) -> None:
        """Rows that are not taken for one reason, which is told once."""
        self.count += len(rows)
        if len(rows) and reason not in {problem.reason for problem in self.first}:
            self.first = sorted([*self.first, Problem(rows[0], reason)])[:MANY]

    def sentences(self) -> list[str]:
        told = [str(problem) for problem in self.first]
        if self.count > len(told):
            told.append(f"… and {self.count - len(told)} more that cannot be taken.")
        return told
