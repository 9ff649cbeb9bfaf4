"""A schedule: what came out of a `Problem`, as plain arrays in the same order and units.

Power in MW (consumption positive), energy in MWh, money in the problem's currency. Nothing here depends on how long
solving took, so that the same problem gives the same schedule, byte for byte.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from flexmodel.problem import Array, Index, Window

Owner = Literal["stock", "device", "site", "group"]


class Status(StrEnum):
    """How good the schedule is known to be."""

    OPTIMAL = "optimal"
    """Proven: no schedule is cheaper (within `gap`, which is zero or the solver's tolerance)."""
    FEASIBLE = "feasible"
    """The best one found by the deadline; `gap` says how much cheaper another one could be at most."""


@dataclass(frozen=True, slots=True)
class Check:
    """How one soft limit was kept, at every step where it is given."""

    limit: str
    """The field's name: `soc-minima`, `soc-maxima`, `soc-targets`, `consumption-capacity`, `site-production-
    capacity`, …"""
    owner: Owner
    index: int
    """Which stock, device, site or group of the problem."""
    steps: Index
    """For a stock: the state at the end of these steps."""
    bound: Array
    """The limit at these steps, in MW or MWh (a production capacity as a positive number)."""
    excess: Array
    """By how much it is broken (> 0), or minus the margin that is left (≤ 0). For targets the distance, never
    negative."""

    @property
    def broken(self) -> bool:
        return bool((self.excess > 0).any())


@dataclass(frozen=True, slots=True)
class Marginal:
    """What one more unit would cost: the dual prices of the schedule (binary choices kept as they are)."""

    site: Array
    """(sites, T) currency per MWh: cost of one more MWh drawn at the site in that step."""
    stock: Array
    """(S, T) currency per MWh: what one more MWh in the stock at the end of that step saves."""
    device_up: Array
    """(N, T) currency per MWh: what a higher limit on the device's power saves (≥ 0; positive where it binds)."""
    device_down: Array
    """(N, T) the same for its lower limit."""
    site_up: Array
    """(sites, T) currency per MWh: what caps, breaches and peaks of consumption add to the price of energy."""
    site_down: Array
    """The same for production: what they take from what feeding in earns."""
    group_up: Array
    """(groups, T) the same for the limits of groups."""
    group_down: Array
    stock_up: Array
    """(S, T) currency per MWh: what more room at the top of the stock saves."""
    stock_down: Array


@dataclass(frozen=True, slots=True)
class Schedule:
    """The answer to one problem."""

    window: Window
    currency: str
    power: Array
    """(N, T) MW, as in `Problem.devices`; inflexible devices included."""
    soc: Array
    """(S, T + 1) MWh: the state at the start and at the end of every step."""
    costs: dict[str, float]
    """By commitment, under the names in which they are reported; equal names are summed."""
    cost: float
    """The sum of `costs`: what was minimised."""
    bound: float
    """No schedule can cost less than this."""
    gap: float
    """(cost − bound) / |cost|, zero when proven optimal."""
    status: Status
    solver: str
    """Which solver gave the schedule, in words: `glop`, `highs`, `scip+glop`, …"""
    marginal: Marginal
    checks: tuple[Check, ...] = ()
    warnings: tuple[str, ...] = field(default=())
