"""What is asked of the state of charge at the ends of steps: minima, maxima and targets, off-tick ones carried over."""

from dataclasses import dataclass

import numpy as np
from flexmodel.parts import Stock
from flexmodel.problem import Array, Devices, Mask
from flexmodel.series import Overlap
from flexmodel.values import VariableQuantity

from scheduler.resolve.offtick import Kind, Projection, Reach, between_steps, project, project_known_state
from scheduler.resolve.profiles import Profiles
from scheduler.resolve.readings import State


@dataclass(frozen=True, slots=True)
class Wishes:
    """MWh at the ends of steps, NaN where nothing is asked."""

    minima: Array
    maxima: Array
    targets: Array
    carried_minima: Mask
    """Where a minimum is not asked for itself, but carried over from a wish for a moment between two steps."""
    carried_maxima: Mask


def wishes(stock: Stock, state: State, profiles: Profiles, devices: Devices, soc_min: float, soc_max: float) -> Wishes:
    """All wishes for one stock. Where several speak of one moment the strictest counts, of targets the first."""
    window = profiles.window
    fields: dict[Kind, tuple[VariableQuantity | None, Overlap]] = {
        "minima": (stock.minima, "max"),
        "maxima": (stock.maxima, "min"),
        "targets": (stock.targets, "first"),
    }
    asked = {
        kind: profiles.instants(quantity, overlap, stock.percent_of) for kind, (quantity, overlap) in fields.items()
    }
    points = {kind: between_steps(quantity, window) for kind, (quantity, _) in fields.items()}
    onto = Projection.empty(window.steps)
    reach = _reach(stock, devices, soc_min, soc_max)
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
    return Wishes(
        minima=np.fmax(asked["minima"], onto.minima),
        maxima=np.fmin(asked["maxima"], onto.maxima),
        targets=np.where(np.isnan(asked["targets"]), onto.targets, asked["targets"]),
        carried_minima=np.isnan(asked["minima"]),
        carried_maxima=np.isnan(asked["maxima"]),
    )


def _reach(stock: Stock, devices: Devices, soc_min: float, soc_max: float) -> Reach:
    """How fast the stock's devices together can fill and drain it."""
    own = list(stock.devices)
    charge = np.maximum(np.fmin(devices.power_max[own], devices.consumption_cap[own]), 0.0)
    discharge = np.maximum(np.fmin(-devices.power_min[own], devices.production_cap[own]), 0.0)
    return Reach(
        charge=(charge * devices.charging_efficiency[own]).sum(axis=0),
        discharge=(discharge / np.maximum(devices.discharging_efficiency[own], 1e-9)).sum(axis=0),
        lowest=soc_min,
        highest=soc_max,
    )
