"""The request of a trigger: the message, its envelope checked, and completed with what is stored on assets."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flexmodel.errors import Envelope, Invalid
from flexmodel.flex_context import DEPRECATED_PRICES, INFLEXIBLE, SITE_KEYS
from flexmodel.parsing import (
    MAX_ERRORS,
    REQUIRED,
    WHOLE,
    Errors,
    FieldError,
    parse_at,
    parse_datetime,
    parse_integer,
    unknown_keys,
)
from flexmodel.process_model import is_process
from flexmodel.references import referenced_sensors
from flexmodel.time import Duration, TimeError, parse_duration, parse_fixed_duration
from flexmodel.tree import AssetTree, TreeSensor
from flexmodel.trigger import ELECTRICITY

KEYS = ("start", "duration", "resolution", "prior", "flex-model", "flex-context", "force-new-job-creation")
MAX_DURATION = timedelta(days=366)
YEARS = range(1900, 2200)
"""The years in which windows start. Values are looked up before a window, and horizons reach beyond it."""
SUBJECT_KEYS = (
    *("sensor", "asset", "consumption", "production", "state-of-charge"),
    *("inflexible-consumption", "inflexible-production"),
)
"""Keys that identify the subject of an entry. An entry has at least one."""
ATTRIBUTE_FIELDS = {
    "min_soc_in_mwh": ("soc-min", "MWh"),
    "max_soc_in_mwh": ("soc-max", "MWh"),
    "roundtrip_efficiency": ("roundtrip-efficiency", ""),
    "storage_efficiency": ("storage-efficiency", ""),
    "consumption_capacity": ("consumption-capacity", "MW"),
    "production_capacity": ("production-capacity", "MW"),
}
"""Attributes of sensors and assets that stand in for fields of the flex-model, with the unit of their numbers."""

Config = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Request:
    """A trigger message with a checked envelope, merged with the stored configuration. Fields are not parsed yet."""

    sensor_id: int | None
    """The sensor in the path; None: the path names an asset."""

    start: datetime
    offset: timedelta
    """The offset from UTC that `start` was sent with."""
    end: datetime
    resolution: timedelta | None
    prior: datetime | None
    sequential: bool
    timezone: str
    """The time zone of the first sensor that the message names, in which nominal durations are resolved."""
    flex_model: tuple[Config, ...]
    flex_context: Config
    deprecated_price: str | None
    """The key of a deprecated price in the merged flex-context."""
    modern_keys: tuple[str, ...]
    """Keys in the message's own flex-context that exclude deprecated prices."""

    @property
    def envelope(self) -> Envelope:
        """The envelope of errors in the message's own keys."""
        return "message" if self.sensor_id is None else "json"


def parse_request(message: object, tree: AssetTree, sensor_id: int | None, planning_horizon: timedelta) -> Request:
    """Check the envelope of a trigger message, and merge it with the stored configuration.

    Args:
        message: The JSON of the message.
        tree: The tree of the asset in the path, or of the sensor's asset.
        sensor_id: The sensor in the path, if it names one.
        planning_horizon: The duration of a message that has none.

    Raises:
        Invalid: With all errors in the envelope, or in the places of entries, or with all sensors that do not exist.
    """
    envelope: Envelope = "message" if sensor_id is None else "json"
    if not isinstance(message, Mapping):
        raise Invalid({WHOLE: ["Invalid input type."]}, where=envelope)
    errors = unknown_keys(message, KEYS if sensor_id is not None else (*KEYS, "sequential"))
    start = _collect(errors, "start", lambda: _start(message))
    duration = _collect(errors, "duration", lambda: _duration(message)) or Duration(rest=planning_horizon)
    resolution = _collect(errors, "resolution", lambda: _resolution(message))
    prior = _collect(errors, "prior", lambda: parse_datetime(message["prior"]) if "prior" in message else None)
    for key in ("sequential", "force-new-job-creation"):
        if not isinstance(message.get(key, False), bool):
            errors[key] = ["Not a valid boolean."]
    entries = _collect(errors, "flex-model", lambda: _entries(message, tree, sensor_id)) or ()
    passed = message.get("flex-context", {})
    if not isinstance(passed, Mapping) and not (
        isinstance(passed, list) and all(isinstance(entry, Mapping) for entry in passed)
    ):
        errors["flex-context"] = ["Not a valid mapping type."]
    if start is not None and not errors:
        errors = _duration_errors(start, duration)
    if start is None or errors:
        raise Invalid(errors, where=envelope)
    _check_places(entries, tree, envelope)
    sequential = message.get("sequential", False)
    flex_model = merge_flex_model(entries, tree, alone=sensor_id is not None or sequential)
    flex_context = merge_flex_context(passed, tree)
    _check_sensors_exist([flex_context, *flex_model], tree)
    named = [_integer(entry, "sensor") for entry in entries if "sensor" in entry]
    own_keys = passed if isinstance(passed, Mapping) else ()
    return Request(
        sensor_id=sensor_id,
        start=start.astimezone(UTC),
        offset=start.utcoffset() or timedelta(0),
        end=duration.after(start).astimezone(UTC),
        resolution=resolution,
        prior=prior,
        sequential=sequential,
        timezone=tree.sensors[named[0]].timezone if named else "UTC",
        flex_model=tuple(flex_model),
        flex_context=flex_context,
        deprecated_price=next((key for key in DEPRECATED_PRICES if key in flex_context), None),
        modern_keys=tuple(
            key for key in own_keys if key.startswith("relax-") or "breach-price" in key or "-peak-" in key
        ),
    )


def _collect[T](errors: Errors, key: str, parse: Callable[[], T]) -> T | None:
    """Return the result of `parse`, or add its errors under a key and return None."""
    try:
        return parse()
    except FieldError as error:
        errors[key] = error.errors
        return None


def _start(message: Config) -> datetime:
    if "start" not in message:
        raise FieldError(REQUIRED)
    return parse_datetime(message["start"])


def _duration(message: Config) -> Duration | None:
    """Return the duration of the window. Days, months and years count by the clock of the start's offset from UTC."""
    try:
        return parse_duration(message["duration"]) if "duration" in message else None
    except TimeError as error:
        raise FieldError(str(error)) from None


def _resolution(message: Config) -> timedelta | None:
    if "resolution" not in message:
        return None
    try:
        resolution = parse_fixed_duration(message["resolution"])
    except TimeError as error:
        raise FieldError(str(error)) from None
    if resolution <= timedelta(0):
        raise FieldError("Must be greater than zero.")
    return resolution


def _duration_errors(start: datetime, duration: Duration) -> Errors:
    if start.year not in YEARS:
        return {"start": [f"Must be in the years {YEARS.start} to {YEARS.stop - 1}."]}
    try:
        length = duration.from_start(start)
    except (OverflowError, ValueError):
        length = MAX_DURATION * 2
    if length <= timedelta(0):
        return {"duration": ["Must be greater than zero."]}
    if length > MAX_DURATION:
        return {"duration": ["Must not be longer than a year."]}
    return {}


def _entries(message: Config, tree: AssetTree, sensor_id: int | None) -> tuple[Config, ...]:
    """Return the entries of the flex-model. A single entry needs no list around it."""
    given = message.get("flex-model", {} if sensor_id is not None else [])
    if sensor_id is not None:
        if not isinstance(given, Mapping):
            raise FieldError("Not a valid mapping type.")
        return ({**given, "sensor": sensor_id},)
    entries = [given] if isinstance(given, Mapping) else given
    if not isinstance(entries, list):
        raise FieldError("Not a valid list.")
    errors: Errors = {}
    for index, entry in enumerate(entries):
        try:
            _check_subject(entry, tree, needs_sensor=message.get("sequential") is True)
        except FieldError as error:
            errors[str(index)] = error.by_field
            if len(errors) == MAX_ERRORS:
                break
    if errors:
        raise FieldError(errors)
    return tuple(entries)


def _check_subject(entry: object, tree: AssetTree, *, needs_sensor: bool) -> None:
    """Check the sensor and the asset that an entry is about."""
    if not isinstance(entry, Mapping):
        raise FieldError("Invalid input type.")
    if not any(key in entry for key in SUBJECT_KEYS):
        raise FieldError("Specify either a sensor or an asset.")
    if "sensor" in entry:
        sensor = parse_at("sensor", lambda: parse_integer(entry["sensor"]))
        if sensor not in tree.sensors:
            raise FieldError({"sensor": [f"No sensor found with ID {sensor}."]})
    elif needs_sensor:
        raise FieldError({"sensor": ["One after the other, every entry needs a sensor."]})
    if "asset" in entry:
        asset = parse_at("asset", lambda: parse_integer(entry["asset"]))
        if asset not in tree.assets:
            raise FieldError({"asset": [f"No asset found with ID {asset}."]})
        if "sensor" in entry and tree.sensors[entry["sensor"]].asset_id != asset:
            raise FieldError({"sensor": [f"Sensor {entry['sensor']} does not belong to asset {asset}."]})


def _check_places(entries: Sequence[Config], tree: AssetTree, envelope: Envelope) -> None:
    """Check that every entry is about something in the tree, and that no two are about the same sensor."""
    place = f"asset {tree.asset_id} (or to one of its offspring)"
    sensors = [_integer(entry, "sensor") for entry in entries if "sensor" in entry]
    assets = [_integer(entry, "asset") for entry in entries if "asset" in entry]
    twice = sorted(sensor for sensor, count in Counter(sensors).items() if count > 1)
    errors = [
        *(f"Sensor {sensor} does not belong to {place}" for sensor in sensors if not tree.contains(sensor)),
        *(f"Asset {asset} does not belong to {place}" for asset in assets if not tree.contains_asset(asset)),
        *(f"Sensor {sensor} should not occur more than once in the flex-model" for sensor in twice),
    ]
    if errors:
        raise Invalid({WHOLE: errors[:MAX_ERRORS]}, where=envelope)


def _integer(entry: Config, key: str) -> int:
    """Return the id under a key, which was checked before."""
    return parse_integer(entry[key])


def _check_sensors_exist(configs: Sequence[Config], tree: AssetTree) -> None:
    missing = sorted(referenced_sensors(configs) - set(tree.sensors))
    if missing:
        raise Invalid({WHOLE: [f"No sensor found with ID {sensor}." for sensor in missing[:MAX_ERRORS]]}, where="list")


def merge_flex_context(passed: Config | Sequence[Config], tree: AssetTree) -> dict[str, object]:
    """Return the flex-context: passed fields over those stored on the asset, over those stored on its ancestors."""
    own = dict(passed) if isinstance(passed, Mapping) else {"commodities": list(passed)}
    stored: dict[str, object] = {}
    for asset in tree.lineage(tree.asset_id):
        stored = _override(stored, asset.flex_context)
    commodities = own.get("commodities")
    entries = commodities if isinstance(commodities, list) else []
    if any(isinstance(entry, Mapping) and entry.get("commodity", ELECTRICITY) == ELECTRICITY for entry in entries):
        replaced = {*SITE_KEYS, *DEPRECATED_PRICES}
        stored = {key: value for key, value in stored.items() if key not in replaced}
    return _override(own, stored)


def _override(near: Config, far: Config) -> dict[str, object]:
    """Return the fields of `far`, overridden by those of `near`. Some fields are overridden as a family."""
    hidden = set(near)
    if not hidden.isdisjoint(INFLEXIBLE):
        hidden |= set(INFLEXIBLE)
    for old, new in DEPRECATED_PRICES.items():
        if old in near or new in near:
            hidden |= {old, new}
    return dict(near) | {key: value for key, value in far.items() if key not in hidden}


def merge_flex_model(passed: Sequence[Config], tree: AssetTree, *, alone: bool) -> list[Config]:
    """Return the flex-model: each passed entry over what is stored on its asset.

    Unless the passed entries are planned alone, all other entries stored in the tree come first.
    """
    assets = [_asset_id(entry, tree) for entry in passed]
    merged: list[dict[str, object]] = [
        {**_stored_flex_model(asset, tree), **entry} for entry, asset in zip(passed, assets, strict=True)
    ]
    if not alone:
        others = [tree.asset, *tree.descendants(tree.asset_id)]
        merged = [
            *(
                {"asset": asset.id, **asset.flex_model}
                for asset in others
                if asset.flex_model and asset.id not in assets
            ),
            *merged,
        ]
    return [_with_attributes(entry, tree) for entry in merged]


def _asset_id(entry: Config, tree: AssetTree) -> int | None:
    """Return the asset of an entry: the named one, or that of its power sensor, or that of its state of charge."""
    asset = entry.get("asset")
    if isinstance(asset, int):
        return int(asset)
    references = (entry.get(key) for key in ("consumption", "production", "state-of-charge"))
    candidates = [entry.get("sensor"), *(item.get("sensor") for item in references if isinstance(item, Mapping))]
    sensors = (_sensor(candidate, tree) for candidate in candidates)
    return next((sensor.asset_id for sensor in sensors if sensor is not None), None)


def _sensor(sensor_id: object, tree: AssetTree) -> TreeSensor | None:
    return tree.sensors.get(sensor_id) if isinstance(sensor_id, int) else None


def _stored_flex_model(asset_id: int | None, tree: AssetTree) -> Config:
    asset = tree.assets.get(asset_id) if asset_id is not None else None
    return {} if asset is None else asset.flex_model


def _with_attributes(entry: Config, tree: AssetTree) -> Config:
    """Return the entry with fields that only attributes of the sensor or its asset give."""
    if is_process(entry) or "inflexible-consumption" in entry or "inflexible-production" in entry:
        return entry
    asset_id = _asset_id(entry, tree)
    asset = tree.assets.get(asset_id) if asset_id is not None else None
    sensor = _sensor(entry.get("sensor"), tree)
    attributes = {**(asset.attributes if asset else {}), **(sensor.attributes if sensor else {})}
    added = {
        field: f"{attributes[name]} {unit}".strip() if isinstance(attributes[name], int | float) else attributes[name]
        for name, (field, unit) in ATTRIBUTE_FIELDS.items()
        if attributes.get(name) is not None and field not in entry and not _contradicts(field, entry)
    }
    return {**entry, **added}


def _contradicts(field: str, entry: Config) -> bool:
    """Return whether an efficiency from an attribute would stand beside others."""
    return field == "roundtrip-efficiency" and ("charging-efficiency" in entry or "discharging-efficiency" in entry)
