"""Solution of a fleet's linear program by its structure, with a proven bound.

1. Limits whose breach would cost a thousand times the usual prices are kept; the last step shows whether that was
   right.
2. The interior-point method finds prices and a solution that are optimal to many digits but touch no bound.
3. Columns next to a bound are put there, and the others make up for it.
4. The prices prove a bound for the whole program, so that the gap is known whatever was left out on the way.

Of several equally cheap schedules the solution is one from their middle: equal devices get equal shares.
"""

from dataclasses import dataclass, replace

import numpy as np
from flexmodel.problem import Array, Index
from scipy.sparse import csr_matrix, hstack

from scheduler.formulation.builder import Program
from scheduler.solving.engine import Solution, SolverStatus
from scheduler.solving.fleet.arrowhead import Arrowhead, Factor, NotArrowheadError, find_arrowhead
from scheduler.solving.fleet.interior_point import NotConvergedError, Point
from scheduler.solving.fleet.interior_point import find_interior_point as solve_interior

DEAR = 1e3
"""Multiple of the usual price from which a column is taken for the breach of a limit."""
NEAR = 1e-6
"""Share of its width within which a column is put at its bound."""
BATCH = 500
"""Number of stocks that are solved side by side."""
EXACT = 1e-9
"""Tolerance of rows and bounds."""
GOOD = 1e-6
"""Relative gap up to which the solution is accepted."""


@dataclass(frozen=True, slots=True)
class _Standard:
    """Part of a program as `matrix · x = right, 0 ≤ x ≤ width`: columns less their lower bounds, then slacks."""

    rows: Index
    columns: Index
    matrix: csr_matrix
    right: Array
    cost: Array
    width: Array


def solve_fleet(program: Program, chain: Index) -> Solution | None:
    """Return a solution with dual prices and a proven bound, or None if the shape differs or it did not converge.

    `chain` (stocks, steps) are the balance rows of the stocks.
    """
    if program.integer.any() or not chain.size:
        return None
    roomy, usual = _bounded(program), _usual(program)
    breach = (program.cost > DEAR * usual) & (program.lower == 0)
    standard = _standard(roomy, np.flatnonzero((roomy.upper > roomy.lower) & ~breach))
    place = np.full(len(program.row_lower), -1)
    place[standard.rows] = np.arange(len(standard.rows))
    x, prices = program.lower.copy(), np.zeros(len(program.row_lower))
    try:
        solution, prices[standard.rows] = _solve(standard, place[chain], usual)
    except (NotArrowheadError, NotConvergedError, np.linalg.LinAlgError):
        return None
    x[standard.columns] += solution[: len(standard.columns)]
    objective, bound = float(program.cost @ x), dual_bound(roomy, prices)
    if objective - bound > GOOD * max(1e-6, abs(objective + program.offset)):
        return None
    return Solution(SolverStatus.OPTIMAL, x, objective, min(bound, objective), prices, "fleet")


def _solve(standard: _Standard, chain: Index, usual: float) -> tuple[Array, Array]:
    """Return x and prices. Stocks that share no row are solved in batches that fit into a processor's memory."""
    if chain.size < len(standard.rows):
        return _solve_together(standard, chain, usual)
    x, prices = np.where(standard.cost < 0, standard.width, 0.0), np.zeros(len(standard.rows))
    for part in np.array_split(chain, max(1, len(chain) // BATCH)):
        rows = part.ravel()
        matrix = csr_matrix(standard.matrix[rows])
        used, place = np.unique(matrix.indices, return_inverse=True)
        columns = used.astype(np.int64)
        batch = _Standard(
            rows,
            columns,
            csr_matrix((matrix.data, place, matrix.indptr), shape=(len(rows), len(columns))),
            standard.right[rows],
            standard.cost[columns],
            standard.width[columns],
        )
        x[columns], prices[rows] = _solve_together(batch, np.arange(len(rows)).reshape(part.shape), usual)
    return x, prices


def _solve_together(standard: _Standard, chain: Index, usual: float) -> tuple[Array, Array]:
    arrow = find_arrowhead(standard.matrix, np.ascontiguousarray(chain.T))
    point = solve_interior(standard.matrix, standard.right, standard.cost, standard.width, arrow, usual)
    return _at_bounds(standard, arrow, point), point.prices


def _at_bounds(standard: _Standard, arrow: Arrowhead, point: Point) -> Array:
    """Return the point with columns near a bound at it; the other columns move a little to keep the rows."""
    share = point.x / standard.width
    low, high = share < NEAR, share > 1 - NEAR
    x = np.where(low, 0.0, np.where(high, standard.width, point.x))
    play = np.where(low | high, 0.0, np.minimum(point.x, point.room)) ** 2
    factor = Factor(arrow, play + 1e-16 * standard.width**2)
    transposed = csr_matrix(standard.matrix.T)
    for _ in range(3):
        x = x + play * (transposed @ factor.solve(standard.right - standard.matrix @ x))
    off = np.abs(standard.right - standard.matrix @ x).max(initial=0.0)
    if max(off, (-x).max(initial=0.0), (x - standard.width).max(initial=0.0)) > EXACT:
        raise NotConvergedError
    return np.clip(x, 0.0, standard.width)


def _usual(program: Program) -> float:
    """Return a typical price of energy."""
    blocks = [index[index >= 0] for name, index in program.columns.items() if name.startswith(("net", "power"))]
    prices = np.abs(program.cost[np.concatenate([np.zeros(0, dtype=np.int64), *blocks])])
    return float(np.quantile(prices[prices > 0], 0.25)) if (prices > 0).any() else 1.0


def _bounded(program: Program) -> Program:
    """Return the program with finite bounds: no best solution has a column beyond the reach of all others together."""
    finite = np.isfinite(program.lower) & np.isfinite(program.upper)
    size = np.where(finite, np.maximum(np.abs(program.lower), np.abs(program.upper)), 0.0)
    ends = np.concatenate([program.row_lower, program.row_upper, np.ones(1)])
    most = float((abs(program.matrix) @ size).max(initial=0.0) + np.abs(ends[np.isfinite(ends)]).max())
    return replace(
        program,
        lower=np.where(np.isfinite(program.lower), program.lower, -most),
        upper=np.where(np.isfinite(program.upper), program.upper, most),
    )


def _standard(program: Program, columns: Index) -> _Standard:
    """Return the standard form: other columns at their lower bounds, without rows that can then never bind."""
    at_rest = program.matrix @ program.lower
    own, width = csr_matrix(program.matrix[:, columns]), (program.upper - program.lower)[columns]
    least, most = at_rest + own.minimum(0) @ width, at_rest + own.maximum(0) @ width
    rows = np.flatnonzero((least < program.row_lower) | (most > program.row_upper))
    lower, upper = program.row_lower[rows], program.row_upper[rows]
    capped, loose = np.isfinite(upper), np.flatnonzero(lower != upper)
    sign = np.where(capped, 1.0, -1.0)
    slack = csr_matrix((sign[loose], (loose, np.arange(len(loose)))), shape=(len(rows), len(loose)))
    reach = np.where(capped, upper - np.maximum(least[rows], lower), np.minimum(most[rows], upper) - lower)
    return _Standard(
        rows,
        columns,
        csr_matrix(hstack([own[rows], slack])),
        np.where(capped, upper, lower) - at_rest[rows],
        np.concatenate([program.cost[columns], np.zeros(len(loose))]),
        np.concatenate([width, np.maximum(reach[loose], EXACT)]),
    )


def dual_bound(program: Program, prices: Array) -> float:
    """Return the cost that no solution of a program with finite bounds can go below, as the prices prove."""
    reduced = program.cost - program.matrix.T @ prices
    columns = np.where(reduced > 0, program.lower, program.upper)
    ends = np.where(prices > 0, program.row_lower, program.row_upper)
    wrong = ~np.isfinite(ends)  # a price of the wrong sign, by rounding: leave the row out of the proof
    if wrong.any():
        return dual_bound(program, np.where(wrong, 0.0, prices))
    return float(reduced @ columns + prices @ ends)
