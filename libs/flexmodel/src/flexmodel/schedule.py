"""The schedule of a `Problem`: plain arrays in the same order and units.

Power in MW (consumption positive), energy in MWh, money in the problem's currency. Nothing depends on the time that
solving took, so that the same problem gives the same schedule, byte for byte.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from flexmodel.problem import Array, Index, Window

LimitOwner = Literal["stock", "device", "site", "group"]


class ScheduleStatus(StrEnum):
    """The proven quality of a schedule."""

    OPTIMAL = "optimal"
    """Proven: no schedule is cheaper (within `gap`, which is zero or the solver's tolerance)."""
    FEASIBLE = "feasible"
    """The best one found by the deadline. `gap` is the most by which another one could be cheaper."""


@dataclass(frozen=True, slots=True)
class LimitCheck:
    """The check of one soft limit, at every step where it is given."""

    limit: str
    """The field's name: `soc-minima`, `soc-maxima`, `soc-targets`, `consumption-capacity`, `site-production-
    capacity`, …"""
    owner: LimitOwner
    index: int
    """The index of the stock, device, site or group in the problem."""
    steps: Index
    """For a stock: the state at the end of these steps."""
    bound: Array
    """The limit at these steps, in MW or MWh (a production capacity as a positive number)."""
    excess: Array
    """The breach (> 0), or minus the margin that is left (≤ 0). For targets the distance, never
    negative."""

    @property
    def broken(self) -> bool:
        """True if the limit is broken at some step."""
        return bool((self.excess > 0).any())


@dataclass(frozen=True, slots=True)
class Marginal:
    """The dual prices of the schedule: the cost of one more unit, with binary choices kept."""

    site: Array
    """(sites, T) currency per MWh: cost of one more MWh drawn at the site in that step."""
    stock: Array
    """(S, T) currency per MWh: saving by one more MWh in the stock at the end of that step."""
    device_up: Array
    """(N, T) currency per MWh: saving by a higher limit on the device's power (≥ 0; positive where it binds)."""
    device_down: Array
    """(N, T) the same for its lower limit."""
    site_up: Array
    """(sites, T) currency per MWh: the part of caps, breaches and peaks of consumption in the price of energy."""
    site_down: Array
    """The same for production: the part by which they reduce the revenue of feeding in."""
    group_up: Array
    """(groups, T) the same for the limits of groups."""
    group_down: Array
    stock_up: Array
    """(S, T) currency per MWh: saving by more room at the top of the stock."""
    stock_down: Array


@dataclass(frozen=True, slots=True)
class Schedule:
    """The solution of one problem."""

    window: Window
    currency: str
    power: Array
    """(N, T) MW, as in `Problem.devices`; inflexible devices included."""
    soc: Array
    """(S, T + 1) MWh: the state at the start and at the end of every step."""
    costs: dict[str, float]
    """By commitment, under the names in which they are reported; equal names are summed."""
    cost: float
    """The sum of `costs`, which was minimised."""
    bound: float
    """No schedule can cost less than this."""
    gap: float
    """(cost − bound) / |cost|, zero when proven optimal."""
    status: ScheduleStatus
    solver: str
    """The solver: `glop`, `highs`, `scip+glop`, …"""
    marginal: Marginal
    checks: tuple[LimitCheck, ...] = ()
    warnings: tuple[str, ...] = field(default=())
