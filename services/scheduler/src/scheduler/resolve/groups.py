"""What ties devices together inside the site: groups behind one connection, converters, custom commitments."""

import numpy as np
from flexmodel.parts import CustomCommitment, DeviceGroup, Price, Trigger
from flexmodel.problem import Array, Commitment, Coupling, Group

from scheduler.resolve.profiles import Profiles
from scheduler.resolve.sites import within


def groups(trigger: Trigger, profiles: Profiles) -> tuple[Group, ...]:
    return tuple(_group(group, profiles) for group in trigger.groups)


def couplings(trigger: Trigger) -> tuple[Coupling, ...]:
    return tuple(
        Coupling(
            name=converter.name,
            devices=np.array(converter.devices, dtype=np.int64),
            coefficients=np.array(converter.coefficients, dtype=np.float64),
        )
        for converter in trigger.converters
    )


def commitments(trigger: Trigger, profiles: Profiles) -> tuple[Commitment, ...]:
    return tuple(_commitment(commitment, trigger.currency, profiles) for commitment in trigger.commitments)


def _group(group: DeviceGroup, profiles: Profiles) -> Group:
    """The power capacity is hard; the directional ones are soft and never more than that."""
    capacity = profiles.limit(group.power_capacity, f"power-capacity of group {group.name}")
    consumption, production = (
        None if cap is None else within(profiles.limit(cap, f"{field} of group {group.name}"), capacity)
        for field, cap in (
            ("consumption-capacity", group.consumption_capacity),
            ("production-capacity", group.production_capacity),
        )
    )
    return Group(
        name=group.name,
        devices=np.array(group.members, dtype=np.int64),
        power_max=capacity,
        power_min=-capacity,
        consumption_cap=consumption,
        production_cap=production,
        breach_price=group.breach_price,
    )


def _commitment(commitment: CustomCommitment, currency: str, profiles: Profiles) -> Commitment:
    return Commitment(
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
    known = profiles.known(price.quantity, f"{currency}/{price.per}", 0.0, what)
    return known * profiles.window.hours if price.per == "MWh" else known
