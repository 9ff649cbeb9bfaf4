"""Names in the place of ids: of series and of the flex-model's entries, on their way in and on their way out."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flexmodel.fields import SENSOR_KEYS
from flexmodel.parsing import FieldError, parse_list
from flexmodel.references import LISTS_OF_IDS, SINGLE_IDS

FIRST = 2_000_000_000
"""Ids begin here, so that no other number in a sentence is taken for one."""
IDS = re.compile(r"(?P<kind>(?:asset|sensor):)?\b(?P<id>2\d{9})\b")
AGGREGATES = ("aggregate-power", "aggregate-consumption", "aggregate-production")
FILTERS = tuple(key for key in SENSOR_KEYS if key not in ("sensor", "default"))
DEPTH = 20
"""How deep a configuration may be nested."""


@dataclass(slots=True)
class IdRegistry:
    """Gives out ids, and remembers what they stand for."""

    series: dict[str, int] = field(default_factory=dict)
    assets: dict[str, int] = field(default_factory=dict)
    """Of the entries of the flex-model."""
    powers: dict[str, int] = field(default_factory=dict)
    """Of the entries' power: made up, or the series of one that is not planned."""
    _known: dict[str, str] = field(default_factory=dict)

    def new_id(self, name: str) -> int:
        number = FIRST + len(self._known)
        self._known[str(number)] = name
        return number

    def to_ids(self, node: Any, depth: int = 0) -> Any:
        """A configuration with ids for names, however deep. Raises `FieldError` with every name that nothing has."""
        if depth > DEPTH:
            raise FieldError("Too deeply nested.")
        if isinstance(node, list):
            return list(parse_list(node, lambda item: self.to_ids(item, depth + 1)))
        if not isinstance(node, Mapping):
            return node
        found: dict[str, Any] = {}
        problems: dict[str, Any] = {}
        for key, value in node.items():
            try:
                found[key] = self._value(key, value, depth)
            except FieldError as error:
                problems[key] = error.errors
        if problems:
            raise FieldError(problems)
        return found

    def _value(self, key: str, value: Any, depth: int) -> Any:
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
            what = "entry of the flex-model" if key == "sensors" else "series"
            return list(parse_list(value, lambda item: _id(item, known, what)))
        return self.to_ids(value, depth + 1)

    def to_names(self, node: Any) -> Any:
        """Sentences, or whatever contains some, with names for ids."""
        if isinstance(node, str):
            return IDS.sub(self._name, node) if "2" in node else node
        if isinstance(node, Mapping):
            return {self.to_names(key): self.to_names(value) for key, value in node.items()}
        return [self.to_names(item) for item in node] if isinstance(node, list | tuple) else node

    def _name(self, found: re.Match[str]) -> str:
        name = self._known.get(found["id"])
        if name is None:
            return found[0]
        return name if found["kind"] else f"'{name}'"


def _id(name: Any, known: Mapping[str, int], what: str) -> int:
    if not isinstance(name, str):
        raise FieldError(f"Give the name of a{'n' if what.startswith('e') else ''} {what}.")
    if name not in known:
        there = f"There are: {_name_list(known)}." if known else "There is none."
        raise FieldError(f"There is no {what} named '{name}'. {there}")
    return known[name]


def _name_list(names: Iterable[str], most: int = 10) -> str:
    shown = [f"'{name}'" for name in names]
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if len(shown) > most else "")
