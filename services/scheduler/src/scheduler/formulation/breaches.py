"""Soft limits: a breach costs, once for its height and per hour for its duration.

    any:  Σ_g max_{j∈g} price · (X_j − limit_j)⁺          g: runs of steps with equal limit and price
    all:  Σ_j Δ · price_j · (X_j − limit_j)⁺              and the mirror images for lower limits

Limits on power are priced in currency per MW, limits on stocks in currency per MWh; Δ is the step in hours, so both
costs are independent of the resolution.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from flexmodel.problem import Array, Index, Problem, Stocks
from flexmodel.schedule import LimitOwner

from scheduler.formulation.terms import Aggregates, LargestTerm, StepTerm, Subject


@dataclass(frozen=True, slots=True)
class SoftLimit:
    """One family of soft limits; arrays are (rows, steps)."""

    field: str
    """The name of the field, as users know it."""
    owner: LimitOwner
    owners: Index
    """Indices of the stocks, devices, sites or groups of the problem, one for each row."""
    names: tuple[tuple[str, ...], tuple[str, ...]]
    """Names of the costs of height and of duration, one for each row."""
    subject: Subject
    rows: Index
    """Indices of the aggregates or stocks of the ledger."""
    bound: Array
    above: Array | None
    """Price of being above the bound; None where that is no breach."""
    below: Array | None


def breach_terms(problem: Problem, aggregates: Aggregates) -> Iterator[StepTerm | LargestTerm]:
    """Yield the priced terms of all soft limits."""
    for limit in soft_limits(problem, aggregates):
        yield from _terms(limit, problem.window.hours)


def soft_limits(problem: Problem, aggregates: Aggregates) -> Iterator[SoftLimit]:
    """Yield all soft limits of a problem."""
    yield from _site_limits(problem, aggregates)
    yield from _group_limits(problem, aggregates)
    yield from _device_limits(problem, aggregates)
    yield from _stock_limits(problem.stocks)


def _terms(limit: SoftLimit, hours: float) -> Iterator[StepTerm | LargestTerm]:
    none = np.zeros(limit.bound.shape)
    above, below = (none if price is None else np.nan_to_num(price) for price in (limit.above, limit.below))
    apart = (limit.bound, above, below)
    if limit.above is not None:
        yield LargestTerm(limit.names[0], limit.subject, limit.rows, limit.bound, above, +1, apart)
    if limit.below is not None:
        yield LargestTerm(limit.names[0], limit.subject, limit.rows, limit.bound, below, -1, apart)
    yield StepTerm(limit.names[1], limit.subject, limit.rows, limit.bound, above * hours, -below * hours)


def _site_limits(problem: Problem, aggregates: Aggregates) -> Iterator[SoftLimit]:
    """Limits of sites: `K any consumption breach` and so on, reported even if the site has no such capacity."""
    for number, site in enumerate(problem.sites):
        row = aggregates.sites[[number]]
        for direction, cap, price in (
            ("consumption", site.consumption_cap, site.consumption_breach_price),
            ("production", site.production_cap, site.production_breach_price),
        ):
            if cap is not None and price is not None:
                names = (f"{site.commodity} any {direction} breach",), (f"{site.commodity} all {direction} breaches",)
                yield _power_limit(
                    direction, f"site-{direction}-capacity", "site", np.array([number]), names, row, cap, price
                )


def _group_limits(problem: Problem, aggregates: Aggregates) -> Iterator[SoftLimit]:
    """Soft limits of groups inside a site, at a price that users cannot choose."""
    for number, group in enumerate(problem.groups):
        row = aggregates.groups[[number]]
        for direction, cap in (("consumption", group.consumption_cap), ("production", group.production_cap)):
            if cap is not None:
                names = (
                    (f"group {group.name} any {direction} breach",),
                    (f"group {group.name} all {direction} breaches",),
                )
                price = np.full(len(cap), group.breach_price)
                yield _power_limit(
                    direction, f"{direction}-capacity", "group", np.array([number]), names, row, cap, price
                )


def _device_limits(problem: Problem, aggregates: Aggregates) -> Iterator[SoftLimit]:
    """Soft consumption and production capacities of single devices."""
    devices = problem.devices
    for direction, cap, price in (
        ("consumption", devices.consumption_cap, devices.consumption_breach_price),
        ("production", devices.production_cap, devices.production_breach_price),
    ):
        soft = np.flatnonzero((~np.isnan(cap)).any(axis=1))
        if len(soft):
            names = (
                tuple(f"any {direction} breach device {d}" for d in soft),
                tuple(f"all {direction} breaches device {d}" for d in soft),
            )
            rows = aggregates.devices[soft]
            yield _power_limit(direction, f"{direction}-capacity", "device", soft, names, rows, cap[soft], price[soft])


def _power_limit(
    direction: str,
    field: str,
    owner: LimitOwner,
    owners: Index,
    names: tuple[tuple[str, ...], tuple[str, ...]],
    rows: Index,
    cap: Array,
    price: Array,
) -> SoftLimit:
    cap, price = np.atleast_2d(cap), np.atleast_2d(price)
    if direction == "consumption":
        return SoftLimit(field, owner, owners, names, "power", rows, cap, above=price, below=None)
    return SoftLimit(field, owner, owners, names, "power", rows, -cap, above=None, below=price)


def _stock_limits(stocks: Stocks) -> Iterator[SoftLimit]:
    """Soft state-of-charge minima, maxima and targets. All stocks are reported under one name."""
    low, high = stocks.minima_breach_price, stocks.maxima_breach_price
    families: tuple[tuple[str, Array, Array | None, Array | None], ...] = (
        ("minima", stocks.minima, None, low),
        ("maxima", stocks.maxima, high, None),
        ("targets", stocks.targets, high, low),
    )
    for what, bound, above, below in families:
        soft = np.flatnonzero((~np.isnan(bound)).any(axis=1))
        if len(soft):
            yield SoftLimit(
                f"soc-{what}",
                "stock",
                soft,
                ((f"any soc {what}",) * len(soft), (f"all soc {what}",) * len(soft)),
                "stock",
                soft,
                bound[soft],
                None if above is None else above[soft],
                None if below is None else below[soft],
            )
