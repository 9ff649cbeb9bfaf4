"""Sites, nodes, groups, couplings and commitments: what is priced or limited on sums of devices."""

from dataclasses import dataclass

import numpy as np
from flexmodel.parts import CommodityContext, CustomCommitment, DeviceGroup, Price, Trigger
from flexmodel.problem import Array, Commitment, Coupling, Group, Index, Node, Site
from flexmodel.values import VariableQuantity

from scheduler.resolve.profiles import Profiles


def resolve_sites(trigger: Trigger, profiles: Profiles) -> tuple[Site, ...]:
    """One site per commodity with a grid connection."""
    return tuple(
        _resolve_site(context, _devices_of(trigger, context.commodity), trigger.currency, profiles)
        for context in trigger.contexts
    )


def resolve_nodes(trigger: Trigger) -> tuple[Node, ...]:
    """One balance node per commodity without a grid connection."""
    return tuple(Node(node.commodity, _devices_of(trigger, node.commodity)) for node in trigger.nodes)


def _devices_of(trigger: Trigger, commodity: str) -> Index:
    return np.array(trigger.of_commodity(commodity), dtype=np.int64)


def _resolve_site(context: CommodityContext, devices: Index, currency: str, profiles: Profiles) -> Site:
    unit = f"{currency}/MWh"
    consumption_price = profiles.price(site.consumption_price, unit, "consumption-price")
    production_price = (
        consumption_price
        if site.production_price is None
        else profiles.price(site.production_price, unit, "production-price")
    )
    given = _SiteFields(profiles.limit(context.power_capacity, "site-power-capacity"), f"{currency}/MW", profiles)
    consumption = given.direction("consumption", context.consumption_capacity, context.consumption_breach_price)
    production = given.direction("production", context.production_capacity, context.production_breach_price)
    peak_consumption = given.peak("consumption", context.peak_consumption, context.peak_consumption_price)
    peak_production = given.peak("production", context.peak_production, context.peak_production_price)
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


def capped_by(cap: Array, capacity: Array) -> Array:
    """A directional cap: the power capacity where it is not given, and never more than that."""
    return np.fmin(cap, capacity)


@dataclass(frozen=True, slots=True)
class _Direction:
    """What limits the sum in one direction, as non-negative numbers."""

    hard: Array
    soft: Array | None
    price: Array | None


@dataclass(frozen=True, slots=True)
class _Peak:
    """The peak that is paid for already, and the price of a higher one."""

    sunk: Array | None
    price: Array | None


@dataclass(frozen=True, slots=True)
class _SiteFields:
    """What is needed to read the fields of one direction."""

    capacity: Array
    per_power: str
    profiles: Profiles

    def direction(self, way: str, cap: VariableQuantity | None, price: VariableQuantity | None) -> _Direction:
        """With a breach price the cap is soft and only the power capacity is hard."""
        strictest = capped_by(self.profiles.limit(cap, f"site-{way}-capacity"), self.capacity)
        penalty = self.profiles.penalty(price, self.per_power, f"site-{way}-breach-price")
        return _Direction(strictest, None, None) if penalty is None else _Direction(self.capacity, strictest, penalty)

    def peak(self, way: str, sunk: VariableQuantity | None, price: VariableQuantity | None) -> _Peak:
        """Without a price there is no peak tariff; without a peak, none is paid for yet."""
        penalty = self.profiles.penalty(price, self.per_power, f"site-peak-{way}-price")
        if penalty is None:
            return _Peak(None, None)
        paid = np.zeros(self.profiles.window.steps) if sunk is None else self.profiles.limit(sunk, f"site-peak-{way}")
        return _Peak(paid, penalty)


def resolve_groups(trigger: Trigger, profiles: Profiles) -> tuple[Group, ...]:
    return tuple(_resolve_group(group, profiles) for group in trigger.groups)


def resolve_couplings(trigger: Trigger) -> tuple[Coupling, ...]:
    return tuple(
        problem.Coupling(
            name=coupling.name,
            devices=np.array(coupling.devices, dtype=np.int64),
            coefficients=np.array(coupling.coefficients, dtype=np.float64),
        )
        for coupling in trigger.couplings
    )


def resolve_commitments(trigger: Trigger, profiles: Profiles) -> tuple[Commitment, ...]:
    return tuple(_resolve_commitment(commitment, trigger.currency, profiles) for commitment in trigger.commitments)


def _resolve_group(group: Group, profiles: Profiles) -> problem.Group:
    """The power capacity is hard; the directional ones are soft and never more than that."""
    capacity = profiles.limit(group.power_capacity, f"power-capacity of group {group.name}")
    consumption, production = (
        None if cap is None else capped_by(profiles.limit(cap, f"{field} of group {group.name}"), capacity)
        for field, cap in (
            ("consumption-capacity", group.consumption_capacity),
            ("production-capacity", group.production_capacity),
        )
    )
    return problem.Group(
        name=group.name,
        devices=np.array(group.members, dtype=np.int64),
        power_max=capacity,
        power_min=-capacity,
        consumption_cap=consumption,
        production_cap=production,
        breach_price=group.breach_price,
    )


def _resolve_commitment(commitment: Commitment, currency: str, profiles: Profiles) -> problem.Commitment:
    return problem.Commitment(
        name=commitment.name,
        commodity=commitment.commodity,
        devices=np.array(commitment.members, dtype=np.int64),
        baseline=profiles.steps(commitment.baseline, "MW"),
        up_price=_per_step(commitment.up_price, currency, f"up-price of {commitment.name}", profiles),
        down_price=_per_step(commitment.down_price, currency, f"down-price of {commitment.name}", profiles),
    )


def _per_step(price: Price | None, currency: str, what: str, profiles: Profiles) -> Array:
    """Currency per MW and step. A deviation without a price is free; a price per MW is charged at every step."""
    if price is None:
        return np.zeros(profiles.window.steps)
    known = profiles.steps_or_default(price.quantity, f"{currency}/{price.per}", 0.0, what)
    return known * profiles.window.hours if price.per == "MWh" else known
