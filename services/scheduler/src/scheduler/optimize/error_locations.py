"""Locations of errors: under the context, or under the entry of the flex-model that caused them."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from flexmodel.errors import Invalid
from flexmodel.flex_context import FlexContext
from flexmodel.flex_model import FlexModelEntry
from flexmodel.parse_trigger import parse_trigger
from flexmodel.parsing import kebab
from flexmodel.process_model import ProcessEntry
from flexmodel.tree import AssetTree

ENVELOPE = ("start", "duration", "resolution", "flex-model", "flex-context")
OF_ENTRIES = {kebab(name) for model in (FlexModelEntry, ProcessEntry) for name in model.model_fields}
BETWEEN = ("group", "coupling", "_schema")
"""Fields whose errors concern several entries, so that a part alone may have an error of its own."""
MAX_ENTRIES_NAMED = 20
"""Largest number of entries that are named."""
OF_CONTEXT = {kebab(name) for name in FlexContext.model_fields} - OF_ENTRIES


def locate_errors(invalid: Invalid, message: Mapping[str, Any], tree: AssetTree) -> dict[str, Any]:
    """Return the errors by location.

    Parsing a trigger names only fields. So where several places have such a field each is parsed by itself, to see
    which of them is refused.
    """
    errors = dict(invalid.fields)
    if invalid.where == "message" and set(errors) <= set(ENVELOPE):
        return errors
    of_context = {key: error for key, error in errors.items() if key in OF_CONTEXT}
    rest = {key: error for key, error in errors.items() if key not in OF_CONTEXT}
    of_context |= _errors_of_part(rest, {**message, "flex-model": []}, tree)
    rest = {key: error for key, error in rest.items() if key not in of_context}
    of_entries = (
        dict(islice(_of_entries(rest, message, tree, range(len(message["flex-model"]))), MAX_ENTRIES_NAMED))
        if rest
        else {}
    )
    located = {key for errors_of_entry in of_entries.values() for key in errors_of_entry}
    places = {"flex-context": of_context, "flex-model": of_entries}
    unplaced = {key: error for key, error in rest.items() if key not in located}
    return {key: error for key, error in places.items() if error} | unplaced


def _of_entries(
    errors: Mapping[str, Any], message: Mapping[str, Any], tree: AssetTree, among: range
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the faulty entries by index, own by parsing halves, and halves of those that are refused."""
    own = _errors_of_part(errors, {**message, "flex-model": message["flex-model"][among.start : among.stop]}, tree)
    if own and len(among) == 1:
        yield str(among.start), own
    elif own:
        middle = len(among) // 2
        yield from _of_entries(errors, message, tree, among[:middle])
        yield from _of_entries(errors, message, tree, among[middle:])


def _errors_of_part(errors: Mapping[str, Any], part: Mapping[str, Any], tree: AssetTree) -> dict[str, Any]:
    """Return the errors of a part of the message that also are errors of the whole."""
    if not errors:
        return {}
    try:
        parse_trigger(part, tree)
    except Invalid as invalid:
        return {
            key: error
            for key, error in invalid.fields.items()
            if key in errors and (key not in BETWEEN or error == errors[key])
        }
    return {}
