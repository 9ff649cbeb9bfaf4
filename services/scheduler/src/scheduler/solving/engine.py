"""Interface to OR-Tools: hands over a program in bulk and reads the solution back as arrays.

Only the bare extension module of OR-Tools is imported: the friendlier module around it would load pandas. All solvers
release the interpreter's lock while they work.
"""

import ctypes
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
from flexmodel.problem import Array
from ortools.linear_solver.python import model_builder_helper as bulk

from scheduler.formulation.builder import Program

LARGE = 5_000
"""Columns above which HiGHS is faster than GLOP."""

GLOP = "use_preprocessing: false initial_basis: BIXBY use_dual_simplex: {dual} "
TIGHT = (
    "primal_feasibility_tolerance: 1e-10 dual_feasibility_tolerance: {prices!r} solution_feasibility_tolerance: 1e-8"
)
"""Tie-breaks are a millionth of the prices, so that GLOP's own tolerances would overlook them."""
SCIP = "limits/absgap = {gap}\nlimits/gap = 0\nnumerics/feastol = 1e-9\nnumerics/dualfeastol = 1e-9"


class SolverStatus(Enum):
    """Result of a solver run."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    """No solution, or none that is best (unbounded). Small programs do not tell them apart; the diagnosis does."""
    NOTHING = "nothing"
    """Stopped by the deadline without a solution, or failed numerically."""


@dataclass(frozen=True, slots=True)
class Solution:
    """A solution. Arrays are empty unless there is one; duals exist for linear programs only."""

    status: SolverStatus
    x: Array
    objective: float
    bound: float
    duals: Array
    """Duals of the rows: the cost of one more unit on the right-hand side."""
    solver: str


NO_SOLUTION = Solution(SolverStatus.NOTHING, np.zeros(0), np.inf, -np.inf, np.zeros(0), "none")


def solve_linear(program: Program, seconds: float) -> Solution:
    """Solve the linear relaxation. Where one solver fails or finds no solution, the next one tries."""
    deadline = time.monotonic() + seconds
    ladder = ("glop", "highs_lp", "glop_loose") if len(program.cost) <= LARGE else ("highs_lp", "glop", "glop_loose")
    verdict = NO_SOLUTION
    for solver in ladder:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        solution = solve_with(solver, program, left)
        if solution.status in (SolverStatus.OPTIMAL, SolverStatus.FEASIBLE):
            return solution
        if solution.status is SolverStatus.INFEASIBLE and verdict.status is SolverStatus.INFEASIBLE:
            break
        verdict = max(verdict, solution, key=lambda each: each.status is SolverStatus.INFEASIBLE)
    return verdict


def solve_with(solver: str, program: Program, seconds: float = np.inf) -> Solution:
    """Solve the linear relaxation by `glop`, `glop_loose` (with its own tolerances) or `highs_lp`."""
    solution = solve_without_duals(solver, program, seconds)
    return (
        add_duals(program, solution) if solution.status is SolverStatus.OPTIMAL and solver == "highs_lp" else solution
    )


def solve_without_duals(solver: str, program: Program, seconds: float = np.inf) -> Solution:
    """Solve the same, without dual prices from `highs_lp`."""
    if solver == "highs_lp":
        with _silence_stdout():
            return _run(program, solver, "", seconds)
    return _run(program, "glop", _glop(program, "true", tight=solver == "glop"), seconds)


def _glop(program: Program, dual: str, tight: bool = True) -> str:
    """Return parameters of GLOP. Prices differ by no less than the sixteenth digit of the largest."""
    largest = np.abs(program.cost).max(initial=0.0)
    return GLOP.format(dual=dual) + (TIGHT.format(prices=float(max(1e-10, 1e-16 * largest))) if tight else "")


def add_duals(program: Program, solution: Solution) -> Solution:
    """Return the solution with dual prices, which OR-Tools does not pass on from HiGHS.

    They are the duals of the directions in which the solution could move: columns and rows away from their bounds are
    free, the others may only leave them, and nothing can be gained. The first basis of that program is nearly its last.
    """
    x, activity = solution.x, program.matrix @ solution.x
    low, high = x <= program.lower + AT_BOUND, x >= program.upper - AT_BOUND
    row_low, row_high = activity <= program.row_lower + AT_BOUND, activity >= program.row_upper - AT_BOUND
    tight = np.flatnonzero(row_low | row_high)
    directions = replace(
        program,
        lower=np.where(low, 0.0, -np.inf),
        upper=np.where(high, 0.0, np.inf),
        row_lower=np.where(row_low, 0.0, -np.inf)[tight],
        row_upper=np.where(row_high, 0.0, np.inf)[tight],
        matrix=program.matrix[tight],
    )
    dual = _run(directions, "glop", _glop(program, "false"), np.inf)
    if dual.status is not SolverStatus.OPTIMAL:
        dual = _run(directions, "glop", _glop(program, "false", tight=False), np.inf)
    if dual.status is not SolverStatus.OPTIMAL:
        return NO_SOLUTION
    duals = np.zeros(len(activity))
    duals[tight] = dual.duals
    return replace(solution, duals=duals)


AT_BOUND = 1e-8
"""Distance within which a column or row counts as at its bound."""


def solve_integer(program: Program, seconds: float, gap: float) -> Solution:
    """Solve with integers where the program has them, up to an absolute gap."""
    with _silence_stdout():
        return _run(program, "scip", SCIP.format(gap=repr(gap)), seconds, whole=True)


def _run(program: Program, name: str, parameters: str, seconds: float, whole: bool = False) -> Solution:
    model: Any = bulk.ModelBuilderHelper()  # a fresh one: a second fill would append. Its stubs misname numpy's types
    model.fill_model_from_sparse_data(
        program.lower, program.upper, program.cost, program.row_lower, program.row_upper, program.matrix
    )
    if whole:
        for column in np.flatnonzero(program.integer).tolist():
            model.set_var_integrality(column, True)
    solver = bulk.ModelSolverHelper(name)
    if parameters:
        solver.set_solver_specific_parameters(parameters)
    if np.isfinite(seconds):
        solver.set_time_limit_in_seconds(seconds)
    solver.solve(model)
    return _read_solution(program, solver, name.removesuffix("_lp"), whole)


def _read_solution(program: Program, solver: bulk.ModelSolverHelper, name: str, whole: bool) -> Solution:
    answer = {
        bulk.OPTIMAL: SolverStatus.OPTIMAL,
        bulk.FEASIBLE: SolverStatus.FEASIBLE,
        bulk.INFEASIBLE: SolverStatus.INFEASIBLE,
        bulk.UNBOUNDED: SolverStatus.INFEASIBLE,
    }.get(solver.status(), SolverStatus.NOTHING)
    if answer not in (SolverStatus.OPTIMAL, SolverStatus.FEASIBLE):
        return replace(NO_SOLUTION, status=answer, solver=name)
    x = np.array(solver.variable_values())
    objective = float(program.cost @ x)
    if whole:
        return Solution(answer, x, objective, float(solver.best_objective_bound()), np.zeros(0), name)
    bound = objective if answer is SolverStatus.OPTIMAL else -np.inf
    return Solution(answer, x, objective, bound, np.array(solver.dual_values()), name)


_STDOUT = {"linux": "stdout", "darwin": "__stdoutp"}.get(sys.platform)
_redirect_lock = threading.Lock()
_redirects = 0
_saved_stdout: int | None = None


@contextmanager
def _silence_stdout() -> Iterator[None]:
    """Keep the banner of HiGHS and the remarks of SCIP off the terminal.

    They are printed through the C library, whose standard output points to the null device meanwhile. Python writes to
    the file descriptor itself, so output of other threads is not lost.
    """
    _redirect(+1)
    try:
        yield
    finally:
        _redirect(-1)


def _redirect(change: int) -> None:
    global _redirects, _saved_stdout
    if _STDOUT is None:
        return
    library = ctypes.CDLL(None)
    pointer = ctypes.c_void_p.in_dll(library, _STDOUT)
    with _redirect_lock:
        if _redirects == 0:
            library.fopen.restype = ctypes.c_void_p
            _saved_stdout = pointer.value
            pointer.value = library.fopen(b"/dev/null", b"w")
        _redirects += change
        if _redirects == 0:
            nothing, pointer.value = pointer.value, _saved_stdout
            library.fclose(ctypes.c_void_p(nothing))
