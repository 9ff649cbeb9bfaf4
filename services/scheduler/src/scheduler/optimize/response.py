"""Solves a question, and tells what came of it in the sender's names."""

from typing import Any

import numpy as np
from flexmodel.errors import FlexmeshError, Invalid
from flexmodel.problem import Array
from flexmodel.schedule import Schedule
from flexmodel.time import format_duration

from scheduler.explaining.explain import explain
from scheduler.optimize.request import OptimizeRequest
from scheduler.resolve.assemble import ResolvedTrigger, assemble
from scheduler.solving.infeasibility import Infeasible
from scheduler.solving.search import SolverOptions
from scheduler.solving.solve import OutOfTimeError, solve

DIGITS = 9
"""Decimals of MW and MWh: finer than any meter, coarser than the dust of arithmetic."""


def solve_request(question: OptimizeRequest, options: SolverOptions) -> dict[str, Any]:
    """The answer as JSON. Raises `OutOfTimeError`, or `Invalid` when there is no schedule."""
    try:
        resolved = assemble(question.trigger, question.tree, question.series)
        schedule = solve(resolved.problem, options)
    except OutOfTimeError:
        raise
    except Invalid as invalid:
        raise Invalid(question.names.to_names(invalid.fields)) from invalid
    except FlexmeshError as error:
        sentences = error.reasons if isinstance(error, Infeasible) else [error.message]
        told = question.names.to_names({"_schema": sentences})
        raise Invalid(told, question.names.to_names(error.message)) from error
    document: dict[str, Any] = question.names.to_names(_to_json(question, resolved, schedule))
    return document


def _to_json(question: OptimizeRequest, resolved: ResolvedTrigger, schedule: Schedule) -> dict[str, Any]:
    window, problem = schedule.window, resolved.problem
    flexible = question.trigger.devices
    return {
        "status": str(schedule.status),
        "window": {
            "start": window.start.astimezone(question.timezone).isoformat(),
            "end": window.end.astimezone(question.timezone).isoformat(),
            "resolution": format_duration(window.resolution),
            "steps": window.steps,
        },
        "currency": schedule.currency,
        "schedules": {
            device.label: {"unit": "MW", "values": _rounded_list(schedule.power[index])}
            for index, device in enumerate(flexible)
        },
        "state-of-charge": {
            label: {"unit": "MWh", "values": _rounded_list(schedule.soc[index])}
            for index, label in enumerate(problem.stocks.labels)
        },
        "costs": schedule.costs,
        "total": schedule.cost,
        "gap": schedule.gap,
        "warnings": list(schedule.warnings),
        "explanation": explain(problem, schedule),
    }


def _rounded_list(values: Array) -> list[float]:
    """Without dust, and without a minus before zero."""
    found: list[float] = (np.round(values, DIGITS) + 0.0).tolist()
    return found
