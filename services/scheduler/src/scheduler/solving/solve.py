"""Solving of a problem: formulate, optimise, read out, and diagnose when there is no schedule."""

from flexmodel.errors import FlexmeshError
from flexmodel.problem import Problem
from flexmodel.schedule import Schedule

from scheduler.formulation.model import formulate
from scheduler.solving import readout
from scheduler.solving.contradictions import find_contradictions
from scheduler.solving.infeasibility import Infeasible, diagnose
from scheduler.solving.search import NoSolutionError, NoTimeError, SolverOptions, find_optimum


class OutOfTimeError(FlexmeshError):
    """The deadline came before any schedule was found."""


def solve(problem: Problem, options: SolverOptions = SolverOptions()) -> Schedule:  # noqa: B008  it cannot be changed
    """Return the cheapest schedule.

    Raises:
        Infeasible: The hard limits conflict; the error says which and by how much.
        OutOfTimeError: The deadline came before any schedule was found.
    """
    reasons = list(find_contradictions(problem))
    if reasons:
        raise Infeasible(reasons)
    model = formulate(problem)
    try:
        outcome = find_optimum(model, options)
    except NoTimeError as late:
        raise OutOfTimeError(f"No schedule was found within {options.seconds:g} seconds.") from late
    except NoSolutionError as none:
        raise diagnose(problem, options) from none
    return readout.build_schedule(model, outcome)
