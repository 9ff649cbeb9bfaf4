"""Values of sensors for the terminal and CSV files."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from flexmodel.time import format_duration, moment_of, zone
from flexstore import series
from flexstore.store import Connection
from numpy.typing import NDArray

from flexmesh import plot
from flexmesh.record_creation import load_row


@dataclass(frozen=True)
class ValueSelection:
    """Selection of values by time, belief time and source."""

    start: datetime
    end: datetime
    prior: datetime | None = None
    sources: Sequence[int] | None = None
    types: Sequence[str] | None = None


@dataclass(frozen=True)
class SensorValues:
    sensor_id: int
    name: str
    asset: str
    unit: str
    resolution: timedelta
    timezone: str
    starts: NDArray[np.datetime64]
    values: NDArray[np.float64]

    def in_zone(self, timezone: str) -> "SensorValues":
        return replace(self, timezone=timezone)

    def grid(self, start: datetime, duration: timedelta) -> NDArray[np.float64]:
        """Return the values on every step of the window, with NaN for gaps."""
        step = self.resolution or timedelta(minutes=1)
        steps = np.full(max(1, -(-duration // step)), np.nan)
        offsets = (self.starts - series.to_datetime64(start)) // np.timedelta64(step // timedelta(microseconds=1), "us")
        inside = (offsets >= 0) & (offsets < len(steps))
        steps[offsets[inside].astype(int)] = self.values[inside]
        return steps


async def read(con: Connection, sensors: Sequence[int], window: ValueSelection) -> list[SensorValues]:
    rows = [await load_row(con, "sensor", sensor, "sensor") for sensor in sensors]
    queries = [
        series.SeriesQuery(
            found["id"],
            window.start,
            window.end,
            found["event_resolution"],
            prior=window.prior,
            sources=window.sources or None,
            types=window.types or None,
        )
        for found in rows
    ]
    names = {found["id"]: found["name"] for found in await con.fetch("select id, name from asset")}
    return [
        SensorValues(
            found["id"],
            found["name"],
            names[found["asset_id"]],
            found["unit"],
            found["event_resolution"],
            found["timezone"],
            read.event_start,
            read.values,
        )
        for found, read in zip(rows, await series.load_series(con, queries), strict=True)
    ]


def plot_values(found: SensorValues, start: datetime, duration: timedelta) -> str:
    title = f"Sensor '{found.name}' (ID {found.sensor_id}) of {found.asset}"
    grid = found.grid(start, duration)
    if not np.isfinite(grid).any():
        return f"{title}: no values from {start.isoformat()} on, for {format_duration(duration)}."
    local = start.astimezone(zone(found.timezone))
    rows = plot.bars(grid, found.unit)
    steps = f"in steps of {format_duration(found.resolution)}" if found.resolution else "at single moments"
    axis = plot.time_axis(local, duration, len(plot.columns_for(grid)))
    return "\n".join([f"{title}, {local:%a %d %b %Y} {steps}, {found.timezone}", *rows, axis])


def write_csv(file: Path, found: Sequence[SensorValues]) -> None:
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["event_start", "sensor", "value", "unit"])
        for each in found:
            local = zone(each.timezone)
            for start, value in zip(each.starts, each.values, strict=True):
                writer.writerow([moment_of(start).astimezone(local).isoformat(), each.sensor_id, value, each.unit])
