"""Sites, nodes, groups, couplings and commitments: what is priced or limited on the sum of several devices."""

from dataclasses import dataclass

import numpy as np
from flexmodel import problem
from flexmodel.problem import Array, Index
from flexmodel.trigger import Commitment, Group, Site, Trigger
from flexmodel.values import VariableQuantity

from scheduler.resolve.profiles import Profiles


def resolve_sites(trigger: Trigger, profiles: Profiles) -> tuple[problem.Site, ...]:
    """Return one site per commodity with a grid connection."""
    return tuple(
        _resolve_site(site, _devices_of(trigger, site.commodity), trigger.currency, profiles) for site in trigger.sites
    )


def resolve_nodes(trigger: Trigger) -> tuple[problem.Node, ...]:
    """Return one node per commodity without a grid connection."""
    return tuple(problem.Node(node.commodity, _devices_of(trigger, node.commodity)) for node in trigger.nodes)


def resolve_couplings(trigger: Trigger) -> tuple[problem.Coupling, ...]:
    return tuple(
        problem.Coupling(
            name=coupling.name,
            devices=np.array(coupling.devices, dtype=np.int64),
            coefficients=np.array(coupling.coefficients, dtype=np.float64),
        )
        for coupling in trigger.couplings
    )


def resolve_groups(trigger: Trigger, profiles: Profiles) -> tuple[problem.Group, ...]:
    return tuple(_resolve_group(group, profiles) for group in trigger.groups)


def resolve_commitments(trigger: Trigger, profiles: Profiles) -> tuple[problem.Commitment, ...]:
    return tuple(_resolve_commitment(commitment, trigger.currency, profiles) for commitment in trigger.commitments)


def capped_by(limit: Array, capacity: Array) -> Array:
    """Return a directional limit: the power capacity where the limit is not given, and never more than that."""
    return np.fmin(limit, capacity)


def _devices_of(trigger: Trigger, commodity: str) -> Index:
    return np.array(trigger.of_commodity(commodity), dtype=np.int64)


def _resolve_site(site: Site, devices: Index, currency: str, profiles: Profiles) -> problem.Site:
    unit = f"{currency}/MWh"
    consumption_price = profiles.price(site.consumption_price, unit, "consumption-price")
    production_price = (
        consumption_price
        if site.production_price is None
        else profiles.price(site.production_price, unit, "production-price")
    )
    fields = _SiteFields(profiles.limit(site.power_capacity, "site-power-capacity"), f"{currency}/MW", profiles)
    consumption = fields.limits("consumption", site.consumption_capacity, site.consumption_breach_price)
    production = fields.limits("production", site.production_capacity, site.production_breach_price)
    peak_consumption = fields.peak("consumption", site.peak_consumption, site.peak_consumption_price)
    peak_production = fields.peak("production", site.peak_production, site.peak_production_price)
    return problem.Site(
        commodity=site.commodity,
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


@dataclass(frozen=True, slots=True)
class _SiteLimits:
    """Limits on the sum in one direction, as non-negative numbers."""

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
    """Parses the fields of a site that exist for each direction."""

    capacity: Array
    unit: str
    """Currency per power."""
    profiles: Profiles

    def limits(self, direction: str, limit: VariableQuantity | None, price: VariableQuantity | None) -> _SiteLimits:
        """With a breach price the limit is soft and only the power capacity is hard."""
        strictest = capped_by(self.profiles.limit(limit, f"site-{direction}-capacity"), self.capacity)
        penalty = self.profiles.penalty(price, self.unit, f"site-{direction}-breach-price")
        return _SiteLimits(strictest, None, None) if penalty is None else _SiteLimits(self.capacity, strictest, penalty)

    def peak(self, direction: str, sunk: VariableQuantity | None, price: VariableQuantity | None) -> _Peak:
        """Without a price there is no peak tariff; without a peak, none is paid for yet."""
        penalty = self.profiles.penalty(price, self.unit, f"site-peak-{direction}-price")
        if penalty is None:
            return _Peak(None, None)
        if sunk is None:
            return _Peak(np.zeros(self.profiles.window.steps), penalty)
        return _Peak(self.profiles.limit(sunk, f"site-peak-{direction}"), penalty)


def _resolve_group(group: Group, profiles: Profiles) -> problem.Group:
    """The power capacity is hard; the directional capacities are soft and never more than that."""
    capacity = profiles.limit(group.power_capacity, f"power-capacity of group {group.name}")
    consumption, production = (
        None if limit is None else capped_by(profiles.limit(limit, f"{field} of group {group.name}"), capacity)
        for field, limit in (
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
        up_price=profiles.price_per_step(commitment.up_price, currency, f"up-price of {commitment.name}"),
        down_price=profiles.price_per_step(commitment.down_price, currency, f"down-price of {commitment.name}"),
    )
