"""A scheduling problem as plain arrays: no sensors, no database, no units to convert.

Conventions: `T` time steps of equal length; power in MW, consumption positive; energy in MWh; money in the problem's
one currency. Flow `j` spans step `j`; stock `j` is the state at the *end* of step `j`. NaN in a limit means "no limit
here".
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Window:
    """The planning window: `steps` steps of `resolution` from `start` (UTC)."""

    start: datetime
    resolution: timedelta
    steps: int

    @property
    def hours(self) -> float:
        """Length of one step in hours."""
        return self.resolution / timedelta(hours=1)

    @property
    def end(self) -> datetime:
        """The end of the last step."""
        return self.start + self.steps * self.resolution


@dataclass(frozen=True, slots=True)
class Devices:
    """All devices, flexible and inflexible, in the order that numbers them in cost names. Two-dimensional arrays
    are (N, T)."""

    labels: tuple[str, ...]
    commodity: tuple[str, ...]
    power_min: Array
    """Hard lower bound of net power. Equal to `power_max` for an inflexible device."""
    power_max: Array
    flexible: Mask
    stock: Index
    """Index into `Stocks`, -1 for a pure flow device."""
    charging_efficiency: Array
    discharging_efficiency: Array
    consumption_cap: Array
    """Soft cap on consumption (≥ 0, NaN: none), priced by `consumption_breach_price`."""
    production_cap: Array
    consumption_breach_price: Array
    """Currency per MW, charged once for the height and per hour for the duration."""
    production_breach_price: Array

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Stocks:
    """All energy stocks. Devices that share a state-of-charge sensor share one. Two-dimensional arrays are (S, T)."""

    labels: tuple[str, ...]
    first_device: Index
    """The device that names the stock in cost names and results."""
    initial: Array
    soc_min: Array
    """Hard constant limits (S,). NaN: unbounded."""
    soc_max: Array
    hard_minima: Array
    hard_maxima: Array
    hard_targets: Array
    minima: Array
    """Soft limits; their breach prices are currency per MWh (height) and per MWh·h (duration)."""
    maxima: Array
    targets: Array
    minima_breach_price: Array
    maxima_breach_price: Array
    storage_efficiency: Array
    """Fraction of the stock kept over one step (storage efficiency at the scheduling resolution)."""
    gain: Array
    """Net power into the stock that no device controls: gains minus usage, in MW."""
    tie_break_price: Array
    """Tie-break: currency per MWh missing to `soc_max` at the end of each step; 0 where not preferred."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Site:
    """The grid connection of one commodity: everything that is priced or limited on the sum of its devices."""

    commodity: str
    devices: Index
    consumption_price: Array
    production_price: Array
    power_max: Array
    """Hard cap on net consumption; NaN: none."""
    power_min: Array
    """Hard cap on net production as a non-positive number; NaN: none."""
    consumption_cap: Array | None = None
    """Soft caps (≥ 0) with breach prices in currency per MW; None: the site has no such commitment at all."""
    production_cap: Array | None = None
    consumption_breach_price: Array | None = None
    production_breach_price: Array | None = None
    peak_consumption: Array | None = None
    """Sunk peak (MW) above which the peak price is charged; None: no peak tariff."""
    peak_consumption_price: Array | None = None
    peak_production: Array | None = None
    peak_production_price: Array | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """A commodity without grid connection: its flows add up to zero at every step."""

    commodity: str
    devices: Index


@dataclass(frozen=True, slots=True)
class Group:
    """Devices behind one connection inside the site (a hybrid inverter, a sub-board)."""

    name: str
    """As it appears in cost names: `sensor:5` or `asset:7`."""
    devices: Index
    power_max: Array
    power_min: Array
    consumption_cap: Array | None
    production_cap: Array | None
    breach_price: float
    """Currency per MW."""


@dataclass(frozen=True, slots=True)
class Coupling:
    """Ports of one converter: power of port k = coefficient k (signed) times one free throughput."""

    name: str
    devices: Index
    coefficients: Array


@dataclass(frozen=True, slots=True)
class Bands:
    """The power bands (operation modes) one device must choose from at every step; rows are (min, max) in MW."""

    device: int
    bands: Array


@dataclass(frozen=True, slots=True)
class Commitment:
    """A custom commitment on the sum of some devices: deviations from `baseline` are priced at every step."""

    name: str
    commodity: str
    devices: Index
    baseline: Array
    up_price: Array
    """Currency per MW and step."""
    down_price: Array


class ProcessType(StrEnum):
    """The freedom to place a process."""

    INFLEXIBLE = "INFLEXIBLE"
    """Starts as soon as it can run through."""
    SHIFTABLE = "SHIFTABLE"
    """One unbroken run at any time."""
    BREAKABLE = "BREAKABLE"
    """May be interrupted."""


@dataclass(frozen=True, slots=True)
class Process:
    """A device that runs at one power for a number of steps, planned together with all others."""

    device: int
    """Its limits in `Devices` are zero and `power`."""
    type: ProcessType
    power: float
    """MW, consumption positive."""
    steps: int
    allowed: Mask
    """Steps in which it may run."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Everything that the solver needs, and nothing else."""

    window: Window
    currency: str
    devices: Devices
    stocks: Stocks
    sites: tuple[Site, ...]
    nodes: tuple[Node, ...] = ()
    groups: tuple[Group, ...] = ()
    couplings: tuple[Coupling, ...] = ()
    bands: tuple[Bands, ...] = ()
    commitments: tuple[Commitment, ...] = ()
    processes: tuple[Process, ...] = ()
    warnings: tuple[str, ...] = field(default=())
    """Sentences about values that were filled or assumed."""
