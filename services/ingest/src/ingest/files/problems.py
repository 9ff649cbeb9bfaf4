"""What is wrong with a file: as a whole, or row by row."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

MANY = 20
"""Rows that are told with their reason; the others are counted."""


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
    """The rows of a file that are not taken."""

    count: int = 0
    first: list[Problem] = field(default_factory=list)

    def add(self, found: Iterable[tuple[int, str]]) -> None:
        for row, reason in found:
            self.count += 1
            if len(self.first) < MANY:
                self.first.append(Problem(row, reason))

    def add_together(self, rows: Sequence[int], reason: str) -> None:
        """Rows with one reason, which is told once."""
        if rows and reason not in {problem.reason for problem in self.first}:
            self.add([(min(rows), reason)])
            rows = rows[1:]
        self.count += len(rows)

    def sentences(self) -> list[str]:
        told = [str(problem) for problem in sorted(self.first)]
        if self.count > len(told):
            told.append(f"… and {self.count - len(told)} more rows that cannot be taken.")
        return told
