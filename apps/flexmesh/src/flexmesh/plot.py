"""Small plots for the terminal: bars around a zero line, and a strip of prices."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

HEIGHT = 10  # rows of text; each shows two steps, with half blocks
WIDTH = 72
TINY = 1e-290  # smaller ranges cannot be divided into steps
STRIP = "▁▂▃▄▅▆▇█"


def number(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"


def columns_for(values: NDArray[np.float64], width: int = WIDTH) -> NDArray[np.float64]:
    """Return one value per column: repeated when there are few, averaged without the gaps when there are many."""
    if len(values) <= width:
        repeated: NDArray[np.float64] = np.repeat(values, max(1, width // len(values)))
        return repeated
    edges = np.linspace(0, len(values), width + 1).astype(int)
    known = np.nan_to_num(np.add.reduceat(np.nan_to_num(values), edges[:-1]))
    counts = np.add.reduceat(np.isfinite(values).astype(float), edges[:-1])
    means: NDArray[np.float64] = np.divide(known, counts, out=np.full(width, np.nan), where=counts > 0)
    return means


def bars(values: Sequence[float] | NDArray[np.float64], unit: str, height: int = HEIGHT) -> list[str]:
    """Return rows of half blocks, filled between zero and the value, with a scale at the right."""
    columns = columns_for(np.asarray(values, dtype=float))
    top, bottom = max(0.0, np.nanmax(columns)), min(0.0, np.nanmin(columns))
    if top - bottom < TINY:
        top = 1.0
    step = (top - bottom) / (2 * height)
    below_zero = round(-bottom / step)
    # Half rows count from the bottom; a value fills those between the zero line and itself.
    ends = below_zero + np.round(np.nan_to_num(columns) / step).astype(int)
    half = np.arange(2 * height)[:, None]
    filled = (half >= np.minimum(ends, below_zero)) & (half < np.maximum(ends, below_zero))
    labels = {height - 1: top, 0: bottom, min(below_zero // 2, height - 1): 0.0}
    rows = []
    for row in reversed(range(height)):
        lower, upper = filled[2 * row], filled[2 * row + 1]
        empty = "─" if row == min(below_zero // 2, height - 1) else " "
        marks = np.where(lower & upper, "█", np.where(lower, "▄", np.where(upper, "▀", empty)))
        label = f" {number(labels[row])} {unit}" if row in labels else ""
        rows.append("".join(marks) + label)
    return rows


def strip(values: Sequence[float] | NDArray[np.float64], width: int = WIDTH) -> str:
    """Return the values as one row of blocks, from the lowest to the highest."""
    columns = columns_for(np.asarray(values, dtype=float), width)
    low, high = np.nanmin(columns), np.nanmax(columns)
    level = np.zeros(len(columns)) if high == low else (columns - low) / (high - low)
    heights = np.nan_to_num(level * (len(STRIP) - 1)).round().astype(int)
    return "".join(np.where(np.isfinite(columns), np.array(list(STRIP))[heights], " "))


def time_axis(start: datetime, duration: timedelta, columns: int) -> str:
    """Return the time axis of a plot, with at most one mark per 8 columns, in the time zone of `start`."""
    hours = duration / timedelta(hours=1)
    step = next((s for s in (1, 2, 3, 6, 12, 24) if columns / max(hours / s, 1) >= 8), hours / (columns / 8))
    line = [" "] * (columns + 6)
    for mark in np.arange(0, hours, step):
        moment = start + timedelta(hours=float(mark))
        text = f"{moment:%H:%M}" if hours <= 48 else f"{moment:%d %b}"
        at = round(mark / hours * columns)
        line[at : at + len(text)] = text
    return "".join(line).rstrip()
