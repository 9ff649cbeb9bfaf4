"""Errors with a sentence for the user, for every package. Libraries raise them; services turn them into responses."""

# ruff: noqa: N818  (`raise Invalid(...)` and `except NotFound` read better than with "Error")

from collections.abc import Mapping
from typing import Any, Literal

Envelope = Literal["json", "message", "list"]
"""The envelope of errors in responses of the v3 API: below the key `json`, bare, or as a list of sentences."""


class FlexmeshError(Exception):
    """Base of errors with a sentence for the user."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Invalid(FlexmeshError):
    """Invalid input. Errors are keyed by the field as the user wrote it (nested: mappings, list items by index).

    Errors of the whole have the key `_schema`.
    """

    def __init__(self, fields: Mapping[str, Any], message: str | None = None, where: Envelope = "json") -> None:
        super().__init__(message or first_sentence(fields))
        self.fields = fields
        self.where = where


class NotFound(FlexmeshError):
    """A resource that does not exist, or that the user may not see."""


class Forbidden(FlexmeshError):
    """An action that the user may not take."""


class Conflict(FlexmeshError):
    """A request that contradicts the present state."""


class Unavailable(FlexmeshError):
    """A part of the platform that cannot be reached for now."""

    def __init__(self, part: str, message: str | None = None, retry_after: float = 2.0) -> None:
        super().__init__(message or f"The {part} cannot be reached at the moment. Please try again shortly.")
        self.part = part
        self.retry_after = retry_after


def first_sentence(fields: Mapping[str, object]) -> str:
    """Return the first error in a nested mapping of fields, as `field: sentence`."""
    path: list[str] = []
    node: object = fields
    while isinstance(node, Mapping) and node:
        key, node = next(iter(node.items()))
        path.append(str(key))
    if isinstance(node, list | tuple) and node:
        node = node[0]
    return f"{'.'.join(path)}: {node}" if path else "Invalid input."
