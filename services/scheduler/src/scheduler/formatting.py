"""Formatting of quantities, times and lists for sentences."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from flexmodel.problem import Index, Window


def format_energy(megawatt_hours: float) -> str:
    """Format energy: `260 kWh`, `4.5 MWh`."""
    return _scaled(megawatt_hours, ("mWh", "Wh", "kWh", "MWh", "GWh"))


def format_power(megawatts: float) -> str:
    """Format power: `10 kW`, `2 MW`."""
    return _scaled(megawatts, ("mW", "W", "kW", "MW", "GW"))


def _scaled(value: float, units: Sequence[str]) -> str:
    """Choose the unit that leaves one to three digits before the point; kilo for zero."""
    sizes = (1e-9, 1e-6, 1e-3, 1.0, 1e3)
    magnitude = float(f"{abs(value):.4g}")
    place = next((place for place in (4, 3, 2, 1) if magnitude >= sizes[place]), 0) if magnitude >= 1e-12 else 2
    return f"{format_number(value / sizes[place])} {units[place]}"


def format_number(value: float) -> str:
    """Format four significant digits, without a trailing point or exponent."""
    rounded = float(f"{value:.4g}") + 0.0
    return f"{rounded:.10f}".rstrip("0").rstrip(".")


def format_money(amount: float, currency: str) -> str:
    """Format money: `12.34 EUR`. Small amounts keep four significant digits."""
    return f"{amount:.2f} {currency}" if abs(amount) >= 1 else f"{format_number(amount)} {currency}"


def format_time(time: datetime) -> str:
    """Format a time: `2026-01-13 08:00 UTC`."""
    return f"{time:%Y-%m-%d %H:%M} UTC"


def format_periods(steps: Index, window: Window) -> list[str]:
    """Return consecutive steps as periods: `from … to …`."""
    if not len(steps):
        return []
    periods = []
    for run in np.split(steps, np.flatnonzero(np.diff(steps) > 1) + 1):
        start = window.start + int(run[0]) * window.resolution
        end = window.start + (int(run[-1]) + 1) * window.resolution
        periods.append(f"from {format_time(start)} to {format_time(end)}")
    return periods


def format_list(items: Sequence[str], most: int = 3) -> str:
    """Join items: `a, b and c`. Items beyond `most` are counted."""
    listed = list(items[:most])
    if len(items) > most:
        listed.append(f"{len(items) - most} more")
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}"
