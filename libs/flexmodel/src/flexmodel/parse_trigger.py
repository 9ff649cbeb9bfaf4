"""Reading a trigger: message, stored configuration and defaults become a `Trigger`, checked, sensors not yet read."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from flexmodel.connections import build_sites
from flexmodel.devices import devices, inflexible_devices
from flexmodel.errors import Invalid
from flexmodel.fields import PriceOf
from flexmodel.flex_context import DEPRECATED_PRICES, FlexContext, shared_currency
from flexmodel.merging import merged_context, merged_entries, merged_entry
from flexmodel.penalties import penalties
from flexmodel.reading import MOST_TOLD, WHOLE, Reader, Refused
from flexmodel.references import referenced_sensors
from flexmodel.request import Request, read_request
from flexmodel.roles import DeviceEntry, classify, labels_of, read_entries
from flexmodel.stocks import stocks
from flexmodel.ties import commitments, couplings, groups
from flexmodel.tree import AssetTree
from flexmodel.trigger import ELECTRICITY, Trigger
from flexmodel.window import planning_window

__all__ = ["Trigger", "parse_trigger"]

PLANNING_HORIZON = timedelta(hours=48)
MAX_STEPS = 2520


def parse_trigger(
    message: Any,
    tree: AssetTree,
    *,
    sensor_id: int | None = None,
    planning_horizon: timedelta = PLANNING_HORIZON,
    max_horizon: int | timedelta = MAX_STEPS,
) -> Trigger:
    """What a trigger message asks for, on the tree's asset or (for one device only) on one of its sensors.

    `planning_horizon` is the duration where the message has none; `max_horizon` is how far a target can extend the
    window, in steps or as a duration. Raises `Invalid` with all that is wrong.
    """
    request = read_request(message, tree, sensor_id, planning_horizon)
    if sensor_id is None and not request.sequential:
        entries = merged_entries(request.flex_model, tree)
    else:
        entries = [merged_entry(entry, tree) for entry in request.flex_model]
    return _assemble(request, entries, tree, max_horizon)


def _assemble(
    request: Request,
    configs: Sequence[Mapping[str, Any]],
    tree: AssetTree,
    max_horizon: int | timedelta,
) -> Trigger:
    """The parts of the trigger, each read by the module that knows about it."""
    merged = merged_context(request.flex_context, tree)
    _check_sensors_exist([merged, *configs], tree)
    context, reader = _read_context(merged, request, tree)
    entries = read_entries(configs, reader)
    if request.sensor_id is not None:
        _check_alone(entries[0])
    roles = classify(entries)
    labels = labels_of(roles.devices, tree)
    window, beyond = planning_window(request, roles.devices, tree, max_horizon)
    prices = penalties(context, reader.currency)
    all_stocks, of_device = stocks(roles, labels, reader, window, prices)
    flexible = devices(roles, labels, of_device, context, prices, window, reader)
    inflexible = inflexible_devices(roles, context, reader)
    commodities = _commodities(
        [*(device.commodity for device in flexible), *(other.commodity for other in inflexible)], context
    )
    sites, nodes, closed = build_sites(context, commodities, defaults=prices.defaults)
    committed, unscoped = commitments(context, roles, inflexible)
    return Trigger(
        asset_id=tree.asset_id,
        window=window,
        requested_end=request.end,
        prior=request.prior,
        sequential=request.sequential,
        currency=reader.currency,
        devices=flexible,
        inflexible=inflexible,
        stocks=all_stocks,
        sites=sites,
        nodes=nodes,
        groups=groups(roles),
        couplings=couplings(roles),
        commitments=committed,
        warnings=(*beyond, *closed, *unscoped),
    )


def _check_sensors_exist(configs: Sequence[Mapping[str, Any]], tree: AssetTree) -> None:
    missing = sorted(referenced_sensors(configs) - set(tree.sensors))
    if missing:
        raise Invalid({WHOLE: [f"No sensor found with ID {sensor}." for sensor in missing[:MOST_TOLD]]}, where="list")


def _read_context(merged: Mapping[str, Any], request: Request, tree: AssetTree) -> tuple[FlexContext, Reader]:
    """The flex-context, and what everything else is read against."""
    reader = Reader(tree, timezone=_timezone(request, tree))
    currency, field = shared_currency(merged, reader)
    reader = replace(reader, currency=currency, currency_field=field)
    try:
        context = FlexContext.read(merged, reader)
        for old, new in DEPRECATED_PRICES.items():
            if old in merged:
                PriceOf("MWh").check_sensor(tree.sensors[merged[old]], reader, new)
    except Refused as refused:
        raise Invalid(refused.problem if isinstance(refused.problem, dict) else {old: refused.problem}) from None
    _check_deprecated(merged, request.flex_context)
    return context, reader


def _check_alone(entry: DeviceEntry) -> None:
    """Refuses what has no meaning when one device is planned by itself."""
    alone = ("group", "inflexible-consumption", "inflexible-production")
    given = [key for key in alone if getattr(entry, key.replace("-", "_"), None) is not None]
    if given:
        raise Invalid({key: ["Only in a flex-model for several devices, triggered on their asset."] for key in given})


def _check_deprecated(merged: Mapping[str, Any], passed: Any) -> None:
    """Refuses new-style fields in a message that relies on the deprecated price fields."""
    old = [key for key in DEPRECATED_PRICES if key in merged]
    sent = passed if isinstance(passed, Mapping) else {}
    new = [key for key in sent if key.startswith("relax-") or "breach-price" in key or "-peak-" in key]
    if old and new:
        advice = f"Move `{old[0]}` to `{DEPRECATED_PRICES[old[0]]}` to use this field."
        raise Invalid({key: [advice] for key in new})


def _timezone(request: Request, tree: AssetTree) -> str:
    """The time zone of the first sensor that the message names."""
    named = [entry["sensor"] for entry in request.flex_model if "sensor" in entry]
    return tree.sensors[named[0]].timezone if named else "UTC"


def _commodities(used: Sequence[str], context: FlexContext) -> list[str]:
    """The commodities that devices have: electricity, then in the order of their contexts, then of the devices."""
    order = [ELECTRICITY, *(entry.commodity for entry in context.commodities), *used]
    return [name for name in dict.fromkeys(order) if name in used]
