"""The planning window: its resolution, its place on the clock, and how far targets extend it."""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

from flexmodel.errors import Invalid
from flexmodel.flex_model import FlexModelEntry
from flexmodel.problem import Window
from flexmodel.request import Request
from flexmodel.roles import DeviceEntry
from flexmodel.time import ceil, format_duration, is_on_clock, zone
from flexmodel.tree import AssetTree
from flexmodel.values import Segments

WITHOUT_SENSORS = timedelta(minutes=15)
"""The resolution where no sensor tells one."""


def planning_window(
    request: Request, devices: Sequence[DeviceEntry], tree: AssetTree, max_horizon: int | timedelta
) -> tuple[Window, list[str]]:
    """The window to plan, and a warning for every target that lies beyond it."""
    resolution = _resolution(request, devices, tree)
    _check_clock(request, resolution, devices, tree)
    if (request.end - request.start) % resolution:
        raise Invalid(
            {"duration": [f"Must be a multiple of the resolution, {format_duration(resolution)}."]}, where=request.where
        )
    furthest = request.start + (max_horizon * resolution if isinstance(max_horizon, int) else max_horizon)
    targets = _target_ends(devices)
    end = request.end
    if targets:
        steps = -((request.start - min(max(targets), furthest)) // resolution)
        end = max(end, request.start + steps * resolution)
    warnings = [
        f"A target at {target.isoformat()} lies beyond the end of the schedule and is left out."
        for target in targets
        if target > end
    ]
    return Window(request.start, resolution, (end - request.start) // resolution), warnings


def _check_clock(request: Request, resolution: timedelta, devices: Sequence[DeviceEntry], tree: AssetTree) -> None:
    """Refuses a start between the ticks of every clock in question: UTC, the message's and the power sensors'."""
    places = {tree.sensors[entry.power_sensor].timezone for entry in devices if entry.power_sensor is not None}
    offsets = {timedelta(0), request.offset}
    offsets |= {request.start.astimezone(zone(place)).utcoffset() or timedelta(0) for place in places}
    if any(is_on_clock(request.start + offset, resolution) for offset in offsets):
        return
    tick = (ceil(request.start + request.offset, resolution) - request.offset).astimezone(timezone(request.offset))
    sentence = f"Must be on the clock in steps of {format_duration(resolution)}; the next one is at {tick.isoformat()}."
    raise Invalid({"start": [sentence]}, where=request.where)


def _resolution(request: Request, devices: Sequence[DeviceEntry], tree: AssetTree) -> timedelta:
    """As asked, else the finest one among the devices' power sensors."""
    sensors = [entry.power_sensor for entry in devices if entry.power_sensor is not None]
    own = [tree.sensors[sensor].resolution for sensor in sensors if tree.sensors[sensor].resolution]
    if request.resolution is None:
        return min(own, default=WITHOUT_SENSORS)
    for required in own:
        finer_is_fine = request.sensor_id is None and required % request.resolution == timedelta(0)
        if request.resolution % required and not finer_is_fine:
            sentence = (
                f"Resolution of {request.resolution} is incompatible with "
                f"the sensor's required resolution of {required}."
            )
            raise Invalid({"resolution": [sentence]}, where=request.where)
    return request.resolution


def _target_ends(devices: Sequence[DeviceEntry]) -> list[datetime]:
    return [
        item.end
        for entry in devices
        if isinstance(entry, FlexModelEntry) and isinstance(entry.soc_targets, Segments)
        for item in entry.soc_targets.items
    ]
