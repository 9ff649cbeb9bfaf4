"""References in a trigger message or a stored configuration: to sensors, to assets, and to sources by filters.

The functions accept any JSON, checked or not, so that what is referred to can be loaded before it is parsed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeGuard

LISTS_OF_IDS = ("inflexible-device-sensors", "sensors")
"""Keys whose values are lists of ids of sensors."""
SINGLE_IDS = ("sensor", "consumption-price-sensor", "production-price-sensor")
"""Keys whose values are ids of sensors."""
SOURCE_FILTERS = ("sources", "source")
ACCOUNT_FILTER = "source-account"
CONTAINERS = (dict, list, tuple, Mapping)
PARTS = ("flex-model", "flex-context")


def referenced_sensors(config: object) -> set[int]:
    """Return the ids of all sensors that a flex-model, a flex-context or a whole trigger message refers to.

    The sensors need not exist, and an id may be larger than the database can keep.
    """
    return set(_sensor_ids(config))


def referenced_assets(config: object) -> set[int]:
    """Return the ids of all assets that a flex-model or a trigger message refers to (entries, groups)."""
    return {value for key, value in _items(config) if key == "asset" and _is_id(value)}


@dataclass(frozen=True, slots=True)
class SourceFilter:
    """A source, or an account of sources, by which a reference to a sensor is filtered."""

    id: int
    is_account: bool
    path: tuple[str, ...]
    """Keys and indices from the flex-model or flex-context down to the reference."""


def source_filters(config: object, path: tuple[str, ...] = ()) -> Iterator[SourceFilter]:
    """Yield the filters on sources in all references to sensors.

    Args:
        config: A flex-model, a flex-context or a whole trigger message.
        path: The path of `config`. Paths start inside the flex-model or flex-context, as in error messages.
    """
    if isinstance(config, Mapping):
        if "sensor" in config:
            yield from _filters_of(config, path)
        for key, value in config.items():
            if key in PARTS:
                for part in value if isinstance(value, list) else [value]:
                    yield from source_filters(part, path)
            else:
                yield from source_filters(value, (*path, str(key)))
    elif isinstance(config, list):
        for number, item in enumerate(config):
            yield from source_filters(item, (*path, str(number)))


def _filters_of(reference: Mapping[str, object], path: tuple[str, ...]) -> Iterator[SourceFilter]:
    for key in (*SOURCE_FILTERS, ACCOUNT_FILTER):
        value = reference.get(key)
        for id in value if isinstance(value, list) else [value]:
            if _is_id(id):
                yield SourceFilter(id, key == ACCOUNT_FILTER, path)


def _sensor_ids(config: object) -> Iterator[int]:
    for key, value in _items(config):
        if key in SINGLE_IDS and _is_id(value):
            yield value
        elif key in LISTS_OF_IDS and isinstance(value, list):
            yield from (item for item in value if _is_id(item))


def _items(root: object) -> Iterator[tuple[str, object]]:
    """Yield all keys with their values at any depth, in no particular order. Without recursion: JSON can be deep."""
    stack = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, dict | Mapping):
            yield from node.items()
            stack += [value for value in node.values() if isinstance(value, CONTAINERS)]
        elif isinstance(node, list | tuple):
            stack += [item for item in node if isinstance(item, CONTAINERS)]


def _is_id(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
