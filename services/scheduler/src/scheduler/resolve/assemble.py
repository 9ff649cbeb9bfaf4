"""Assembly of a `Problem` from a trigger and the series it refers to. Pure arithmetic on arrays."""

from dataclasses import dataclass

from flexmodel.problem import Problem
from flexmodel.tree import AssetTree
from flexmodel.trigger import Stock, Trigger

from scheduler.resolve.devices import place_processes, resolve_bands, resolve_devices
from scheduler.resolve.outputs import Output, resolve_outputs
from scheduler.resolve.profiles import Profiles
from scheduler.resolve.series import LoadedSeries
from scheduler.resolve.sites import resolve_commitments, resolve_couplings, resolve_groups, resolve_nodes, resolve_sites
from scheduler.resolve.soc_requirements import SocRequirements
from scheduler.resolve.stocks import leading_price, resolve_stocks, tie_break_weight

__all__ = ["ResolvedTrigger", "assemble"]


@dataclass(frozen=True, slots=True)
class ResolvedTrigger:
    """A problem, and where its solution goes."""

    problem: Problem
    outputs: tuple[Output, ...]
    stocks: tuple[Stock, ...]
    requirements: tuple[SocRequirements, ...]
    """Requirements on each stock, soft or hard."""


def assemble(trigger: Trigger, tree: AssetTree, series: LoadedSeries) -> ResolvedTrigger:
    """Resolve a trigger into a problem.

    Raises:
        FlexmeshError: Prices or states of charge are unknown, or a process has no room.
        Invalid: A unit does not fit, or a limit has no value.
    """
    profiles = Profiles(trigger.window, series)
    all_sites = resolve_sites(trigger, profiles)
    all_nodes, all_couplings = resolve_nodes(trigger), resolve_couplings(trigger)
    all_bands = resolve_bands(trigger)
    tasks = place_processes(trigger, all_sites)
    all_devices = resolve_devices(trigger, profiles, tasks)
    weight = tie_break_weight(leading_price(all_sites), trigger.window.steps)
    all_stocks, requirements = resolve_stocks(trigger, profiles, series, all_devices, weight)
    targets, dropped = resolve_outputs(trigger, tree)
    problem = Problem(
        window=trigger.window,
        currency=trigger.currency,
        devices=all_devices,
        stocks=all_stocks,
        sites=all_sites,
        nodes=all_nodes,
        groups=resolve_groups(trigger, profiles),
        couplings=all_couplings,
        bands=all_bands,
        commitments=resolve_commitments(trigger, profiles),
        processes=tuple(task.process for task in tasks if task.runs is None),
        warnings=tuple(dict.fromkeys([*trigger.warnings, *profiles.warnings, *dropped])),
    )
    return ResolvedTrigger(problem, targets, trigger.stocks, requirements)
