"""Where a refusal belongs: under the context, or under the entry of the flex-model that it is about."""

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
"""What can be wrong between entries, so that a part alone may be refused for a reason of its own."""
MAX_ENTRIES_NAMED = 20
"""How many entries are named."""
OF_CONTEXT = {kebab(name) for name in FlexContext.model_fields} - OF_ENTRIES


def locate_errors(invalid: Invalid, message: Mapping[str, Any], tree: AssetTree) -> dict[str, Any]:
    """The problems by place. A trigger's reader names only fields, so where several places have such a field each is
    read by itself, to see which of them is refused."""
    problems = dict(invalid.fields)
    if invalid.where == "message" and set(problems) <= set(ENVELOPE):
        return problems
    of_context = {key: problem for key, problem in problems.items() if key in OF_CONTEXT}
    rest = {key: problem for key, problem in problems.items() if key not in OF_CONTEXT}
    of_context |= _errors_of_part(rest, {**message, "flex-model": []}, tree)
    rest = {key: problem for key, problem in rest.items() if key not in of_context}
    of_entries = (
        dict(islice(_of_entries(rest, message, tree, range(len(message["flex-model"]))), MAX_ENTRIES_NAMED))
        if rest
        else {}
    )
    told = {key for found in of_entries.values() for key in found}
    places = {"flex-context": of_context, "flex-model": of_entries}
    unplaced = {key: problem for key, problem in rest.items() if key not in told}
    return {key: problem for key, problem in places.items() if problem} | unplaced


def _of_entries(
    problems: Mapping[str, Any], message: Mapping[str, Any], tree: AssetTree, among: range
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The entries at fault by index, found by reading halves, and halves of those that are refused."""
    found = _errors_of_part(problems, {**message, "flex-model": message["flex-model"][among.start : among.stop]}, tree)
    if found and len(among) == 1:
        yield str(among.start), found
    elif found:
        middle = len(among) // 2
        yield from _of_entries(problems, message, tree, among[:middle])
        yield from _of_entries(problems, message, tree, among[middle:])


def _errors_of_part(problems: Mapping[str, Any], part: Mapping[str, Any], tree: AssetTree) -> dict[str, Any]:
    """What is wrong with a part of the message, of the kind that is wrong with the whole."""
    if not problems:
        return {}
    try:
        parse_trigger(part, tree)
    except Invalid as invalid:
        return {
            key: problem
            for key, problem in invalid.fields.items()
            if key in problems and (key not in BETWEEN or problem == problems[key])
        }
    return {}
