"""Solution of a request, as a response in the sender's names."""

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
"""Decimals of MW and MWh: finer than any meter, coarser than rounding errors."""


def solve_request(request: OptimizeRequest, options: SolverOptions) -> dict[str, Any]:
    """Solve a request and return the response as JSON.

    Raises:
        OutOfTimeError: No schedule was found in time.
        Invalid: There is no schedule.
    """
    try:
        resolved = assemble(request.trigger, request.tree, request.series)
        schedule = solve(resolved.problem, options)
    except OutOfTimeError:
        raise
    except Invalid as invalid:
        raise Invalid(request.names.to_names(invalid.fields)) from invalid
    except FlexmeshError as error:
        sentences = error.reasons if isinstance(error, Infeasible) else [error.message]
        errors = request.names.to_names({"_schema": sentences})
        raise Invalid(errors, request.names.to_names(error.message)) from error
    return request.names.to_names(_to_json(request, resolved, schedule))


def _to_json(request: OptimizeRequest, resolved: ResolvedTrigger, schedule: Schedule) -> dict[str, Any]:
    window, problem = schedule.window, resolved.problem
    flexible = request.trigger.devices
    return {
        "status": str(schedule.status),
        "window": {
            "start": window.start.astimezone(request.timezone).isoformat(),
            "end": window.end.astimezone(request.timezone).isoformat(),
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
    """Round, without minus zero."""
    rounded: list[float] = (np.round(values, DIGITS) + 0.0).tolist()
    return rounded
