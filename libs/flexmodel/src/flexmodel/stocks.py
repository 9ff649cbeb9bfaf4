"""The stocks that devices fill and drain: shared ones by their state-of-charge sensor, others private to a device."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flexmodel.configuration import kebab
from flexmodel.errors import Invalid
from flexmodel.flex_model import ABSOLUTE_STATES, FlexModelEntry
from flexmodel.penalties import Penalties
from flexmodel.problem import Window
from flexmodel.reading import Reader
from flexmodel.roles import DeviceEntry, Roles, asset_of, soc_sensor
from flexmodel.time import TimeError, parse_moment
from flexmodel.trigger import StateReference, Stock
from flexmodel.values import Fixed, Segment, Segments, SensorReference, VariableQuantity

RADIUS = 4
"""A state of charge counts as present within so many steps of the start."""


@dataclass(frozen=True, slots=True)
class _Owner:
    """A stock in the making: its devices, and every entry that describes it (the devices' first)."""

    devices: tuple[int, ...]
    entries: tuple[FlexModelEntry, ...]
    sensor: int | None

    def the(self, name: str) -> Any:
        """What the entries say about a field; two that disagree are an error."""
        said = [getattr(entry, name) for entry in self.entries if entry.has(name)]
        if any(value != said[0] for value in said):
            field = kebab(name)
            raise Invalid(
                {
                    "_schema": [
                        f"`{field}` of the stock kept by sensor {self.sensor} is given in more than one entry. "
                        "Give it in one of them."
                    ]
                },
                where="message",
            )
        return said[0] if said else None

    def sum(self, name: str) -> tuple[VariableQuantity, ...]:
        return tuple(part for entry in self.entries for part in getattr(entry, name) or ())


def stocks(
    roles: Roles, labels: Sequence[str], reader: Reader, window: Window, penalties: Penalties
) -> tuple[tuple[Stock, ...], list[int | None]]:
    """All stocks in the order of their first devices, and each device's stock."""
    found: list[Stock] = []
    of_device: list[int | None] = [None] * len(roles.devices)
    for owner in _owners(roles):
        initial = _initial(owner, reader, window)
        if initial is None:
            continue
        for device in owner.devices:
            of_device[device] = len(found)
        found.append(_stock(owner, initial, labels[owner.devices[0]], reader, window, penalties))
    return tuple(found), of_device


def _owners(roles: Roles) -> list[_Owner]:
    """Devices that share a sensor share a stock; every other device has one of its own."""
    sharing: dict[int, list[int]] = {}
    describing: dict[int, list[FlexModelEntry]] = {}
    for index, entry in enumerate(roles.devices):
        sensor = soc_sensor(entry)
        if sensor is not None:
            sharing.setdefault(sensor, []).append(index)
    for entry in (*(entry for entry in roles.devices if isinstance(entry, FlexModelEntry)), *roles.stocks):
        sensor = soc_sensor(entry)
        if sensor is not None:
            describing.setdefault(sensor, []).append(entry)
    owners: list[_Owner] = []
    for index, entry in enumerate(roles.devices):
        sensor = soc_sensor(entry)
        if sensor is None and isinstance(entry, FlexModelEntry):
            owners.append(_Owner((index,), (entry,), None))
        elif sensor is not None and sharing[sensor][0] == index:
            owners.append(_Owner(tuple(sharing[sensor]), tuple(describing[sensor]), sensor))
    return owners


def _stock(
    owner: _Owner,
    initial: Fixed | StateReference,
    label: str,
    reader: Reader,
    window: Window,
    penalties: Penalties,
) -> Stock:
    first = owner.entries[0]
    wishes = {name: owner.the(name) for name in ("soc_minima", "soc_maxima", "soc_targets")}
    off_tick = any(_is_off_tick(wish, window) for wish in wishes.values())
    minima_price, maxima_price = penalties.off_tick if off_tick else penalties.state_of_charge
    efficiency = owner.the("storage_efficiency")
    return Stock(
        label=label,
        asset_id=asset_of(first, reader.tree),
        devices=owner.devices,
        initial=initial,
        sensor=owner.sensor,
        percent_of=_percent_of(owner, reader),
        soc_min=owner.the("soc_min"),
        soc_max=owner.the("soc_max"),
        minima=wishes["soc_minima"],
        maxima=wishes["soc_maxima"],
        targets=wishes["soc_targets"],
        minima_breach_price=minima_price,
        maxima_breach_price=maxima_price,
        gain=owner.sum("soc_gain"),
        usage=owner.sum("soc_usage"),
        storage_efficiency=efficiency,
        efficiency_resolution=None if efficiency is None else _efficiency_resolution(owner, efficiency, reader),
        prefer_charging_sooner=all(entry.prefer_charging_sooner for entry in owner.entries),
        prefer_curtailing_later=all(entry.prefer_curtailing_later for entry in owner.entries),
        project_off_tick=_attribute(first, reader, "floor_datetimes_to_resolution", True) is not False,
    )


def _initial(owner: _Owner, reader: Reader, window: Window) -> Fixed | StateReference | None:
    """Where the state of charge at the start comes from; None: it is unknown, and there is no stock."""
    given = owner.the("soc_at_start")
    if isinstance(given, Fixed):
        return given
    if isinstance(given, SensorReference):
        return StateReference(given.sensor, RADIUS * window.resolution)
    if owner.sensor is not None:
        return StateReference(owner.sensor, RADIUS * window.resolution)
    first = owner.entries[0]
    if isinstance(first.state_of_charge, Segments):
        return _from_segments(first.state_of_charge, window)
    known = _attribute(first, reader, "soc_in_mwh", None)
    if isinstance(known, int | float) and _same_moment(_attribute(first, reader, "soc_datetime", None), window.start):
        return Fixed(float(known))
    return Fixed(0.0) if any(first.has(name) for name in ABSOLUTE_STATES) else None


def _from_segments(states: Segments, window: Window) -> Fixed:
    """The state at the start: of the segment that contains it (the latest one), else of the nearest one."""
    around = [item for item in states.items if item.start <= window.start <= item.end]
    if around:
        return Fixed(max(around, key=lambda item: item.start).value)

    def distance(item: Segment) -> timedelta:
        return max(item.start - window.start, window.start - item.end)

    nearest = min(states.items, key=distance)
    if distance(nearest) > RADIUS * window.resolution:
        raise Invalid(
            {"state-of-charge": [f"No recent state-of-charge value: none is near {window.start.isoformat()}."]},
            where="message",
        )
    return Fixed(nearest.value)


def _same_moment(text: Any, moment: datetime) -> bool:
    try:
        return parse_moment(text) == moment
    except TimeError:
        return False


def _percent_of(owner: _Owner, reader: Reader) -> float | None:
    """The energy at 100 %, which a sensor in % needs."""
    full = owner.the("soc_max")
    attribute = _attribute(owner.entries[0], reader, "max_soc_in_mwh", None)
    if isinstance(full, Fixed) and full.value > 0:
        return full.value
    if isinstance(attribute, int | float) and attribute > 0:
        return float(attribute)
    if owner.sensor is not None and reader.tree.sensors[owner.sensor].unit == "%":
        raise Invalid(
            {"soc-max": [f"Give a fixed `soc-max`: sensor {owner.sensor} measures the state of charge in %."]}
        )
    return None


def _efficiency_resolution(owner: _Owner, efficiency: VariableQuantity, reader: Reader) -> timedelta:
    """The period over which the storage efficiency counts: of its own sensor, else of the power sensor."""
    sensors = [efficiency.sensor] if isinstance(efficiency, SensorReference) else []
    sensors += [entry.power_sensor for entry in owner.entries if entry.power_sensor is not None]
    for sensor in sensors:
        if reader.tree.sensors[sensor].resolution:
            return reader.tree.sensors[sensor].resolution
    raise Invalid({"storage-efficiency": ["There is no power sensor whose resolution says for how long it counts."]})


def _is_off_tick(wish: VariableQuantity | None, window: Window) -> bool:
    """Whether a list has a time between two steps."""
    if not isinstance(wish, Segments):
        return False
    moments = [moment for item in wish.items for moment in (item.start, item.end)]
    return any((moment - window.start) % window.resolution for moment in moments)


def _attribute(entry: DeviceEntry, reader: Reader, name: str, default: Any) -> Any:
    """An attribute of the entry's power sensor, or of its asset."""
    if entry.power_sensor is not None:
        return reader.tree.attribute(reader.tree.sensors[entry.power_sensor], name, default)
    return reader.tree.asset_attribute(asset_of(entry, reader.tree), name, default)
