"""From names to numbers: a trigger and the series it refers to become a `Problem`.

Only `reading` talks to the store; everything else is arithmetic on arrays.
"""

from dataclasses import dataclass

from flexmodel.problem import Problem
from flexmodel.tree import AssetTree
from flexmodel.trigger import Stock, Trigger

from scheduler.resolve.devices import bands, devices, placements
from scheduler.resolve.outputs import Output, outputs
from scheduler.resolve.profiles import Profiles
from scheduler.resolve.series import Readings
from scheduler.resolve.sites import commitments, couplings, groups, leading_price, nodes, sites
from scheduler.resolve.soc_requirements import Wishes
from scheduler.resolve.stocks import stocks, tie_break_weight

__all__ = ["Resolved", "assemble"]


@dataclass(frozen=True, slots=True)
class Resolved:
    """What to solve, and what to do with the solution."""

    problem: Problem
    outputs: tuple[Output, ...]
    stocks: tuple[Stock, ...]
    wishes: tuple[Wishes, ...]
    """What is asked of each stock, whether soft or hard."""


def assemble(trigger: Trigger, tree: AssetTree, readings: Readings) -> Resolved:
    """Put a problem together from what was read."""
    profiles = Profiles(trigger.window, readings)
    all_sites = sites(trigger, profiles)
    tasks = placements(trigger, all_sites)
    all_devices = devices(trigger, profiles, tasks)
    weight = tie_break_weight(leading_price(all_sites), trigger.window.steps)
    all_stocks, wishes = stocks(trigger, profiles, readings, all_devices, weight)
    targets, dropped = outputs(trigger, tree)
    problem = Problem(
        window=trigger.window,
        currency=trigger.currency,
        devices=all_devices,
        stocks=all_stocks,
        sites=all_sites,
        nodes=nodes(trigger),
        groups=groups(trigger, profiles),
        couplings=couplings(trigger),
        bands=bands(trigger),
        commitments=commitments(trigger, profiles),
        processes=tuple(task.process for task in tasks if task.runs is None),
        warnings=tuple(dict.fromkeys([*trigger.warnings, *profiles.warnings, *dropped])),
    )
    return Resolved(problem, targets, trigger.stocks, wishes)
