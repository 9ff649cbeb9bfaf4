"""Entries of the flex-model, as assets and sensors that exist for one request only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flexmodel.parsing import FieldError
from flexmodel.process_model import is_process
from flexmodel.tree import AssetTree, TreeAsset, TreeSensor

from scheduler.optimize.names import IdRegistry
from scheduler.resolve.series import SensorSeries

Config = Mapping[str, Any]

PLACES = ("sensor", "asset", "consumption", "production")
"""Fields that place a trigger's entry on an asset or sensor."""
INFLEXIBLE = ("inflexible-consumption", "inflexible-production")
STOCK = ("state-of-charge",)
OF_DEVICES = (
    *("power-capacity", "consumption-capacity", "production-capacity", "operation-modes", "commodity", "coupling"),
    *("coupling-coefficient", "charging-efficiency", "discharging-efficiency", "roundtrip-efficiency"),
)
"""Fields that make an entry a device, even if others share its stock."""
MAX_ENTRIES = 10_000
"""Largest number of entries in one problem, however few steps it has, as parsing them takes time."""
NOWHERE = 0
"""The asset of a series: none, so that its name alone identifies the series."""


def parse_entries(value: object) -> dict[str, Config]:
    """Return the entries by name; an entry without one is named after its place in the list."""
    if not isinstance(value, list):
        raise FieldError("Not a valid list.")
    if len(value) > MAX_ENTRIES:
        raise FieldError(f"{len(value)} entries are too many: {MAX_ENTRIES} at most.")
    parsed: dict[str, Config] = {}
    errors: dict[str, Any] = {}
    for index, entry in enumerate(value):
        try:
            name = _name(index, entry)
            if name in parsed:
                raise FieldError({"name": [f"There is more than one entry named '{name}'."]})
            parsed[name] = {key: item for key, item in entry.items() if key != "name"}
        except FieldError as error:
            errors[str(index)] = error.errors
    if errors:
        raise FieldError(errors)
    return parsed


def _name(index: int, entry: object) -> str:
    if not isinstance(entry, Mapping):
        raise FieldError("Not a valid mapping type.")
    placed = [key for key in PLACES if key in entry]
    if placed:
        sentence = "Nothing is stored: the answer has the schedule under the entry's `name`."
        raise FieldError({key: [sentence] for key in placed})
    name = entry.get("name", f"device {index}")
    if not isinstance(name, str) or not name.strip():
        raise FieldError({"name": ["Not a valid name."]})
    return name


@dataclass(frozen=True, slots=True)
class EntryTree:
    """An asset tree with all entries and series on it, and the flex-model with its ids."""

    tree: AssetTree
    flex_model: list[dict[str, Any]]
    stocks: Mapping[int, str]
    """Names of entries that only describe a stock, by the id of its series."""


def build_entry_tree(
    entries: Mapping[str, Config],
    series: Mapping[str, SensorSeries],
    names: IdRegistry,
    resolution: timedelta,
    timezone: str,
) -> EntryTree:
    """Place every entry on an asset of its own, with a sensor for the power that is to be planned."""
    root = names.new_id("site")
    assets = {root: TreeAsset(root, "site", None, None, "")}
    sensors: dict[int, TreeSensor] = {}
    for name, values in series.items():
        number = names.series[name] = names.new_id(name)
        sensors[number] = TreeSensor(number, name, NOWHERE, None, values.unit, values.resolution, timezone)
    planned = _planned_entries(entries)
    for name, entry in entries.items():
        number = names.assets[name] = names.new_id(name)
        assets[number] = TreeAsset(number, name, root, None, "")
        if name in planned:
            power = names.powers[name] = names.new_id(name)
            sensors[power] = TreeSensor(power, "power", number, None, "MW", resolution, timezone)
        elif (measured := _series_of(entry, INFLEXIBLE)) and measured in names.series:
            names.powers[name] = names.series[measured]
    stocks = {
        names.series[level]: name
        for name, entry in entries.items()
        if name not in planned and (level := _series_of(entry, STOCK)) and level in names.series
    }
    return EntryTree(AssetTree(root, assets, sensors), _flex_model_with_ids(entries, names, planned), stocks)


def _flex_model_with_ids(entries: Mapping[str, Config], names: IdRegistry, planned: set[str]) -> list[dict[str, Any]]:
    flex_model: list[dict[str, Any]] = []
    errors: dict[str, Any] = {}
    for index, (name, entry) in enumerate(entries.items()):
        location = {"asset": names.assets[name]} | ({"sensor": names.powers[name]} if name in planned else {})
        try:
            flex_model.append({**names.mapping_to_ids(entry), **location})
        except FieldError as error:
            errors[str(index)] = error.errors
    if errors:
        raise FieldError(errors)
    return flex_model


def _planned_entries(entries: Mapping[str, Config]) -> set[str]:
    """Return the devices that get a schedule: not those with a series of power, groups, and stocks that others fill."""
    members = (entry.get("group") for entry in entries.values())
    groups = {str(group.get("asset")) for group in members if isinstance(group, Mapping)}
    devices = {name for name, entry in entries.items() if is_process(entry) or any(key in entry for key in OF_DEVICES)}
    filled = {_series_of(entries[name], STOCK) for name in devices} - {None}
    return {
        name
        for name, entry in entries.items()
        if not any(key in entry for key in INFLEXIBLE)
        and name not in groups
        and (name in devices or _series_of(entry, STOCK) not in filled)
    }


def _series_of(entry: Config, keys: Sequence[str]) -> str | None:
    """Return the name of the series that one of these fields refers to."""
    named = (entry[key].get("sensor") for key in keys if isinstance(entry.get(key), Mapping))
    return next((name for name in named if isinstance(name, str)), None)
