"""The kinds of things that go wrong, for every package. Libraries raise them, services turn them into answers."""

# ruff: noqa: N818  (`raise Invalid(...)` and `except NotFound` read better than with "Error")

from collections.abc import Mapping
from typing import Any, Literal

Envelope = Literal["json", "message", "list"]
"""How a refusal is wrapped in answers of the v3 API: below the key `json`, bare, or as a list of sentences."""


class FlexmeshError(Exception):
    """A failure with a sentence for the user."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Invalid(FlexmeshError):
    """Input that cannot be accepted, keyed by the field as the user wrote it (nested: mappings, list items by index).

    Problems of the whole have the key `_schema`.
    """

    def __init__(self, fields: Mapping[str, Any], message: str | None = None, where: Envelope = "json") -> None:
        super().__init__(message or first_sentence(fields))
        self.fields = fields
        self.where = where


class NotFound(FlexmeshError):
    """There is no such thing, or none that may be seen."""


class Forbidden(FlexmeshError):
    """The thing is there; the user may not."""


class Conflict(FlexmeshError):
    """It contradicts what is already there."""


class Unavailable(FlexmeshError):
    """A part we depend on is away for now."""

    def __init__(self, part: str, message: str | None = None, retry_after: float = 2.0) -> None:
        super().__init__(message or f"The {part} cannot be reached at the moment. Please try again shortly.")
        self.part = part
        self.retry_after = retry_after


def first_sentence(fields: Mapping[str, Any]) -> str:
    """The first problem in a nested mapping of fields, as `field: problem`."""
    path: list[str] = []
    node: Any = fields
    while isinstance(node, Mapping) and node:
        key, node = next(iter(node.items()))
        path.append(str(key))
    if isinstance(node, list | tuple) and node:
        node = node[0]
    return f"{'.'.join(path)}: {node}" if path else "Invalid input."
