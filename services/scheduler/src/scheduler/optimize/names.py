"""Names in place of ids: of series and of the flex-model's entries, on the way in and on the way out."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from flexmodel.fields import SENSOR_KEYS
from flexmodel.parsing import FieldError, parse_list
from flexmodel.references import LISTS_OF_IDS, SINGLE_IDS

FIRST = 2_000_000_000
"""The first id, so high that no other number in a sentence is taken for one."""
IDS = re.compile(r"(?P<kind>(?:asset|sensor):)?\b(?P<id>2\d{9})\b")
AGGREGATES = ("aggregate-power", "aggregate-consumption", "aggregate-production")
FILTERS = tuple(key for key in SENSOR_KEYS if key not in ("sensor", "default"))
DEPTH = 20
"""Largest depth of a configuration."""


@dataclass(slots=True)
class IdRegistry:
    """Assigns ids, and maps them back to names."""

    series: dict[str, int] = field(default_factory=dict)
    assets: dict[str, int] = field(default_factory=dict)
    """Ids of the flex-model's entries."""
    powers: dict[str, int] = field(default_factory=dict)
    """Ids of the entries' power: a new one, or the series of an entry that is not planned."""
    _known: dict[str, str] = field(default_factory=dict)

    def new_id(self, name: str) -> int:
        number = FIRST + len(self._known)
        self._known[str(number)] = name
        return number

    def to_ids(self, node: object, depth: int = 0) -> object:
        """Return a configuration with ids for names, however deep.

        Raises:
            FieldError: Nothing has one of the names; all of them are listed.
        """
        if depth > DEPTH:
            raise FieldError("Too deeply nested.")
        if isinstance(node, list):
            return list(parse_list(node, lambda item: self.to_ids(item, depth + 1)))
        return self.mapping_to_ids(node, depth) if isinstance(node, Mapping) else node

    def mapping_to_ids(self, node: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
        """Return a mapping with ids for names, as `to_ids` does."""
        result: dict[str, Any] = {}
        errors: dict[str, Any] = {}
        for key, value in node.items():
            try:
                result[key] = self._value(key, value, depth)
            except FieldError as error:
                errors[key] = error.errors
        if errors:
            raise FieldError(errors)
        return result

    def _value(self, key: str, value: object, depth: int) -> object:
        if key in FILTERS:
            raise FieldError("A series that comes with the problem has no sources to choose from.")
        if key in AGGREGATES:
            raise FieldError("Nothing is stored: add up the schedules in the answer.")
        if key in SINGLE_IDS:
            return _id(value, self.series, "series")
        if key == "asset":
            return _id(value, self.assets, "entry of the flex-model")
        if key in LISTS_OF_IDS and isinstance(value, list):
            # A commitment's `sensors` are devices; everything else is a series.
            known = self.powers if key == "sensors" else self.series
            kind = "entry of the flex-model" if key == "sensors" else "series"
            return list(parse_list(value, lambda item: _id(item, known, kind)))
        return self.to_ids(value, depth + 1)

    def to_names[T](self, node: T) -> T:
        """Return sentences, or anything that contains some, with names for ids."""
        return cast(T, self._to_names(node))

    def _to_names(self, node: object) -> object:
        if isinstance(node, str):
            return IDS.sub(self._name, node) if "2" in node else node
        if isinstance(node, Mapping):
            return {self._to_names(key): self._to_names(value) for key, value in node.items()}
        return [self._to_names(item) for item in node] if isinstance(node, list | tuple) else node

    def _name(self, match: re.Match[str]) -> str:
        name = self._known.get(match["id"])
        if name is None:
            return match[0]
        return name if match["kind"] else f"'{name}'"


def _id(name: object, known: Mapping[str, int], kind: str) -> int:
    if not isinstance(name, str):
        raise FieldError(f"Give the name of a{'n' if kind.startswith('e') else ''} {kind}.")
    if name not in known:
        available = f"There are: {_name_list(known)}." if known else "There is none."
        raise FieldError(f"There is no {kind} named '{name}'. {available}")
    return known[name]


def _name_list(names: Iterable[str], most: int = 10) -> str:
    quoted = [f"'{name}'" for name in names]
    return ", ".join(quoted[:most]) + (f" and {len(quoted) - most} more" if len(quoted) > most else "")
