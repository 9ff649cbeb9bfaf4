"""Requirements on the state of charge at the ends of steps: minima, maxima and targets, and whether they are kept.

A requirement for a moment between two steps (off-tick) is projected onto the steps around it. With value v at moment t,
between the ends of steps p < t < n, and C(x, y), D(x, y) the most energy that can be stored and drawn from x to y:

    target       at p  from v − C(p, t) to v + D(p, t)      at n  exactly v
    minimum      at p  at least v − C(p, t)                 at n  at least v − D(t, n)
    maximum      at p  at most v + D(p, t)                  at n  at most v + C(t, n)
    known state  at n  from v − D(t, n) to v + C(t, n)      (the state at the start, measured during the first step)
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

import numpy as np
from flexmodel.problem import Array, Devices, Mask, Window
from flexmodel.schedule import Schedule
from flexmodel.series import Overlap, end_instants
from flexmodel.time import moment_of
from flexmodel.trigger import Stock
from flexmodel.values import Segment, Segments, VariableQuantity

from scheduler.resolve.profiles import Profiles
from scheduler.resolve.series import InitialState

DECIMALS = 6
"""Requirements are judged to a millionth of a MWh."""
RequirementKind = Literal["minima", "maxima", "targets"]


@dataclass(frozen=True, slots=True)
class Reach:
    """Power in MW per step with which a stock can be filled and drained, and limits that no requirement may pass."""

    charge: Array
    discharge: Array
    lowest: float
    highest: float


@dataclass(slots=True)
class Projection:
    """Bounds from off-tick requirements at the ends of steps; NaN where there is none."""

    minima: Array
    maxima: Array
    targets: Array

    @classmethod
    def empty(cls, steps: int) -> "Projection":
        return cls(*(np.full(steps, np.nan) for _ in range(3)))

    def raise_minimum(self, step: int, value: float, reach: Reach) -> None:
        """Add a lower bound. The stricter of two at one step counts; none passes the limits of the stock."""
        if 0 <= step < len(self.minima):
            self.minima[step] = np.fmax(self.minima[step], np.fmax(value, reach.lowest))

    def lower_maximum(self, step: int, value: float, reach: Reach) -> None:
        if 0 <= step < len(self.maxima):
            self.maxima[step] = np.fmin(self.maxima[step], np.fmin(value, reach.highest))

    def set_target(self, step: int, value: float) -> None:
        if 0 <= step < len(self.targets):
            self.targets[step] = value


@dataclass(frozen=True, slots=True)
class SocRequirements:
    """Energy in MWh at the ends of steps, NaN where there is no requirement."""

    minima: Array
    maxima: Array
    targets: Array
    projected_minima: Mask
    """Steps at which a minimum is not required by itself, but projected from a moment between two steps."""
    projected_maxima: Mask


def resolve_requirements(
    stock: Stock, state: InitialState, profiles: Profiles, devices: Devices, soc_min: float, soc_max: float
) -> SocRequirements:
    """Resolve the requirements on one stock. Of several at one moment the strictest counts, of targets the first."""
    window = profiles.window
    reach = _reach(stock, devices, soc_min, soc_max)
    fields: dict[RequirementKind, tuple[VariableQuantity | None, Overlap]] = {
        "minima": (stock.soc_minima, "max"),
        "maxima": (stock.soc_maxima, "min"),
        "targets": (stock.soc_targets, "first"),
    }
    on_tick = {
        kind: profiles.instants(quantity, overlap, stock.percent_of) for kind, (quantity, overlap) in fields.items()
    }
    points = {kind: off_tick_points(quantity, window) for kind, (quantity, _) in fields.items()}
    onto = Projection.empty(window.steps)
    if stock.project_off_tick:
        for kind in points:
            project(kind, points[kind], window, reach, onto)
    else:
        profiles.warnings += [
            f"soc-{kind} of {stock.label} at {point.start.isoformat()} lies between two steps and was left out."
            for kind in points
            for point in points[kind]
        ]
    project_known_state(state.at, state.energy, window, reach, onto)
    return SocRequirements(
        minima=np.fmax(on_tick["minima"], onto.minima),
        maxima=np.fmin(on_tick["maxima"], onto.maxima),
        targets=np.where(np.isnan(on_tick["targets"]), onto.targets, on_tick["targets"]),
        projected_minima=np.isnan(on_tick["minima"]),
        projected_maxima=np.isnan(on_tick["maxima"]),
    )


def _reach(stock: Stock, devices: Devices, soc_min: float, soc_max: float) -> Reach:
    """Return how fast the stock's devices together can fill and drain it."""
    own = list(stock.devices)
    charge = np.maximum(np.fmin(devices.power_max[own], devices.consumption_cap[own]), 0.0)
    discharge = np.maximum(np.fmin(-devices.power_min[own], devices.production_cap[own]), 0.0)
    return Reach(
        charge=(charge * devices.charging_efficiency[own]).sum(axis=0),
        discharge=(discharge / np.maximum(devices.discharging_efficiency[own], 1e-9)).sum(axis=0),
        lowest=soc_min,
        highest=soc_max,
    )


def off_tick_points(quantity: VariableQuantity | None, window: Window) -> list[Segment]:
    """Return the points in time inside the window that do not fall on the end of a step."""
    if not isinstance(quantity, Segments):
        return []
    return [
        item
        for item in quantity.items
        if item.start == item.end
        and window.start < item.start < window.end
        and (item.start - window.start) % window.resolution
    ]


def project(kind: RequirementKind, points: Iterable[Segment], window: Window, reach: Reach, onto: Projection) -> None:
    """Add the bounds of off-tick requirements of one kind."""
    for point in points:
        step, before, after = _around(point.start, window)
        value = point.value
        if kind in ("targets", "minima"):
            onto.raise_minimum(step - 1, value - reach.charge[step] * before, reach)
        if kind in ("targets", "maxima"):
            onto.lower_maximum(step - 1, value + reach.discharge[step] * before, reach)
        if kind == "targets":
            onto.set_target(step, value)
        elif kind == "minima":
            onto.raise_minimum(step, value - reach.discharge[step] * after, reach)
        else:
            onto.lower_maximum(step, value + reach.charge[step] * after, reach)


def project_known_state(at: datetime, value: float, window: Window, reach: Reach, onto: Projection) -> None:
    """Add the bounds that follow from a state measured during the first step."""
    if window.start < at < window.start + window.resolution:
        _, _, after = _around(at, window)
        onto.raise_minimum(0, value - reach.discharge[0] * after, reach)
        onto.lower_maximum(0, value + reach.charge[0] * after, reach)


def _around(moment: datetime, window: Window) -> tuple[int, float, float]:
    """Return the step of a moment, and the hours from the start of the step to it and from it to the end."""
    step, into = divmod(moment - window.start, window.resolution)
    before = into / window.resolution * window.hours
    return step, before, window.hours - before


class SocReport(NamedTuple):
    """Requirements that a schedule keeps and misses, by asset, as in the job's result."""

    resolved: list[dict[str, Any]]
    unresolved: list[dict[str, Any]]


def soc_report(schedule: Schedule, stocks: Sequence[Stock], requirements: Sequence[SocRequirements]) -> SocReport:
    """Compare a schedule with the requirements on its stocks."""
    checks = [
        _RequirementCheck.of(required, schedule.soc[index, 1:], schedule.window)
        for index, required in enumerate(requirements)
    ]
    return SocReport(
        _by_asset(stocks, [check.kept for check in checks]), _by_asset(stocks, [check.missed for check in checks])
    )


@dataclass(frozen=True, slots=True)
class _RequirementCheck:
    """Instants at which one stock's requirements are missed, with the violation, or kept, with the margin, by field."""

    missed: dict[str, list[dict[str, str]]]
    kept: dict[str, list[dict[str, str]]]

    @classmethod
    def of(cls, required: SocRequirements, soc: Array, window: Window) -> "_RequirementCheck":
        check = cls({}, {})
        soc = np.round(soc, DECIMALS)
        for field, bound, projected, sign in (
            ("soc-minima", required.minima, required.projected_minima, 1),
            ("soc-maxima", required.maxima, required.projected_maxima, -1),
        ):
            margin = sign * (soc - np.round(bound, DECIMALS)) + 0.0
            kept = (margin >= 0) & ~projected
            if (margin < 0).any():
                check.missed[field] = list(_entries(margin < 0, -margin, "violation", window))
            elif kept.any():
                check.kept[field] = list(_entries(kept, margin, "margin", window))
        distance = np.abs(soc - np.round(required.targets, DECIMALS))
        if (distance > 0).any():
            check.missed["soc-targets"] = list(_entries(distance > 0, distance, "violation", window))
        return check


def _entries(where: Mask, energy: Array, name: str, window: Window) -> Iterator[dict[str, str]]:
    instants = end_instants(window)
    for step in np.flatnonzero(where):
        kilowatt_hours = round(float(energy[step]) * 1000, DECIMALS)
        yield {"datetime": moment_of(instants[step]).isoformat(), name: f"{kilowatt_hours} kWh"}


def _by_asset(stocks: Sequence[Stock], fields: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{"asset": stock.asset_id, **entry} for stock, entry in zip(stocks, fields, strict=True) if entry]
