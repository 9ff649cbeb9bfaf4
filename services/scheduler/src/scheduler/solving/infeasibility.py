"""Diagnosis of infeasible problems: the smallest violation of the hard limits, in words and numbers.

The hard limits are made soft, one kind after another. The first kind that helps is the one to blame; the limits that
stand in the way of keeping it come from the dual prices.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from flexmodel.errors import FlexmeshError
from flexmodel.problem import Array, Group, Index, Node, Problem, Site, Stocks
from flexmodel.schedule import LimitCheck, Marginal

from scheduler.formatting import format_energy, format_list, format_periods, format_power, format_time
from scheduler.formulation.model import formulate
from scheduler.formulation.stocks import hard_soc_limits
from scheduler.solving.readout import check_soft_limits, marginal_prices, round_rows
from scheduler.solving.search import NoSolutionError, NoTimeError, SolverOptions, find_optimum

SENTENCES = 5
"""Number of violations in the error's message."""
DUST = 1e-7
"""MW or MWh too small to be called a violation."""


class Infeasible(FlexmeshError):  # noqa: N818  reads like its kin: Invalid, Forbidden, Unavailable
    """Hard limits conflict. `reasons` has a sentence for each violation that cannot be avoided."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("No schedule keeps all limits. " + " ".join(reasons[:SENTENCES]))
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class SmallestViolation:
    """The cheapest way to break limits, and the dual prices of the limits that prevent a cheaper one."""

    power: Array
    checks: list[LimitCheck]
    prices: Marginal


def diagnose(problem: Problem, options: SolverOptions) -> Infeasible:
    """Return the error that explains why the problem has no schedule."""
    for stage in SofteningStage:
        softened = soften_limits(problem, stage)
        relief = _smallest_violation(softened, options)
        if relief is not None:
            reasons = [_sentence(problem, softened, check, relief.prices) for check in relief.checks]
            if stage is SofteningStage.CAPS:
                reasons += _imbalances(problem, relief.power)
            return Infeasible(reasons or ["The limits leave no room, by less than a watt."])
    return Infeasible(_blame_structure(problem, options))


def _smallest_violation(softened: Problem, options: SolverOptions) -> SmallestViolation | None:
    model = formulate(softened)
    try:
        outcome = find_optimum(model, options)
    except (NoSolutionError, NoTimeError):
        return None
    plan = round_rows(model.power.values(outcome.solution.x))
    stock = round_rows(model.stocks.soc.values(outcome.solution.x))
    broken = [check for check in check_soft_limits(softened, plan, stock) if (check.excess > DUST).any()]
    return SmallestViolation(plan, broken, marginal_prices(model, outcome))


def _sentence(problem: Problem, softened: Problem, check: LimitCheck, prices: Marginal) -> str:
    worst = int(np.argmax(check.excess))
    step, bound, missing = int(check.steps[worst]), float(check.bound[worst]), float(check.excess[worst])
    others = int((check.excess > DUST).sum()) - 1
    also = f" (and at {others} other times)" if others else ""
    because = _causes_sentence(softened, check, step, prices)
    if check.owner == "stock":
        return _of_stock(problem, check, step, bound, missing) + also + because
    end = format_time(problem.window.start + step * problem.window.resolution)
    what = (
        f"the {problem.sites[check.index].commodity} site"
        if check.owner == "site"
        else problem.groups[check.index].name
    )
    way = "consumption" if "consumption" in check.limit else "production"
    return (
        f"{way.capitalize()} of {what} exceeds its limit of {format_power(bound)} by {format_power(missing)} "
        f"at {end}{also}{because}"
    )


def _of_stock(problem: Problem, check: LimitCheck, step: int, bound: float, missing: float) -> str:
    stocks, stock = problem.stocks, check.index
    end = format_time(problem.window.start + (step + 1) * problem.window.resolution)
    label, start = stocks.labels[stock], format_energy(stocks.initial[stock])
    if check.limit == "soc-maxima":
        change, rest = "come down to", "too much"
    else:
        change, rest = "reach", "short"
    return (
        f"{label} cannot {change} {format_energy(bound)} at {end} from {start} at the start: "
        f"{format_energy(missing)} {rest}"
    )


def _causes_sentence(problem: Problem, check: LimitCheck, step: int, prices: Marginal) -> str:
    """Name the limits that would have to give, with the largest effect first."""
    causes: list[tuple[float, str]] = []
    devices, window = problem.devices, problem.window
    for gain, limit, field in (
        (prices.device_up, devices.power_max, "consumption-capacity"),
        (prices.device_down, -devices.power_min, "production-capacity"),
    ):
        for device in np.flatnonzero((gain > DUST).any(axis=1)).tolist():
            steps = np.flatnonzero(gain[device] > DUST)
            causes.append(
                (gain[device].sum(), f"the {field} of {devices.labels[device]} is {_values(limit[device, steps])}")
            )
    for number, site in enumerate(problem.sites):
        for gain, limit, field in (
            (prices.site_up[number], site.power_max, "consumption"),
            (prices.site_down[number], -site.power_min, "production"),
        ):
            steps = np.flatnonzero(gain > DUST)
            if len(steps):
                text = f"the site's {field} of {site.commodity} is limited to {_values(limit[steps])}"
                causes.append((gain.sum(), f"{text} {format_list(format_periods(steps, window), 1)}"))
    causes.extend(_storage_causes(problem, check, prices))
    if not causes:
        return "."
    causes.sort(key=lambda cause: -cause[0])
    return f" because {format_list([text for _, text in causes])}."


def _storage_causes(problem: Problem, check: LimitCheck, prices: Marginal) -> Iterator[tuple[float, str]]:
    stocks = problem.stocks
    for gain, limit, field in (
        (prices.stock_up, stocks.soc_max, "soc-max"),
        (prices.stock_down, stocks.soc_min, "soc-min"),
    ):
        for stock in np.flatnonzero((gain > DUST).any(axis=1)).tolist():
            if check.owner != "stock" or stock != check.index or np.isfinite(limit[stock]):
                yield gain[stock].sum(), f"the {field} of {stocks.labels[stock]} is {format_energy(limit[stock])}"


def _values(limits: Array) -> str:
    """Return the values of a limit, or their range."""
    distinct = np.unique(np.round(limits + 0.0, 9))
    return (
        format_power(distinct[0])
        if len(distinct) == 1
        else f"{format_power(distinct[0])} to {format_power(distinct[-1])}"
    )


def _imbalances(problem: Problem, plan: Array) -> list[str]:
    """Sentences on the shortage or surplus of commodities without a grid."""
    sentences = []
    for node, rest in zip(problem.nodes, imbalances(problem, plan), strict=True):
        step = int(np.argmax(np.abs(rest)))
        if abs(rest[step]) > DUST:
            at = format_time(problem.window.start + step * problem.window.resolution)
            lack = (
                f"{format_power(rest[step])} of {node.commodity} is missing"
                if rest[step] > 0
                else (f"{format_power(-rest[step])} of {node.commodity} cannot be used")
            )
            steps: Index = np.flatnonzero(np.abs(rest) > DUST)
            also = f" (and at {len(steps) - 1} other times)" if len(steps) > 1 else ""
            sentences.append(f"{lack} at {at}{also}: it has no grid, so what is produced must be consumed.")
    return sentences


def _blame_structure(problem: Problem, options: SolverOptions) -> list[str]:
    """Find the structural demands without which there would be a schedule, when softening no limit helps."""
    softened = soften_limits(problem, SofteningStage.CAPS)
    labels = problem.devices.labels
    trials = [
        *(
            (f"the operation modes of {labels[bands.device]}", replace(softened, bands=_without(softened.bands, bands)))
            for bands in problem.bands
        ),
        *(
            (f"the coupling {coupling.name}", replace(softened, couplings=_without(softened.couplings, coupling)))
            for coupling in problem.couplings
        ),
        *(
            (
                f"the process {labels[process.device]}",
                replace(softened, processes=_without(softened.processes, process)),
            )
            for process in problem.processes
        ),
    ]
    guilty = [what for what, trial in trials if _smallest_violation(trial, options) is not None]
    if guilty:
        return [f"It would work without {text}." for text in guilty]
    return ["The demands on devices contradict one another: operation modes, couplings and limits on power."]


def _without[T](items: tuple[T, ...], item: T) -> tuple[T, ...]:
    return tuple(other for other in items if other is not item)


class SofteningStage(IntEnum):
    """The limits that are made soft; each stage adds to the one before."""

    REQUIREMENTS = 0
    """Requirements on states of charge at given times."""
    STOCKS = 1
    """The constant limits of stocks."""
    CAPS = 2
    """The limits of sites and groups, and the balance of commodities without a grid."""


def soften_limits(problem: Problem, stage: SofteningStage) -> Problem:
    """Return the problem in which only violations of the stage's limits cost: one per MW or MWh, and one per hour."""
    none = np.full(problem.devices.power_min.shape, np.nan)
    sites, groups, nodes = [_unpriced(site) for site in problem.sites], list(problem.groups), problem.nodes
    if stage >= SofteningStage.CAPS:
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


def _soft_stocks(stocks: Stocks, stage: SofteningStage) -> Stocks:
    shape = stocks.gain.shape
    one, none, unbounded = np.ones(shape), np.full(shape, np.nan), np.full(len(stocks), np.nan)
    priced = replace(stocks, minima_breach_price=one, maxima_breach_price=one, tie_break_price=np.zeros(shape))
    unwished = replace(priced, hard_minima=none, hard_maxima=none, hard_targets=none)
    if stage is SofteningStage.REQUIREMENTS:
        return replace(unwished, minima=stocks.hard_minima, maxima=stocks.hard_maxima, targets=stocks.hard_targets)
    low, high = (np.where(np.isfinite(bound), bound, np.nan) for bound in hard_soc_limits(stocks))
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
    """A grid that takes and gives any imbalance, at a price in both directions."""
    one, none = np.ones(steps), np.full(steps, np.nan)
    return Site(node.commodity, node.devices, one, -one, none, none)


def imbalances(problem: Problem, power: Array) -> list[Array]:
    """Return the imbalance of each node of the original problem, in MW."""
    return [power[node.devices].sum(axis=0) for node in problem.nodes]
