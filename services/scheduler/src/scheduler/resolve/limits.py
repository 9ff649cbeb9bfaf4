"""The power limits of one device, from the capacities given for both directions and for each of them.

* Without a power capacity the larger directional one stands in, step by step; where there is none, or where the only
  one given is zero, a fallback does (the site's capacity, for example).
* A directional capacity is never more than the power capacity, which also stands in where it has no value.
* One directional capacity alone, if not zero, closes the other direction; a zero leaves the other at the power
  capacity.
* A capacity with a breach price is soft, unless it is zero over the whole window.
"""

from dataclasses import dataclass

import numpy as np
from flexmodel.parts import Device
from flexmodel.problem import Array
from flexmodel.values import VariableQuantity

from scheduler.resolve.profiles import Profiles
from scheduler.resolve.sites import within


@dataclass(frozen=True, slots=True)
class Direction:
    """What limits power in one direction, as non-negative numbers."""

    hard: Array
    soft: Array
    """NaN: no soft limit."""
    price: Array
    """Currency per MW."""


def device_limits(device: Device, currency: str, profiles: Profiles) -> tuple[Direction, Direction]:
    """Limits on consumption and on production."""

    def capacity(quantity: VariableQuantity | None, field: str) -> Array | None:
        return None if quantity is None else profiles.limit(quantity, f"{field} of {device.label}")

    def price(quantity: VariableQuantity | None, field: str) -> Array | None:
        return profiles.penalty(quantity, f"{currency}/MW", field)

    consumption = capacity(device.consumption_capacity, "consumption-capacity")
    production = capacity(device.production_capacity, "production-capacity")
    power = _power(device, consumption, production, profiles)
    up = price(device.consumption_breach_price, "consumption-breach-price")
    down = price(device.production_breach_price, "production-breach-price")
    return (
        _direction(consumption, production, power, up, device.may_consume),
        _direction(production, consumption, power, down, device.may_produce),
    )


def _power(device: Device, consumption: Array | None, production: Array | None, profiles: Profiles) -> Array:
    """The limit that holds in both directions."""
    power = profiles.limit(device.power_capacity, f"power-capacity of {device.label}")
    given = [capacity for capacity in (consumption, production) if capacity is not None]
    if device.power_capacity is None and given and not (len(given) == 1 and _is_zero(given[0])):
        power = np.fmax.reduce(given)
    unknown = np.isnan(power)
    if device.fallback_capacity is None or not unknown.any():
        return power
    return np.where(unknown, profiles.limit(device.fallback_capacity, f"The capacity of {device.label}"), power)


def _direction(own: Array | None, other: Array | None, power: Array, price: Array | None, is_open: bool) -> Direction:
    if not is_open or (own is None and other is not None and not _is_zero(other)):
        return hard(np.zeros(len(power)))
    if own is None:
        return hard(power)
    cap = within(own, power)
    return hard(cap) if price is None or not cap.any() else Direction(power, cap, price)


def hard(cap: Array) -> Direction:
    """A limit that nothing can exceed."""
    return Direction(cap, np.full(len(cap), np.nan), np.zeros(len(cap)))


def _is_zero(capacity: Array) -> bool:
    """Whether it is zero wherever it is known, and known somewhere."""
    known = capacity[~np.isnan(capacity)]
    return len(known) > 0 and not known.any()
