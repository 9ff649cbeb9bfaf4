"""Builder of sparse matrices: collects columns, rows and coefficients as whole arrays.

An index array has the shape of what it stands for (devices × steps, say) and holds column or row numbers, with -1
where there is none, so that absent entries cost nothing and code needs no special cases.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from flexmodel.problem import Array, Index, Mask
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix


@dataclass(frozen=True, slots=True)
class Program:
    """Minimise `cost · x + offset` with `lower ≤ x ≤ upper`, `row_lower ≤ matrix · x ≤ row_upper`, some x integer."""

    columns: Mapping[str, Index]
    rows: Mapping[str, Index]
    lower: Array
    upper: Array
    cost: Array
    integer: Mask
    row_lower: Array
    row_upper: Array
    matrix: csr_matrix
    offset: float


class Builder:
    """Builds a program block by block."""

    def __init__(self) -> None:
        self.column_blocks: dict[str, Index] = {}
        self.row_blocks: dict[str, Index] = {}
        self.width = 0
        self.height = 0
        self.offset = 0.0
        self._lower: list[Array] = []
        self._upper: list[Array] = []
        self._cost: list[Array] = []
        self._integer: list[Mask] = []
        self._row_lower: list[Array] = []
        self._row_upper: list[Array] = []
        self._entries: list[tuple[Index, Index, Array]] = []
        self._prices: list[tuple[Index, Array]] = []

    def add_columns(
        self, name: str, where: Mask, lower: ArrayLike, upper: ArrayLike, cost: ArrayLike = 0.0, integer: bool = False
    ) -> Index:
        """Add one column for every true element of `where`."""
        index, self.width = _number(where, self.width)
        count = int(where.sum())
        self._lower.append(_pick(lower, where))
        self._upper.append(_pick(upper, where))
        self._cost.append(_pick(cost, where))
        self._integer.append(np.full(count, integer))
        self.column_blocks[name] = index
        return index

    def add_rows(self, name: str, where: Mask, lower: ArrayLike, upper: ArrayLike) -> Index:
        """Add one row for every true element of `where`."""
        index, self.height = _number(where, self.height)
        self._row_lower.append(_pick(lower, where))
        self._row_upper.append(_pick(upper, where))
        self.row_blocks[name] = index
        return index

    def add_coefficients(self, rows: Index, columns: Index, values: ArrayLike) -> None:
        """Add coefficients. The three arrays broadcast; elements without row or column are left out."""
        if not rows.size or not columns.size or columns.max() < 0:
            return
        row, column, value = np.broadcast_arrays(rows, columns, np.asarray(values, dtype=np.float64))
        kept = (row >= 0) & (column >= 0) & (value != 0)
        self._entries.append((row[kept], column[kept], value[kept]))

    def add_costs(self, columns: Index, values: ArrayLike) -> None:
        """Add to the cost of columns."""
        column, value = np.broadcast_arrays(columns, np.asarray(values, dtype=np.float64))
        kept = (column >= 0) & (value != 0)
        self._prices.append((column[kept], value[kept]))

    def build(self) -> Program:
        """Assemble the blocks."""
        cost = _join(self._cost)
        for column, value in self._prices:
            np.add.at(cost, column, value)
        matrix = csr_matrix(
            (
                _join([value for _, _, value in self._entries]),
                (_join_index([row for row, _, _ in self._entries]), _join_index([col for _, col, _ in self._entries])),
            ),
            shape=(self.height, self.width),
        )
        return Program(
            columns=self.column_blocks,
            rows=self.row_blocks,
            lower=_join(self._lower),
            upper=_join(self._upper),
            cost=cost,
            integer=np.concatenate([np.zeros(0, dtype=bool), *self._integer]),
            row_lower=_join(self._row_lower),
            row_upper=_join(self._row_upper),
            matrix=matrix,
            offset=self.offset,
        )


def _number(where: Mask, first: int) -> tuple[Index, int]:
    """Return consecutive numbers for the true elements and -1 for the others, and the next number."""
    count = int(where.sum())
    index = np.full(where.shape, -1, dtype=np.int64)
    index[where] = np.arange(first, first + count)
    return index, first + count


def _pick(values: ArrayLike, where: Mask) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0:
        return np.full(int(where.sum()), float(array))
    picked: Array = (array if array.shape == where.shape else np.broadcast_to(array, where.shape))[where]
    return picked


def _join(parts: list[Array]) -> Array:
    return np.concatenate([np.zeros(0), *parts])


def _join_index(parts: list[Index]) -> Index:
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])
