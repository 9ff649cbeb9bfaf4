"""Limits that bind: when, and what they cost."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from flexmodel.problem import Array, Mask, Problem
from flexmodel.schedule import Schedule

WORTH = 1e-6
"""Currency per MWh below which a limit does not matter."""


@dataclass(frozen=True, slots=True)
class BindingPeriod:
    """A limit that binds through consecutive steps."""

    limit: str
    owner: str
    label: str
    first: int
    last: int
    least: float
    """The lowest bound of these steps, in MW or MWh."""
    most: float
    unit: str
    worth: float
    """Average saving in currency per MWh if the limit were one unit wider at every one of these steps."""


def binding_limits(problem: Problem, schedule: Schedule) -> Iterator[BindingPeriod]:
    """Yield all limits that prevent a cheaper schedule."""
    devices, stocks, prices = problem.devices, problem.stocks, schedule.marginal
    for labels, field, gain, bound in (
        (devices.labels, "consumption-capacity", prices.device_up, devices.power_max),
        (devices.labels, "production-capacity", prices.device_down, -devices.power_min),
    ):
        yield from _spells(field, "device", labels, gain, bound, "MW")
    for field, gain, constant in (
        ("soc-max", prices.stock_up, stocks.soc_max),
        ("soc-min", prices.stock_down, stocks.soc_min),
    ):
        yield from _spells(field, "stock", stocks.labels, gain, np.broadcast_to(constant[:, None], gain.shape), "MWh")
    sites = tuple(site.commodity for site in problem.sites)
    groups = tuple(group.name for group in problem.groups)
    for owner, names, up, down, members in (
        ("site", sites, prices.site_up, prices.site_down, [site.devices for site in problem.sites]),
        ("group", groups, prices.group_up, prices.group_down, [group.devices for group in problem.groups]),
    ):
        net = np.array([schedule.power[each].sum(axis=0) for each in members]).reshape(up.shape)
        yield from _spells("consumption", owner, names, up, net, "MW")
        yield from _spells("production", owner, names, down, -net, "MW")


def _spells(
    limit: str, owner: str, labels: tuple[str, ...], gain: Array, bound: Array, unit: str
) -> Iterator[BindingPeriod]:
    active: Mask = (gain > WORTH) & (bound != 0).any(axis=1)[:, None]  # what cannot run that way at all is no news
    for row in np.flatnonzero(active.any(axis=1)).tolist():
        steps = np.flatnonzero(active[row])
        for run in np.split(steps, np.flatnonzero(np.diff(steps) > 1) + 1):
            worth = float(gain[row, run].mean())
            first, last = int(run[0]), int(run[-1])
            least, most = float(bound[row, run].min()) + 0.0, float(bound[row, run].max()) + 0.0
            yield BindingPeriod(limit, owner, labels[row], first, last, least, most, unit, worth)
