"""The arrowhead shape of a fleet's matrix: a chain of balance rows for each stock, and a border of few shared rows.

        [ chain of stock 1                    | c₁ ]
        [            chain of stock 2         | c₂ ]        a chain couples each step with the next only;
        [                          …          | …  ]        c: at each step a stock meets at most one border row
        [ c₁ᵀ        c₂ᵀ           …          | K  ]

Normal equations `A Θ Aᵀ y = r` with this shape are solved in a time proportional to stocks × steps, plus a small
dense system for the border: chains are factorised side by side, and their contributions to the border are added up
one distance between steps at a time.
"""

from dataclasses import dataclass

import numpy as np
from flexmodel.problem import Array, Index
from scipy.sparse import coo_matrix, csr_matrix

NEGLIGIBLE = 1e-18
"""Influence between far steps of a chain below which it is left out."""


class NotArrowheadError(Exception):
    """The matrix has another shape."""


@dataclass(frozen=True, slots=True)
class Arrowhead:
    """The parts of a matrix (rows × columns) of this shape. Chains are arrays (steps, stocks)."""

    chain: Index
    """Row numbers."""
    border: Index
    meets: Index
    """The border row that a stock meets at a step (steps, stocks), -1 where none."""
    groups: tuple[tuple[Index, Index], ...]
    """Border rows (steps), and the stocks that meet exactly these."""
    diagonal: csr_matrix
    """Operators that give the parts of A Θ Aᵀ for a Θ."""
    neighbour: csr_matrix
    crossing: csr_matrix
    corner: csr_matrix


def find_arrowhead(matrix: csr_matrix, chain: Index) -> Arrowhead:
    """Return the parts of a matrix whose chains have these rows (steps, stocks)."""
    rows = np.zeros(matrix.shape[0], dtype=bool)
    rows[chain] = True
    border = np.flatnonzero(~rows)
    own, shared = matrix[chain.ravel()], matrix[border]
    place = shared.tocoo()
    meeting, value = np.full(matrix.shape[1], -1), np.zeros(matrix.shape[1])
    meeting[place.col], value[place.col] = place.row, place.data
    inside = own.tocoo()
    crosses = meeting[inside.col] >= 0
    if (np.bincount(place.col, minlength=matrix.shape[1])[inside.col] > 1).any():
        raise NotArrowheadError
    if (np.bincount(inside.col, minlength=matrix.shape[1])[inside.col[crosses]] > 1).any():
        raise NotArrowheadError
    row, column = inside.row[crosses], inside.col[crosses]
    flat = np.full(chain.size, -1)
    flat[row] = meeting[column]
    if (flat[row] != meeting[column]).any():
        raise NotArrowheadError
    crossing = csr_matrix((inside.data[crosses] * value[column], (row, column)), shape=(chain.size, matrix.shape[1]))
    stocks = chain.shape[1]
    neighbour = csr_matrix(own[stocks:].multiply(own[:-stocks]))
    if own.multiply(own).nnz + 2 * neighbour.nnz < _pairs(inside):
        raise NotArrowheadError
    meets: Index = flat.reshape(chain.shape)
    kinds, member = np.unique(meets, axis=1, return_inverse=True)
    groups = tuple((kinds[:, kind], np.flatnonzero(member == kind)) for kind in range(kinds.shape[1]))
    if any(len(np.unique(met[met >= 0])) < (met >= 0).sum() for met, _ in groups):
        raise NotArrowheadError
    return Arrowhead(chain, border, meets, groups, csr_matrix(own.multiply(own)), neighbour, crossing, _corner(shared))


def _pairs(own: coo_matrix) -> int:
    """Count the pairs of rows that the columns couple; more than the chains explain means another shape."""
    return int((np.bincount(own.col).astype(np.int64) ** 2).sum())


def _corner(shared: csr_matrix) -> csr_matrix:
    """Return the operator that gives the border's own part, flattened (border², columns)."""
    columns = shared.tocsc()
    count = np.diff(columns.indptr)
    size, width = shared.shape
    result = []
    for entries in np.unique(count[count > 0]).tolist():
        which = np.flatnonzero(count == entries)
        at = columns.indptr[which][:, None] + np.arange(entries)
        row, value = columns.indices[at].astype(np.int64), columns.data[at]
        pair = (row[:, :, None] * size + row[:, None, :]).ravel()
        product = (value[:, :, None] * value[:, None, :]).ravel()
        result.append((product, pair, np.repeat(which, entries * entries)))
    parts = [np.concatenate(part) for part in zip(*result, strict=True)] if result else [np.zeros(0)] * 3
    return csr_matrix((parts[0], (parts[1].astype(np.int64), parts[2].astype(np.int64))), shape=(size * size, width))


class Factor:
    """The normal equations for one Θ, factorised."""

    def __init__(self, arrow: Arrowhead, theta: Array) -> None:
        self.arrow = arrow
        steps, stocks = arrow.chain.shape
        diagonal = (arrow.diagonal @ theta).reshape(steps, stocks)
        neighbour = (arrow.neighbour @ theta).reshape(steps - 1, stocks)
        self.cross = (arrow.crossing @ theta).reshape(steps, stocks)
        self.pivot, self.ratio = np.empty((steps, stocks)), np.zeros((steps, stocks))
        self.pivot[0] = diagonal[0]
        for step in range(1, steps):
            self.ratio[step] = neighbour[step - 1] / self.pivot[step - 1]
            self.pivot[step] = diagonal[step] - self.ratio[step] * neighbour[step - 1]
        self.corner: Array | None = self._corner(theta) if len(arrow.border) else None

    def solve(self, right: Array) -> Array:
        """Return y with A Θ Aᵀ y = right."""
        arrow, y = self.arrow, np.empty(len(right))
        inner = right[arrow.chain]
        if self.corner is not None:
            met = arrow.meets >= 0
            weight = np.where(met, self.cross * self._along(inner), 0.0)
            outer = right[arrow.border] - np.bincount(
                np.where(met, arrow.meets, 0).ravel(), weight.ravel(), minlength=len(arrow.border)
            )
            shared = _solve_dense(self.corner, outer)
            y[arrow.border] = shared
            inner = inner - np.where(met, self.cross * shared[arrow.meets], 0.0)
        y[arrow.chain] = self._along(inner)
        return y

    def _along(self, right: Array) -> Array:
        """Solve the chains alone."""
        result = right.copy()
        for step in range(1, len(result)):
            result[step] -= self.ratio[step] * result[step - 1]
        result /= self.pivot
        for step in range(len(result) - 2, -1, -1):
            result[step] -= self.ratio[step + 1] * result[step + 1]
        return result

    def _corner(self, theta: Array) -> Array:
        """Return the border's system after the chains are eliminated, factorised."""
        arrow, size = self.arrow, len(self.arrow.border)
        dense: Array = np.asarray(arrow.corner @ theta).reshape(size, size)
        for meets, stocks in arrow.groups:
            met = np.flatnonzero(meets >= 0)
            dense[np.ix_(meets[met], meets[met])] -= self._through(stocks)[np.ix_(met, met)]
        return _factor_dense(dense)

    def _through(self, stocks: Index) -> Array:
        """Return what stocks pass on between the border rows that they meet (steps, steps)."""
        cross, decay = self.cross[:, stocks], -self.ratio[:, stocks]
        steps = len(cross)
        inverse = 1 / self.pivot[:, stocks]
        for step in range(steps - 2, -1, -1):
            inverse[step] += decay[step + 1] ** 2 * inverse[step + 1]
        inverse *= cross
        result = np.zeros((steps, steps))
        reach = cross.copy()
        for distance in range(steps):
            if distance:
                reach = reach[:-1]
                reach *= decay[distance:]
                if np.abs(reach).max(initial=0.0) < NEGLIGIBLE:
                    break
            values = np.einsum("ts,ts->t", reach, inverse[distance:])
            at = np.arange(steps - distance)
            result[at, at + distance] = result[at + distance, at] = values
        return result


def _factor_dense(matrix: Array) -> Array:
    """Return the lower Cholesky factor, without a library's threads, which wait for one another on a busy machine."""
    factor = np.tril(matrix)
    for column in range(len(factor)):
        pivot = factor[column, column]
        if not pivot > 0:
            raise np.linalg.LinAlgError
        factor[column:, column] /= np.sqrt(pivot)
        below = factor[column + 1 :, column]
        factor[column + 1 :, column + 1 :] -= np.outer(below, below)
    return factor


def _solve_dense(factor: Array, right: Array) -> Array:
    """Return x with L Lᵀ x = right."""
    result = right.copy()
    for row in range(len(factor)):
        result[row] /= factor[row, row]
        result[row + 1 :] -= factor[row + 1 :, row] * result[row]
    for row in range(len(factor) - 1, -1, -1):
        result[row] /= factor[row, row]
        result[:row] -= factor[row, :row] * result[row]
    return result
