"""An interior-point method (Mehrotra's predictor-corrector) for fleets.

    minimise cost · x   with   matrix · x = right,   0 ≤ x ≤ width      all widths finite and positive

x and width − x stay positive while their products with the reduced costs are driven to zero together. The remaining
gap is proven afterwards from the dual prices alone, so nothing depends on how well this converged.
"""

from dataclasses import dataclass

import numpy as np
from flexmodel.problem import Array
from scipy.sparse import csr_matrix

from scheduler.solving.fleet.arrowhead import Arrowhead, Factor

ROUNDS = 80
GAP = 1e-7
PULL = 1e3
"""Strength of the pull to the centre at the start, relative to prices."""
ROUGH = 1e-12
"""Error in the rows, relative to the step, from which the step is refined."""
STEP = 0.995
"""Share of the way to the nearest bound that a step goes."""


class NotConvergedError(Exception):
    """The method did not reach its gap."""


@dataclass(slots=True)
class Point:
    """x, room = width − x, their reduced costs, and the dual prices of the rows."""

    x: Array
    room: Array
    below: Array
    above: Array
    prices: Array

    def gap(self) -> float:
        """Return the sum of the products."""
        return _dot(self.x, self.below) + _dot(self.room, self.above)


def find_interior_point(
    matrix: csr_matrix, right: Array, cost: Array, width: Array, arrow: Arrowhead, usual: float
) -> Point:
    """Return an optimal point, to a relative gap of a ten-millionth; `usual` is a typical price."""
    transposed = csr_matrix(matrix.T)
    point = _start(cost, width, PULL * usual * float(np.median(width)), matrix.shape[0])
    size = 1 + np.abs(right).max(initial=0.0)
    for _ in range(ROUNDS):
        short = right - matrix @ point.x
        wrong = cost - transposed @ point.prices - point.below + point.above
        gap, total = point.gap(), abs(_dot(cost, point.x))
        if gap <= GAP * max(total, 1e-6) and np.abs(short).max(initial=0.0) <= 1e-9 * size:
            return point
        newton = _Newton(matrix, transposed, arrow, point, short, wrong)
        predicted = newton.direction(-point.x * point.below, -point.room * point.above)
        centre = (_after(point, predicted) / gap) ** 3 * gap / (2 * len(cost))
        corrected = newton.direction(
            centre - point.x * point.below - predicted.x * predicted.below,
            centre - point.room * point.above - predicted.room * predicted.above,
        )
        if not np.isfinite(corrected.x).all():
            break
        _move(point, corrected)
    raise NotConvergedError


def _start(cost: Array, width: Array, pull: float, rows: int) -> Point:
    """Return the centre of the box, bent by the costs: dual feasible with prices of zero."""
    bent = cost * width
    flat = np.abs(bent) <= 1e-6 * pull
    safe = np.where(flat, 1.0, cost)
    x = np.where(flat, width / 2, (bent + 2 * pull - np.sqrt(bent**2 + 4 * pull**2)) / (2 * safe))
    x = np.clip(x, 1e-6 * width, (1 - 1e-6) * width)
    return Point(x, width - x, pull / x, pull / (width - x), np.zeros(rows))


class _Newton:
    """Newton's equations at a point."""

    def __init__(
        self, matrix: csr_matrix, transposed: csr_matrix, arrow: Arrowhead, point: Point, short: Array, wrong: Array
    ) -> None:
        self.matrix, self.transposed, self.point, self.short, self.wrong = matrix, transposed, point, short, wrong
        self.theta = 1 / (point.below / point.x + point.above / point.room)
        self.factor = Factor(arrow, self.theta)

    def direction(self, towards_zero: Array, towards_width: Array) -> Point:
        """Return the step that changes the products by these amounts and corrects the rows and the prices."""
        point = self.point
        force = self.wrong - towards_zero / point.x + towards_width / point.room
        prices = self.factor.solve(self.short + self.matrix @ (self.theta * force))
        x = self.theta * (self.transposed @ prices - force)
        rest = self.short - self.matrix @ x
        if np.abs(rest).max(initial=0.0) > ROUGH * max(1.0, np.abs(x).max(initial=0.0)):
            correction = self.factor.solve(rest)
            prices += correction
            x += self.theta * (self.transposed @ correction)
        return Point(
            x,
            -x,
            (towards_zero - point.below * x) / point.x,
            (towards_width + point.above * x) / point.room,
            prices,
        )


def _lengths(point: Point, step: Point) -> tuple[float, float]:
    """Return how far primal and dual can go before something reaches zero."""
    return (
        min(_length(point.x, step.x), _length(point.room, step.room)),
        min(_length(point.below, step.below), _length(point.above, step.above)),
    )


def _length(values: Array, change: Array) -> float:
    return 1 / float(np.max(-change / values, initial=1e-9))


def _after(point: Point, step: Point) -> float:
    """Return the gap after a full step."""
    primal, dual = (min(1.0, length) for length in _lengths(point, step))
    below, above = point.below + dual * step.below, point.above + dual * step.above
    return _dot(point.x + primal * step.x, below) + _dot(point.room + primal * step.room, above)


def _dot(left: Array, right: Array) -> float:
    """Return the inner product, without the threads that a library would start for it."""
    return float(np.einsum("i,i->", left, right))


def _move(point: Point, step: Point) -> None:
    primal, dual = (min(1.0, STEP * length) for length in _lengths(point, step))
    point.x += primal * step.x
    point.room += primal * step.room
    point.prices += dual * step.prices
    point.below += dual * step.below
    point.above += dual * step.above
