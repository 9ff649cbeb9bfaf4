"""Parsing of a trigger: a message and the stored configuration become a `Trigger`, checked, values not yet loaded."""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

from flexmodel.devices import build_devices
from flexmodel.entries import DeviceEntry, build_commitments, build_couplings, build_groups, parse_entries
from flexmodel.errors import Invalid
from flexmodel.flex_context import DEPRECATED_PRICES, parse_flex_context
from flexmodel.flex_model import FlexModelEntry
from flexmodel.parsing import FieldError, ParseContext
from flexmodel.problem import Window
from flexmodel.request import Request, parse_request
from flexmodel.sites import breach_prices, build_inflexible, build_sites
from flexmodel.time import ceil, format_duration, is_on_clock, zone
from flexmodel.tree import AssetTree
from flexmodel.trigger import Trigger
from flexmodel.values import Segments

PLANNING_HORIZON = timedelta(hours=48)
MAX_STEPS = 2520
DEFAULT_RESOLUTION = timedelta(minutes=15)
"""The resolution where no sensor has one."""


def parse_trigger(
    message: object,
    tree: AssetTree,
    *,
    sensor_id: int | None = None,
    planning_horizon: timedelta = PLANNING_HORIZON,
    max_horizon: int | timedelta = MAX_STEPS,
) -> Trigger:
    """Parse a trigger message.

    Args:
        message: The JSON of the message.
        tree: The tree of the asset to schedule, with all sensors that the message and stored configurations refer to.
        sensor_id: A sensor of the tree, to schedule one device by itself.
        planning_horizon: The duration of the window where the message has none.
        max_horizon: The furthest that a target extends the window, in steps or as a duration.

    Raises:
        Invalid: With all errors that were found, by field.
    """
    request = parse_request(message, tree, sensor_id, planning_horizon)
    try:
        flex_context, context = parse_flex_context(request.flex_context, ParseContext(tree, timezone=request.timezone))
    except FieldError as error:
        raise Invalid(error.by_field) from None
    _check_deprecated_price(request)
    roles = parse_entries(request.flex_model, context, alone=sensor_id is not None)
    window, warnings = _planning_window(request, roles.devices, tree, max_horizon)
    prices = breach_prices(flex_context, context.currency)
    devices, stocks = build_devices(roles, window, prices, flex_context, context)
    inflexible = build_inflexible(roles, flex_context, context)
    sites, nodes, site_warnings = build_sites(flex_context, [*devices, *inflexible], default_prices=prices.defaults)
    commitments, commitment_warnings = build_commitments(flex_context, roles, inflexible)
    return Trigger(
        asset_id=tree.asset_id,
        window=window,
        requested_end=request.end,
        prior=request.prior,
        sequential=request.sequential,
        currency=context.currency,
        devices=devices,
        inflexible=inflexible,
        stocks=stocks,
        sites=sites,
        nodes=nodes,
        groups=build_groups(roles),
        couplings=build_couplings(roles),
        commitments=commitments,
        warnings=(*warnings, *site_warnings, *commitment_warnings),
    )


def _check_deprecated_price(request: Request) -> None:
    """Reject modern fields in a message that relies on a deprecated price."""
    old = request.deprecated_price
    if old is not None and request.modern_keys:
        advice = f"Move `{old}` to `{DEPRECATED_PRICES[old]}` to use this field."
        raise Invalid({key: [advice] for key in request.modern_keys})


def _planning_window(
    request: Request, devices: Sequence[DeviceEntry], tree: AssetTree, max_horizon: int | timedelta
) -> tuple[Window, list[str]]:
    """Return the planning window, and a warning for every target beyond it.

    Raises:
        Invalid: If the resolution, the start or the duration do not fit together.
    """
    resolution = _resolution(request, devices, tree)
    _check_start(request, resolution, devices, tree)
    if (request.end - request.start) % resolution:
        raise Invalid(
            {"duration": [f"Must be a multiple of the resolution, {format_duration(resolution)}."]},
            where=request.envelope,
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


def _resolution(request: Request, devices: Sequence[DeviceEntry], tree: AssetTree) -> timedelta:
    """Return the requested resolution, else the finest one of the devices' power sensors."""
    sensors = [entry.power_sensor for entry in devices if entry.power_sensor is not None]
    own = [tree.sensors[sensor].resolution for sensor in sensors if tree.sensors[sensor].resolution]
    if request.resolution is None:
        return min(own, default=DEFAULT_RESOLUTION)
    for required in own:
        finer_is_fine = request.sensor_id is None and required % request.resolution == timedelta(0)
        if request.resolution % required and not finer_is_fine:
            sentence = (
                f"Resolution of {request.resolution} is incompatible with "
                f"the sensor's required resolution of {required}."
            )
            raise Invalid({"resolution": [sentence]}, where=request.envelope)
    return request.resolution


def _check_start(request: Request, resolution: timedelta, devices: Sequence[DeviceEntry], tree: AssetTree) -> None:
    """Reject a start between the ticks of every relevant clock: UTC, the message's and those of the power sensors."""
    places = {tree.sensors[entry.power_sensor].timezone for entry in devices if entry.power_sensor is not None}
    offsets = {timedelta(0), request.offset}
    offsets |= {request.start.astimezone(zone(place)).utcoffset() or timedelta(0) for place in places}
    if any(is_on_clock(request.start + offset, resolution) for offset in offsets):
        return
    tick = (ceil(request.start + request.offset, resolution) - request.offset).astimezone(timezone(request.offset))
    sentence = f"Must be on the clock in steps of {format_duration(resolution)}; the next one is at {tick.isoformat()}."
    raise Invalid({"start": [sentence]}, where=request.envelope)


def _target_ends(devices: Sequence[DeviceEntry]) -> list[datetime]:
    return [
        item.end
        for entry in devices
        if isinstance(entry, FlexModelEntry) and isinstance(entry.soc_targets, Segments)
        for item in entry.soc_targets.items
    ]
