"""Limits that contradict one another, found without solving."""

from collections.abc import Iterator

import numpy as np
from flexmodel.problem import Array, Mask, Problem

from scheduler.formatting import format_energy, format_power, format_time

LEEWAY = 1e-6
"""MW or MWh by which limits may cross: rounding, not contradiction."""


def find_contradictions(problem: Problem) -> Iterator[str]:
    """Yield a sentence for each contradiction."""
    yield from _of_devices(problem)
    yield from _of_stocks(problem)
    yield from _of_modes(problem)


def _of_devices(problem: Problem) -> Iterator[str]:
    devices = problem.devices
    crossed = devices.power_min > devices.power_max + LEEWAY
    for device in np.flatnonzero(crossed.any(axis=1)).tolist():
        step = int(np.argmax(crossed[device]))
        least, most = devices.power_min[device, step], devices.power_max[device, step]
        yield (
            f"{devices.labels[device]} must take at least {format_power(least)} and at most {format_power(most)} "
            f"at {_start(problem, step)}."
        )


def _of_stocks(problem: Problem) -> Iterator[str]:
    stocks = problem.stocks
    floor, ceiling = stocks.soc_min[:, None], stocks.soc_max[:, None]
    pairs: tuple[tuple[str, Array, str, Array, int], ...] = (
        ("soc-min", floor, "above its soc-max", ceiling, +1),
        ("soc-minima", stocks.hard_minima, "above its soc-max", ceiling, +1),
        ("soc-maxima", stocks.hard_maxima, "below its soc-min", floor, -1),
        ("soc-minima", stocks.hard_minima, "above its soc-maxima", stocks.hard_maxima, +1),
        ("soc-targets", stocks.hard_targets, "above its soc-max", ceiling, +1),
        ("soc-targets", stocks.hard_targets, "below its soc-min", floor, -1),
        ("soc-targets", stocks.hard_targets, "above its soc-maxima", stocks.hard_maxima, +1),
        ("soc-targets", stocks.hard_targets, "below its soc-minima", stocks.hard_minima, -1),
    )
    for field, requirement, relation, limit, sign in pairs:
        bound = np.broadcast_to(limit, requirement.shape)
        crossed: Mask = sign * (requirement - bound) > LEEWAY
        for stock in np.flatnonzero(crossed.any(axis=1)).tolist():
            step = int(np.argmax(crossed[stock]))
            yield (
                f"{stocks.labels[stock]}: {field} asks for {format_energy(requirement[stock, step])} "
                f"at {_end(problem, step)}, which is {relation} of {format_energy(bound[stock, step])}."
            )


def _of_modes(problem: Problem) -> Iterator[str]:
    devices = problem.devices
    for bands in problem.bands:
        low = np.maximum(bands.bands[:, :1], devices.power_min[bands.device])
        high = np.minimum(bands.bands[:, 1:], devices.power_max[bands.device])
        stuck = ~(low <= high).any(axis=0)
        if stuck.any():
            step = int(np.argmax(stuck))
            least, most = devices.power_min[bands.device, step], devices.power_max[bands.device, step]
            yield (
                f"{devices.labels[bands.device]} has no operation mode between {format_power(least)} and "
                f"{format_power(most)}, which are its limits at {_start(problem, step)}."
            )


def _start(problem: Problem, step: int) -> str:
    return format_time(problem.window.start + step * problem.window.resolution)


def _end(problem: Problem, step: int) -> str:
    return _start(problem, step + 1)
