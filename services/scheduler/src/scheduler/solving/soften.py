"""The problem of breaking hard limits as little as possible: prices gone, one kind of limits after another made
soft."""

from dataclasses import replace
from enum import IntEnum

import numpy as np
from flexmodel.problem import Array, Group, Node, Problem, Site, Stocks

from scheduler.formulation.storage import limits


class Stage(IntEnum):
    """Which limits are made soft; each stage adds to the one before."""

    WISHES = 0
    """What users ask of states of charge at given times."""
    STORAGES = 1
    """The constant limits of storages."""
    CAPS = 2
    """The caps of sites and groups, and the balance of commodities without a grid."""


def soften(problem: Problem, stage: Stage) -> Problem:
    """The problem in which only violations of the stage's limits cost: one per MW or MWh, and one per hour."""
    none = np.full(problem.devices.power_min.shape, np.nan)
    sites, groups, nodes = [_unpriced(site) for site in problem.sites], list(problem.groups), problem.nodes
    if stage >= Stage.CAPS:
        sites = [_soft_site(site) for site in sites] + [_as_site(node, problem.window.steps) for node in nodes]
        groups, nodes = [_soft_group(group) for group in groups], ()
    else:
        groups = [replace(group, consumption_cap=None, production_cap=None) for group in groups]
    return replace(
        problem,
        devices=replace(problem.devices, consumption_cap=none, production_cap=none),
        stocks=_soft_stocks(problem.stocks, stage),
        sites=tuple(sites),
        nodes=nodes,
        groups=tuple(groups),
        commitments=(),
    )


def _soft_stocks(stocks: Stocks, stage: Stage) -> Stocks:
    shape = stocks.gain.shape
    one, none, unbounded = np.ones(shape), np.full(shape, np.nan), np.full(len(stocks), np.nan)
    priced = replace(stocks, minima_breach_price=one, maxima_breach_price=one, fullness_price=np.zeros(shape))
    unwished = replace(priced, hard_minima=none, hard_maxima=none, hard_targets=none)
    if stage is Stage.WISHES:
        return replace(unwished, minima=stocks.hard_minima, maxima=stocks.hard_maxima, targets=stocks.hard_targets)
    low, high = (np.where(np.isfinite(bound), bound, np.nan) for bound in limits(stocks))
    return replace(unwished, soc_min=unbounded, soc_max=unbounded, minima=low, maxima=high, targets=none)


def _unpriced(site: Site) -> Site:
    return Site(
        commodity=site.commodity,
        devices=site.devices,
        consumption_price=np.zeros(len(site.consumption_price)),
        production_price=np.zeros(len(site.consumption_price)),
        power_max=site.power_max,
        power_min=site.power_min,
    )


def _soft_site(site: Site) -> Site:
    one, none = np.ones(len(site.power_max)), np.full(len(site.power_max), np.nan)
    return replace(
        site,
        power_max=none,
        power_min=none,
        consumption_cap=site.power_max,
        production_cap=-site.power_min,
        consumption_breach_price=one,
        production_breach_price=one,
    )


def _soft_group(group: Group) -> Group:
    none = np.full(len(group.power_max), np.nan)
    return replace(
        group,
        power_max=none,
        power_min=none,
        consumption_cap=group.power_max,
        production_cap=-group.power_min,
        breach_price=1.0,
    )


def _as_site(node: Node, steps: int) -> Site:
    """A grid that takes and gives what does not balance, at a price in both directions."""
    one, none = np.ones(steps), np.full(steps, np.nan)
    return Site(node.commodity, node.devices, one, -one, none, none)


def imbalance(problem: Problem, power: Array) -> list[Array]:
    """What is left over at each node of the original problem, in MW."""
    return [power[node.devices].sum(axis=0) for node in problem.nodes]
