"""What is stored on assets and what a trigger brings, put together field by field. Nothing is checked here."""

from collections.abc import Mapping, Sequence
from typing import Any

from flexmodel.flex_context import DEPRECATED_PRICES, INFLEXIBLE
from flexmodel.process_model import is_process
from flexmodel.tree import AssetTree, TreeSensor
from flexmodel.trigger import ELECTRICITY

Config = Mapping[str, Any]

CONNECTION = (
    *("consumption-price", "production-price", "site-power-capacity", "site-consumption-capacity"),
    *("site-production-capacity", "site-consumption-breach-price", "site-production-breach-price"),
    *("site-peak-consumption", "site-peak-consumption-price", "site-peak-production", "site-peak-production-price"),
)
"""What an entry for electricity in `commodities` replaces."""

MIGRATED = {
    "min_soc_in_mwh": ("soc-min", "MWh"),
    "max_soc_in_mwh": ("soc-max", "MWh"),
    "roundtrip_efficiency": ("roundtrip-efficiency", ""),
    "storage_efficiency": ("storage-efficiency", ""),
    "consumption_capacity": ("consumption-capacity", "MW"),
    "production_capacity": ("production-capacity", "MW"),
}
"""Attributes that said what fields of the flex-model say today, with the unit of their numbers."""


def merged_context(passed: Config | Sequence[Config], tree: AssetTree) -> dict[str, Any]:
    """The flex-context: what is passed over what is stored, on the asset over what is stored on its ancestors."""
    own = dict(passed) if isinstance(passed, Mapping) else {"commodities": list(passed)}
    stored: dict[str, Any] = {}
    for asset in tree.lineage(tree.asset_id):
        stored = _over(stored, asset.flex_context)
    if any(
        isinstance(entry, Mapping) and entry.get("commodity", ELECTRICITY) == ELECTRICITY for entry in _entries(own)
    ):
        replaced = {*CONNECTION, *DEPRECATED_PRICES}
        stored = {key: value for key, value in stored.items() if key not in replaced}
    return _over(own, stored)


def _entries(context: Config) -> Sequence[Any]:
    commodities = context.get("commodities")
    return commodities if isinstance(commodities, list) else []


def _over(near: Config, far: Config) -> dict[str, Any]:
    """What is nearer counts; some fields count together, as a family."""
    hidden = set(near)
    if not hidden.isdisjoint(INFLEXIBLE):
        hidden |= set(INFLEXIBLE)
    for old, new in DEPRECATED_PRICES.items():
        if old in near or new in near:
            hidden |= {old, new}
    return dict(near) | {key: value for key, value in far.items() if key not in hidden}


def merged_entries(passed: Sequence[Config], tree: AssetTree) -> list[dict[str, Any]]:
    """The flex-model: stored entries nobody asked about, then the passed ones on top of what is stored for them."""
    stored = {
        asset.id: asset.flex_model for asset in [tree.asset, *tree.descendants(tree.asset_id)] if asset.flex_model
    }
    owners = [asset_of(entry, tree) for entry in passed]
    unasked = [{"asset": owner, **model} for owner, model in stored.items() if owner not in owners]
    asked = [{**_stored_on(owner, tree), **entry} for entry, owner in zip(passed, owners, strict=True)]
    return [_with_attributes(entry, tree) for entry in [*unasked, *asked]]


def merged_entry(passed: Config, tree: AssetTree) -> dict[str, Any]:
    """One entry with what is stored on its asset, for a schedule of one device."""
    return _with_attributes({**_stored_on(asset_of(passed, tree), tree), **passed}, tree)


def asset_of(entry: Config, tree: AssetTree) -> int | None:
    """The asset that an entry is about: named, or that of its power sensor, or that of its state of charge."""
    if isinstance(entry.get("asset"), int):
        return int(entry["asset"])
    references = (entry.get(key) for key in ("consumption", "production", "state-of-charge"))
    candidates = [entry.get("sensor"), *(item.get("sensor") for item in references if isinstance(item, Mapping))]
    for candidate in candidates:
        sensor = _sensor(candidate, tree)
        if sensor is not None:
            return sensor.asset_id
    return None


def _sensor(sensor_id: Any, tree: AssetTree) -> TreeSensor | None:
    return tree.sensors.get(sensor_id) if isinstance(sensor_id, int) else None


def _stored_on(asset_id: int | None, tree: AssetTree) -> Config:
    asset = tree.assets.get(asset_id) if asset_id is not None else None
    return {} if asset is None else asset.flex_model


def _with_attributes(entry: dict[str, Any], tree: AssetTree) -> dict[str, Any]:
    """Adds what only the attributes of the sensor or its asset say."""
    if is_process(entry) or "inflexible-consumption" in entry or "inflexible-production" in entry:
        return entry
    owner = asset_of(entry, tree)
    asset = tree.assets.get(owner) if owner is not None else None
    sensor = _sensor(entry.get("sensor"), tree)
    attributes = {**(asset.attributes if asset else {}), **(sensor.attributes if sensor else {})}
    found = {
        field: f"{attributes[name]} {unit}".strip() if isinstance(attributes[name], int | float) else attributes[name]
        for name, (field, unit) in MIGRATED.items()
        if attributes.get(name) is not None and field not in entry and not _contradicts(field, entry)
    }
    return entry | found


def _contradicts(field: str, entry: Config) -> bool:
    """Whether an efficiency from an attribute would stand beside others."""
    return field == "roundtrip-efficiency" and ("charging-efficiency" in entry or "discharging-efficiency" in entry)
