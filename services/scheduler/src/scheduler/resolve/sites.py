"""The grid connection of each commodity: prices, caps and peaks on the sum of its devices."""

from dataclasses import dataclass

import numpy as np
from flexmodel.parts import CommodityContext, Trigger
from flexmodel.problem import Array, Index, Node, Site
from flexmodel.values import VariableQuantity

from scheduler.resolve.profiles import Profiles

ELECTRICITY = "electricity"


def sites(trigger: Trigger, profiles: Profiles) -> tuple[Site, ...]:
    """One site per commodity with a grid connection."""
    return tuple(
        _site(context, members(trigger, context.commodity), trigger.currency, profiles) for context in trigger.contexts
    )


def nodes(trigger: Trigger) -> tuple[Node, ...]:
    """One balance node per commodity without a grid connection."""
    return tuple(Node(node.commodity, members(trigger, node.commodity)) for node in trigger.nodes)


def members(trigger: Trigger, commodity: str) -> Index:
    return np.array(trigger.of_commodity(commodity), dtype=np.int64)


def leading_price(sites: tuple[Site, ...]) -> Array | None:
    """The consumption price that scales the tie-break: that of electricity, else of the first commodity."""
    return next(
        (site.consumption_price for site in sorted(sites, key=lambda site: site.commodity != ELECTRICITY)), None
    )


def _site(context: CommodityContext, devices: Index, currency: str, profiles: Profiles) -> Site:
    per_energy, per_power = f"{currency}/MWh", f"{currency}/MW"
    consumption_price = profiles.price(context.consumption_price, per_energy, "consumption-price")
    production_price = (
        consumption_price
        if context.production_price is None
        else profiles.price(context.production_price, per_energy, "production-price")
    )
    capacity = limit(context.power_capacity, profiles)
    consumption = _Direction.of(
        context.consumption_capacity, context.consumption_breach_price, capacity, per_power, profiles
    )
    production = _Direction.of(
        context.production_capacity, context.production_breach_price, capacity, per_power, profiles
    )
    peak_consumption = _Peak.of(context.peak_consumption, context.peak_consumption_price, per_power, profiles)
    peak_production = _Peak.of(context.peak_production, context.peak_production_price, per_power, profiles)
    return Site(
        commodity=context.commodity,
        devices=devices,
        consumption_price=consumption_price,
        production_price=production_price,
        power_max=consumption.hard,
        power_min=-production.hard,
        consumption_cap=consumption.soft,
        production_cap=production.soft,
        consumption_breach_price=consumption.price,
        production_breach_price=production.price,
        peak_consumption=peak_consumption.sunk,
        peak_consumption_price=peak_consumption.price,
        peak_production=peak_production.sunk,
        peak_production_price=peak_production.price,
    )


def limit(quantity: VariableQuantity | None, profiles: Profiles) -> Array:
    """A capacity in MW: the strictest where several apply, never negative, NaN where there is none."""
    return np.maximum(profiles.steps(quantity, "MW", "min"), 0.0)


def within(cap: Array, capacity: Array) -> Array:
    """A directional cap: the power capacity where it is not given, and never more than that."""
    return np.fmin(cap, capacity)


@dataclass(frozen=True, slots=True)
class _Direction:
    """What limits the sum in one direction, as non-negative numbers."""

    hard: Array
    soft: Array | None
    price: Array | None

    @classmethod
    def of(
        cls,
        cap: VariableQuantity | None,
        breach_price: VariableQuantity | None,
        capacity: Array,
        per_power: str,
        profiles: Profiles,
    ) -> "_Direction":
        """With a breach price the cap is soft and only the power capacity is hard."""
        strictest = within(limit(cap, profiles), capacity)
        if breach_price is None:
            return cls(strictest, None, None)
        return cls(capacity, strictest, np.maximum(profiles.known(breach_price, per_power, 0.0), 0.0))


@dataclass(frozen=True, slots=True)
class _Peak:
    """The peak that is paid for already, and the price of a higher one."""

    sunk: Array | None
    price: Array | None

    @classmethod
    def of(
        cls, peak: VariableQuantity | None, price: VariableQuantity | None, per_power: str, profiles: Profiles
    ) -> "_Peak":
        if price is None:
            return cls(None, None)
        sunk = np.zeros(profiles.window.steps) if peak is None else limit(peak, profiles)
        return cls(sunk, np.maximum(profiles.known(price, per_power, 0.0), 0.0))
