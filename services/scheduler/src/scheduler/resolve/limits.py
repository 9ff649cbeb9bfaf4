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
from scheduler.resolve.sites import limit, within


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
    consumption = None if device.consumption_capacity is None else limit(device.consumption_capacity, profiles)
    production = None if device.production_capacity is None else limit(device.production_capacity, profiles)
    power = _power(device, consumption, production, profiles)
    prices = f"{currency}/MW"
    return (
        _direction(
            consumption, production, power, device.may_consume, device.consumption_breach_price, prices, profiles
        ),
        _direction(
            production, consumption, power, device.may_produce, device.production_breach_price, prices, profiles
        ),
    )


def _power(device: Device, consumption: Array | None, production: Array | None, profiles: Profiles) -> Array:
    """The limit that holds in both directions."""
    power = limit(device.power_capacity, profiles)
    given = [capacity for capacity in (consumption, production) if capacity is not None]
    if device.power_capacity is None and given and not (len(given) == 1 and _is_zero(given[0])):
        power = np.fmax.reduce(given)
    return np.where(np.isnan(power), limit(device.fallback_capacity, profiles), power)


def _direction(
    own: Array | None,
    other: Array | None,
    power: Array,
    is_open: bool,
    breach_price: VariableQuantity | None,
    per_power: str,
    profiles: Profiles,
) -> Direction:
    nothing, free = np.full(len(power), np.nan), np.zeros(len(power))
    closed = not is_open or (own is None and other is not None and not _is_zero(other))
    cap = free if closed else power if own is None else within(own, power)
    if own is None or closed or breach_price is None or not cap.any():
        return Direction(cap, nothing, free)
    return Direction(power, cap, np.maximum(profiles.known(breach_price, per_power, 0.0), 0.0))


def _is_zero(capacity: Array) -> bool:
    """Whether it is zero wherever it is known, and known somewhere."""
    known = capacity[~np.isnan(capacity)]
    return len(known) > 0 and not known.any()
