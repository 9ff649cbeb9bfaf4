"""Which sensors and assets a message or a stored configuration refers to, before anything is checked."""

from collections.abc import Iterator, Mapping
from typing import Any

LISTS_OF_IDS = ("inflexible-device-sensors", "sensors")
SINGLE_IDS = ("sensor", "consumption-price-sensor", "production-price-sensor")


def sensors_in(config: Any) -> set[int]:
    """The ids of all sensors that a flex-model, a flex-context or a whole trigger message refers to."""
    return set(_sensors(config))


def assets_in(config: Any) -> set[int]:
    """The ids of all assets that a flex-model or a trigger message names (entries, groups)."""
    return set(_ids(config, ("asset",)))


def _sensors(config: Any) -> Iterator[int]:
    yield from _ids(config, SINGLE_IDS)
    for key, value in _pairs(config):
        if key in LISTS_OF_IDS and isinstance(value, list):
            yield from (item for item in value if _is_id(item))


def _ids(config: Any, keys: tuple[str, ...]) -> Iterator[int]:
    yield from (value for key, value in _pairs(config) if key in keys and _is_id(value))


def _pairs(node: Any) -> Iterator[tuple[str, Any]]:
    """All keys with their values, however deep."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield str(key), value
            yield from _pairs(value)
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _pairs(item)


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
