"""Which part each entry of a flex-model plays: a device, a device that is not planned, a stock, or a group."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flexmodel.configuration import kebab
from flexmodel.device_fields import GroupKey
from flexmodel.errors import Invalid
from flexmodel.flex_model import NOT_ON_GROUPS, FlexModelEntry
from flexmodel.process_model import ProcessEntry, is_process
from flexmodel.reading import WHOLE, Reader, Refused
from flexmodel.tree import AssetTree
from flexmodel.values import SensorReference

DeviceEntry = FlexModelEntry | ProcessEntry


@dataclass(frozen=True, slots=True)
class Roles:
    """The entries by the part they play, each in the order given."""

    devices: tuple[DeviceEntry, ...]
    inflexible: tuple[FlexModelEntry, ...]
    stocks: tuple[FlexModelEntry, ...]
    """Entries that only describe a stock, which devices fill and drain."""
    groups: Mapping[GroupKey, FlexModelEntry]

    @property
    def members(self) -> tuple[DeviceEntry, ...]:
        """All that can be in a group, in the order of their indices."""
        return (*self.devices, *self.inflexible)


def read_entries(configs: Sequence[Mapping[str, Any]], reader: Reader) -> list[DeviceEntry]:
    """The entries, checked one by one. Problems of all of them are reported together, by field."""
    entries: list[DeviceEntry] = []
    problems: dict[str, Any] = {}
    for config in configs:
        model = ProcessEntry if is_process(config) else FlexModelEntry
        try:
            entries.append(model.read(config, reader_for(config, reader)))
        except Refused as refused:
            found = refused.problem if isinstance(refused.problem, dict) else {WHOLE: refused.problem}
            problems = {**found, **problems}
    if problems:
        raise Invalid(problems)
    return entries


def reader_for(config: Mapping[str, Any], reader: Reader) -> Reader:
    """The reader with the energy unit and the time zone that count for one entry."""
    outputs = [config[key].get("sensor") for key in ("consumption", "production") if isinstance(config.get(key), dict)]
    named = [number for number in (config.get("sensor"), *outputs) if isinstance(number, int)]
    sensor = reader.tree.sensors.get(named[0]) if named else None
    unit = config.get("soc-unit")
    if unit not in ("kWh", "MWh"):
        unit = _energy_unit(sensor.unit) if sensor is not None else "MWh"
    return replace(reader, energy_unit=unit, timezone=sensor.timezone if sensor is not None else reader.timezone)


def _energy_unit(power_unit: str) -> str:
    """The unit of energy that goes with a sensor's unit: kWh with kW or kWh, and MWh with everything else."""
    return "kWh" if power_unit in ("kW", "kWh") else "MWh"


def classify(entries: Sequence[DeviceEntry]) -> Roles:
    """Sorts the entries by the part they play."""
    wanted = {entry.group for entry in entries if entry.group is not None}
    groups = {key: _group_entry(key, entries) for key in sorted(wanted)}
    rest = [entry for entry in entries if not any(entry is group for group in groups.values())]
    roles = Roles(
        devices=tuple(entry for entry in rest if _is_device(entry)),
        inflexible=tuple(entry for entry in rest if isinstance(entry, FlexModelEntry) and entry.is_inflexible),
        stocks=tuple(entry for entry in rest if isinstance(entry, FlexModelEntry) and _is_stock_only(entry)),
        groups=groups,
    )
    for key in groups:
        _check_members(key, roles)
    return roles


def _is_device(entry: DeviceEntry) -> bool:
    return isinstance(entry, ProcessEntry) or not (entry.is_inflexible or _is_stock_only(entry))


def _is_stock_only(entry: FlexModelEntry) -> bool:
    return entry.power_sensor is None and entry.state_of_charge is not None and not entry.is_inflexible


def _group_entry(key: GroupKey, entries: Sequence[DeviceEntry]) -> FlexModelEntry:
    """The entry that describes the group."""
    kind, number = key
    named = [entry for entry in entries if (entry.sensor if kind == "sensor" else entry.asset) == number]
    found = [entry for entry in named if kind == "sensor" or entry.sensor is None]
    if not found:
        sentence = (
            f"The entry of asset {number} must have no sensor, because it describes a group."
            if named
            else f"There is no entry for {kind} {number}, which is named as a group."
        )
        raise Invalid({"group": [sentence]})
    entry = found[0]
    if not isinstance(entry, FlexModelEntry):
        raise Invalid({"group": [f"The entry of {kind} {number} is a process and cannot be a group."]})
    _check_group(entry)
    return entry


def _check_group(entry: FlexModelEntry) -> None:
    problems: dict[str, Any] = {
        kebab(name): ["A group of devices has no such field."] for name in NOT_ON_GROUPS if entry.has(name)
    }
    if entry.power_capacity is None and entry.consumption_capacity is None and entry.production_capacity is None:
        problems["power-capacity"] = ["A group needs at least one capacity."]
    if problems:
        raise Invalid(problems)


def members_of(key: GroupKey, roles: Roles) -> tuple[int, ...]:
    """The indices of all devices in the group, those of groups inside it included."""
    inside = set(_nested(key, roles, ()))
    return tuple(index for index, entry in enumerate(roles.members) if entry.group in inside)


def _nested(key: GroupKey, roles: Roles, above: tuple[GroupKey, ...]) -> Iterator[GroupKey]:
    """The group and all groups inside it."""
    if key in above:
        raise Invalid({"group": [f"The group of {key[0]} {key[1]} contains itself."]})
    yield key
    for inner, entry in roles.groups.items():
        if entry.group == key:
            yield from _nested(inner, roles, (*above, key))


def _check_members(key: GroupKey, roles: Roles) -> None:
    name = f"The group of {key[0]} {key[1]}"
    members = [roles.members[index] for index in members_of(key, roles)]
    if not members:
        raise Invalid({"group": [f"{name} has no devices."]})
    commodities = sorted({entry.commodity for entry in members})
    if len(commodities) > 1:
        raise Invalid({"group": [f"{name} mixes commodities: {', '.join(commodities)}."]})


def soc_sensor(entry: DeviceEntry) -> int | None:
    """The sensor that keeps the entry's state of charge; it tells stocks apart."""
    state = entry.state_of_charge if isinstance(entry, FlexModelEntry) else None
    return state.sensor if isinstance(state, SensorReference) else None


def asset_of(entry: DeviceEntry, tree: AssetTree) -> int | None:
    """The asset that the entry is about."""
    if entry.asset is not None:
        return entry.asset
    sensor = entry.power_sensor or soc_sensor(entry)
    return None if sensor is None else tree.sensors[sensor].asset_id


def labels_of(entries: Sequence[DeviceEntry], tree: AssetTree) -> tuple[str, ...]:
    """What to call each entry's device: its asset's name, with its sensor's name where the asset has several."""
    assets = [asset_of(entry, tree) for entry in entries]
    devices_on = Counter(assets)
    labels = []
    for index, (entry, asset) in enumerate(zip(entries, assets, strict=True)):
        name = tree.assets[asset].name if asset is not None and asset in tree.assets else f"device {index}"
        sensor = entry.power_sensor
        labels.append(f"{name}: {tree.sensors[sensor].name}" if sensor and devices_on[asset] > 1 else name)
    return tuple(labels)
