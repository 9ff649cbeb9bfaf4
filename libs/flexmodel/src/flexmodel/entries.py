"""Entries of a flex-model: their roles, and the groups, couplings and commitments that join them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from flexmodel.device_fields import GroupKey
from flexmodel.errors import Invalid
from flexmodel.flex_context import CommitmentEntry, FlexContext
from flexmodel.flex_model import STORAGE, FlexModelEntry
from flexmodel.parsing import Errors, FieldError, ParseContext, kebab
from flexmodel.process_model import ProcessEntry, is_process
from flexmodel.tree import AssetTree
from flexmodel.trigger import Commitment, Coupling, Group, Inflexible
from flexmodel.values import Fixed

DeviceEntry = FlexModelEntry | ProcessEntry

GROUP_BREACH_PRICE = 1e7
"""10,000 per kW, in currency per MW, for the directional capacities of groups."""


@dataclass(frozen=True, slots=True)
class Roles:
    """The entries by role, each role in the order given."""

    devices: tuple[DeviceEntry, ...]
    inflexible: tuple[FlexModelEntry, ...]
    stocks: tuple[FlexModelEntry, ...]
    """Entries that only describe a stock, which devices fill and drain."""
    groups: Mapping[GroupKey, FlexModelEntry]

    @property
    def candidates(self) -> tuple[DeviceEntry, ...]:
        """All entries that can be in a group, in the order of their indices."""
        return (*self.devices, *self.inflexible)

    def members(self, key: GroupKey) -> tuple[int, ...]:
        """Return the indices of all devices in a group, those in groups inside it included."""
        inside = set(self._nested(key, ()))
        return tuple(index for index, entry in enumerate(self.candidates) if entry.group in inside)

    def _nested(self, key: GroupKey, above: tuple[GroupKey, ...]) -> Iterator[GroupKey]:
        """Yield a group and all groups inside it."""
        if key in above:
            raise Invalid({"group": [f"The group of {key[0]} {key[1]} contains itself."]})
        yield key
        for inner, entry in self.groups.items():
            if entry.group == key:
                yield from self._nested(inner, (*above, key))


def parse_entries(configs: Sequence[Mapping[str, object]], context: ParseContext, *, alone: bool) -> Roles:
    """Parse the entries of a flex-model, and assign their roles.

    Args:
        configs: The entries, merged with what is stored on assets.
        context: The parse context of the trigger.
        alone: True if there is one entry, for a device that is planned by itself.

    Raises:
        Invalid: With the errors of all entries by field, or with an error in the groups.
    """
    entries: list[DeviceEntry] = []
    errors: Errors = {}
    for config in configs:
        model = ProcessEntry if is_process(config) else FlexModelEntry
        try:
            entries.append(model.parse(config, _context_of(config, context)))
        except FieldError as error:
            errors = {**error.by_field, **errors}
    if errors:
        raise Invalid(errors)
    if alone:
        _check_alone(entries[0])
    return _assign_roles(entries)


def _context_of(config: Mapping[str, object], context: ParseContext) -> ParseContext:
    """Return the context with the energy unit and the time zone of one entry."""
    outputs = (config.get(key) for key in ("consumption", "production"))
    candidates = (config.get("sensor"), *(output.get("sensor") for output in outputs if isinstance(output, dict)))
    ids = [number for number in candidates if isinstance(number, int)]
    sensor = context.tree.sensors.get(ids[0]) if ids else None
    unit = config.get("soc-unit")
    if unit not in ("kWh", "MWh"):
        unit = "kWh" if sensor is not None and sensor.unit in ("kW", "kWh") else "MWh"
    return replace(context, energy_unit=str(unit), timezone=sensor.timezone if sensor is not None else context.timezone)


def _check_alone(entry: DeviceEntry) -> None:
    """Reject fields that have no meaning when one device is planned by itself."""
    names = ("group", "inflexible_consumption", "inflexible_production")
    given = [kebab(name) for name in names if getattr(entry, name, None) is not None]
    if given:
        raise Invalid({key: ["Only in a flex-model for several devices, triggered on their asset."] for key in given})


def _assign_roles(entries: Sequence[DeviceEntry]) -> Roles:
    keys = {entry.group for entry in entries if entry.group is not None}
    groups = {key: _find_group(key, entries) for key in sorted(keys)}
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


def _find_group(key: GroupKey, entries: Sequence[DeviceEntry]) -> FlexModelEntry:
    """Return the entry that describes a group, checked."""
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
    errors: Errors = {
        kebab(name): ["A group of devices has no such field."]
        for name in FlexModelEntry.fields_with(STORAGE)
        if entry.has(name)
    }
    if entry.power_capacity is None and entry.consumption_capacity is None and entry.production_capacity is None:
        errors["power-capacity"] = ["A group needs at least one capacity."]
    if errors:
        raise Invalid(errors)
    return entry


def _check_members(key: GroupKey, roles: Roles) -> None:
    """Check that a group has devices, all of one commodity."""
    name = f"The group of {key[0]} {key[1]}"
    members = [roles.candidates[index] for index in roles.members(key)]
    if not members:
        raise Invalid({"group": [f"{name} has no devices."]})
    commodities = sorted({entry.commodity for entry in members})
    if len(commodities) > 1:
        raise Invalid({"group": [f"{name} mixes commodities: {', '.join(commodities)}."]})


def asset_of(entry: DeviceEntry, tree: AssetTree) -> int | None:
    """Return the asset that an entry is about."""
    if entry.asset is not None:
        return entry.asset
    sensor = entry.power_sensor or entry.soc_sensor
    return None if sensor is None else tree.sensors[sensor].asset_id


def device_labels(entries: Sequence[DeviceEntry], tree: AssetTree) -> tuple[str, ...]:
    """Return the devices' labels: the name of the asset, with that of the sensor where an asset has several devices."""
    assets = [asset_of(entry, tree) for entry in entries]
    devices_on = Counter(assets)
    labels = []
    for index, (entry, asset) in enumerate(zip(entries, assets, strict=True)):
        name = tree.assets[asset].name if asset is not None and asset in tree.assets else f"device {index}"
        sensor = entry.power_sensor
        labels.append(f"{name}: {tree.sensors[sensor].name}" if sensor and devices_on[asset] > 1 else name)
    return tuple(labels)


def build_groups(roles: Roles) -> tuple[Group, ...]:
    """Return the groups. Their directional capacities are soft."""
    return tuple(
        Group(
            name=f"{kind}:{number}",
            members=roles.members((kind, number)),
            power_capacity=entry.power_capacity,
            consumption_capacity=entry.consumption_capacity,
            production_capacity=entry.production_capacity,
            breach_price=GROUP_BREACH_PRICE,
            sensor=number if kind == "sensor" else None,
            consumption_output=entry.consumption,
            production_output=entry.production,
        )
        for (kind, number), entry in roles.groups.items()
    )


def build_couplings(roles: Roles) -> tuple[Coupling, ...]:
    """Return the couplings. Devices with the same `coupling` are the ports of one converter."""
    ports: dict[str, list[tuple[int, float]]] = {}
    for index, entry in enumerate(roles.devices):
        if isinstance(entry, FlexModelEntry) and entry.coupling is not None:
            ports.setdefault(entry.coupling, []).append((index, _signed_coefficient(entry)))
    return tuple(
        Coupling(name, tuple(index for index, _ in found), tuple(coefficient for _, coefficient in found))
        for name, found in ports.items()
    )


def _signed_coefficient(entry: FlexModelEntry) -> float:
    """Return the coefficient with the sign of the port's direction, which follows from its capacities."""
    consumption, production = entry.consumption_capacity, entry.production_capacity
    closed = Fixed(0.0)
    consumes = production == closed or consumption not in (None, closed)
    produces = consumption == closed or production not in (None, closed)
    if consumes == produces:
        sentence = (
            "It must be clear whether this port of the converter consumes or produces: "
            "give a `consumption-capacity` or a `production-capacity`, not both (or set one of them to 0)."
        )
        raise Invalid({"coupling": [sentence]})
    return entry.coupling_coefficient if consumes else -entry.coupling_coefficient


def build_commitments(
    flex_context: FlexContext, roles: Roles, inflexible: Sequence[Inflexible]
) -> tuple[tuple[Commitment, ...], list[str]]:
    """Return the commitments with their devices, and a warning for each that concerns no device."""
    commodities = [entry.commodity for entry in roles.devices] + [device.commodity for device in inflexible]
    listed = [(commitment, commitment.commodity) for commitment in flex_context.commitments]
    listed += [(commitment, entry.commodity) for entry in flex_context.commodities for commitment in entry.commitments]
    commitments: list[Commitment] = []
    warnings: list[str] = []
    for commitment, commodity in listed:
        members = _commitment_members(commitment, commodity, roles, inflexible, commodities)
        if not members:
            warnings.append(f"The commitment '{commitment.name}' concerns none of the devices and is left out.")
            continue
        commitments.append(
            Commitment(
                name=commitment.name,
                commodity=commodities[members[0]],
                members=members,
                baseline=commitment.baseline,
                up_price=commitment.up_price,
                down_price=commitment.down_price,
            )
        )
    return tuple(commitments), warnings


def _commitment_members(
    commitment: CommitmentEntry,
    commodity: str,
    roles: Roles,
    inflexible: Sequence[Inflexible],
    commodities: Sequence[str],
) -> tuple[int, ...]:
    """Return the indices of the devices that a commitment concerns: the named ones, else all of the commodity."""
    if commitment.sensors is None and commitment.group is None:
        return tuple(index for index, name in enumerate(commodities) if name == commodity)
    if commitment.group is not None:
        members = roles.members(commitment.group)
    else:
        sensors: list[set[int | None]] = [
            {entry.sensor, entry.consumption, entry.production} for entry in roles.devices
        ]
        sensors += [{device.reference.sensor} for device in inflexible]
        named = set(commitment.sensors or ())
        members = tuple(index for index, own in enumerate(sensors) if own & named)
    mixed = sorted({commodities[index] for index in members})
    if len(mixed) > 1:
        sentence = f"The commitment '{commitment.name}' is about several commodities: {', '.join(mixed)}."
        raise Invalid({"commitments": [sentence]})
    return members
