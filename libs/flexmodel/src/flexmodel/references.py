"""What a message or a stored configuration refers to: sensors, assets, and the sources that filters name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

LISTS_OF_IDS = ("inflexible-device-sensors", "sensors")
SINGLE_IDS = ("sensor", "consumption-price-sensor", "production-price-sensor")
SOURCE_FILTERS = ("sources", "source")
ACCOUNT_FILTER = "source-account"
CONTAINERS = (dict, list, tuple, Mapping)
PARTS = ("flex-model", "flex-context")


def sensors_in(config: Any) -> set[int]:
    """The ids of all sensors that a flex-model, a flex-context or a whole trigger message refers to."""
    return set(_sensors(config))


def assets_in(config: Any) -> set[int]:
    """The ids of all assets that a flex-model or a trigger message names (entries, groups)."""
    return set(_ids(config, ("asset",)))


@dataclass(frozen=True, slots=True)
class Named:
    """A source, or an account of sources, that the reference to a sensor at this place names."""

    id: int
    is_account: bool
    place: tuple[str, ...]


def filters_in(config: Any, place: tuple[str, ...] = ()) -> Iterator[Named]:
    """Whom references to sensors want to hear. Places are told as refusals tell them: without the part they are in."""
    if isinstance(config, Mapping):
        if "sensor" in config:
            yield from _named(config, place)
        for key, value in config.items():
            if key in PARTS:
                for part in value if isinstance(value, list) else [value]:
                    yield from filters_in(part, place)
            else:
                yield from filters_in(value, (*place, str(key)))
    elif isinstance(config, list):
        for number, item in enumerate(config):
            yield from filters_in(item, (*place, str(number)))


def _named(reference: Mapping[str, Any], place: tuple[str, ...]) -> Iterator[Named]:
    for key in (*SOURCE_FILTERS, ACCOUNT_FILTER):
        value = reference.get(key)
        for id in value if isinstance(value, list) else [value]:
            if _is_id(id):
                yield Named(id, key == ACCOUNT_FILTER, place)


def _sensors(config: Any) -> Iterator[int]:
    for key, value in _pairs(config):
        if key in SINGLE_IDS and _is_id(value):
            yield value
        elif key in LISTS_OF_IDS and isinstance(value, list):
            yield from (item for item in value if _is_id(item))


def _ids(config: Any, keys: tuple[str, ...]) -> Iterator[int]:
    yield from (value for key, value in _pairs(config) if key in keys and _is_id(value))


def _pairs(node: Any) -> Iterator[tuple[str, Any]]:
    """All keys with their values, however deep, in no particular order. Messages can be long: no recursion."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict | Mapping):
            yield from one.items()
            waiting += [value for value in one.values() if isinstance(value, CONTAINERS)]
        elif isinstance(one, list | tuple):
            waiting += [item for item in one if isinstance(item, CONTAINERS)]


def _is_id(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
