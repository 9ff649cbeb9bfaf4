"""Hard limits that contradict one another whatever the devices do: found before solving, and said in numbers.

Whether a limit can be *reached* in time depends on everything else, so only the solver judges that.
"""

from collections.abc import Iterator

import numpy as np
from flexmodel.errors import FlexmeshError
from flexmodel.problem import Problem
from flexmodel.series import end_instants
from flexmodel.time import moment_of, steps

DECIMALS = 6
"""Limits that differ by less than a watt (hour) do not contradict one another."""


class ContradictionError(FlexmeshError):
    """The limits given cannot all hold."""


def check(problem: Problem) -> None:
    """Raise if hard limits contradict one another, naming each contradiction where it is largest."""
    found = [*_stocks(problem), *_bands(problem)]
    if found:
        raise ContradictionError("The limits given contradict one another. " + " ".join(found))


def _stocks(problem: Problem) -> Iterator[str]:
    stocks = problem.stocks
    ends = end_instants(problem.window)
    low, high = np.nan_to_num(stocks.soc_min, nan=-np.inf)[:, None], np.nan_to_num(stocks.soc_max, nan=np.inf)[:, None]
    pairs = (
        ("soc-min", low + 0 * stocks.gain, "soc-max", high + 0 * stocks.gain),
        ("soc-minima", stocks.hard_minima, "soc-max", high),
        ("soc-min", low, "soc-maxima", stocks.hard_maxima),
        ("soc-minima", stocks.hard_minima, "soc-maxima", stocks.hard_maxima),
        ("soc-targets", stocks.hard_targets, "soc-max", high),
        ("soc-min", low, "soc-targets", stocks.hard_targets),
        ("soc-targets", stocks.hard_targets, "soc-maxima", stocks.hard_maxima),
        ("soc-minima", stocks.hard_minima, "soc-targets", stocks.hard_targets),
    )
    for lower_name, lower, upper_name, upper in pairs:
        with np.errstate(invalid="ignore"):
            excess = np.nan_to_num(np.round(lower - upper, DECIMALS), nan=0.0, posinf=0.0, neginf=0.0)
        for stock in np.flatnonzero((excess > 0).any(axis=1)):
            step = int(excess[stock].argmax())
            lower_value, upper_value = (
                float(np.broadcast_to(side, excess.shape)[stock, step]) for side in (lower, upper)
            )
            yield (
                f"{stocks.labels[stock]}: {lower_name} ({_kwh(lower_value)}) is above "
                f"{upper_name} ({_kwh(upper_value)}) at {moment_of(ends[step]).isoformat()}."
            )


def _bands(problem: Problem) -> Iterator[str]:
    """Every device with operation modes needs one that fits between its limits, at every step."""
    begins = steps(problem.window.start, problem.window.resolution, problem.window.steps)
    for choice in problem.bands:
        low, high = problem.devices.power_min[choice.device], problem.devices.power_max[choice.device]
        fits = (choice.bands[:, :1] <= high) & (choice.bands[:, 1:] >= low)
        missing = np.flatnonzero(~fits.any(axis=0))
        if len(missing):
            step = int(missing[0])
            yield (
                f"{problem.devices.labels[choice.device]}: none of its operation-modes fits between "
                f"{_kw(low[step])} and {_kw(high[step])} at {moment_of(begins[step]).isoformat()}."
            )


def _kwh(energy: float) -> str:
    return f"{round(energy * 1000, 3):g} kWh"


def _kw(power: float) -> str:
    return f"{round(power * 1000, 3):g} kW"
