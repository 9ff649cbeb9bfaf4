"""From a `Schedule` to what is stored: values per sensor in its own unit, sign and resolution, and the job's result."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from flexmodel.parts import Stock
from flexmodel.problem import Array, Mask, Window
from flexmodel.quantities import convert, is_ratio
from flexmodel.schedule import Schedule
from flexmodel.series import end_instants, to_steps
from flexmodel.time import ceil, floor, moment_of, steps, zone

from scheduler.resolve.outputs import Output, PowerOutput, StateOutput
from scheduler.resolve.wishes import Wishes

DECIMALS = 6
"""Values are stored, and wishes judged, to a millionth of their unit."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The values of one sensor, in its unit and sign."""

    sensor: int
    start: datetime
    resolution: timedelta
    """How far the values are apart."""
    unit: str
    consumption_positive: bool
    values: Array
    sets_sign: bool = False
    """Whether the sensor is to be marked with the sign in which it is stored."""


def stored(schedule: Schedule, outputs: Sequence[Output]) -> list[Stored]:
    """What every output sensor gets."""
    return [_power(schedule, to) if isinstance(to, PowerOutput) else _state(schedule, to) for to in outputs]


def _power(schedule: Schedule, output: PowerOutput) -> Stored:
    grid = _grid(schedule.window, output.resolution, output.timezone)
    power = schedule.power[list(output.devices)].sum(axis=0)
    if output.part == "consumption":
        power = np.maximum(power, 0.0)
    elif output.part == "production":
        power = np.minimum(power, 0.0)
    if grid != schedule.window:
        begins = steps(schedule.window.start, schedule.window.resolution, schedule.window.steps)
        power = to_steps(begins, power, schedule.window.resolution, grid)
    values = convert(power, "MW", output.unit, grid.resolution)
    return Stored(
        output.sensor,
        grid.start,
        grid.resolution,
        output.unit,
        output.consumption_positive,
        _rounded(values if output.consumption_positive else -values),
        output.sets_sign,
    )


def _grid(window: Window, resolution: timedelta, timezone: str) -> Window:
    """The window in the sensor's own steps, counted from its midnight. An instantaneous one gets a value per step."""
    if resolution in (timedelta(0), window.resolution):
        return window
    offset = window.start.astimezone(zone(timezone)).utcoffset() or timedelta(0)
    start, end = floor(window.start + offset, resolution) - offset, ceil(window.end + offset, resolution) - offset
    return Window(start, resolution, (end - start) // resolution)


def _state(schedule: Schedule, output: StateOutput) -> Stored:
    energy = schedule.soc[output.stock]
    if is_ratio(output.unit):
        values = convert(energy / output.percent_of, "", output.unit)
    else:
        values = convert(energy, "MWh", output.unit)
    window = schedule.window
    return Stored(output.sensor, window.start, window.resolution, output.unit, True, _rounded(values))


def _rounded(values: Array) -> Array:
    """Without dust, and without a minus before zero."""
    return np.round(values, DECIMALS) + 0.0


def job_result(
    schedule: Schedule, values: Sequence[Stored], stocks: Sequence[Stock], wishes: Sequence[Wishes]
) -> dict[str, Any]:
    """What the job answers: how many values it stored, and which wishes for states of charge were kept or not."""
    verdicts = [_Verdict.of(asked, schedule.soc[index, 1:], schedule.window) for index, asked in enumerate(wishes)]
    return {
        "num-beliefs": sum(len(one.values) for one in values),
        "resolved": _by_asset(stocks, [verdict.kept for verdict in verdicts]),
        "unresolved": _by_asset(stocks, [verdict.broken for verdict in verdicts]),
    }


@dataclass(frozen=True, slots=True)
class _Verdict:
    """How one stock's wishes fared: by field, the instants with what is missing, or with what is left."""

    broken: dict[str, list[dict[str, str]]]
    kept: dict[str, list[dict[str, str]]]

    @classmethod
    def of(cls, asked: Wishes, soc: Array, window: Window) -> "_Verdict":
        verdict = cls({}, {})
        soc = np.round(soc, DECIMALS)
        for field, bound, carried, sign in (
            ("soc-minima", asked.minima, asked.carried_minima, 1),
            ("soc-maxima", asked.maxima, asked.carried_maxima, -1),
        ):
            margin = sign * (soc - np.round(bound, DECIMALS)) + 0.0
            kept = (margin >= 0) & ~carried
            if (margin < 0).any():
                verdict.broken[field] = list(_entries(margin < 0, -margin, "violation", window))
            elif kept.any():
                verdict.kept[field] = list(_entries(kept, margin, "margin", window))
        distance = np.abs(soc - np.round(asked.targets, DECIMALS))
        if (distance > 0).any():
            verdict.broken["soc-targets"] = list(_entries(distance > 0, distance, "violation", window))
        return verdict


def _entries(where: Mask, energy: Array, name: str, window: Window) -> Iterator[dict[str, str]]:
    instants = end_instants(window)
    for step in np.flatnonzero(where):
        kilowatt_hours = round(float(energy[step]) * 1000, DECIMALS)
        yield {"datetime": moment_of(instants[step]).isoformat(), name: f"{kilowatt_hours} kWh"}


def _by_asset(stocks: Sequence[Stock], fields: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{"asset": stock.asset_id, **entry} for stock, entry in zip(stocks, fields, strict=True) if entry]
