"""What is wrong with an input, in the words that existing clients know."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

MISSING = "Missing data for required field."
UNKNOWN = "Unknown field."
NULL = "Field may not be null."

SENTENCES = {
    "missing": MISSING,
    "extra_forbidden": UNKNOWN,
    "int_parsing": "Not a valid integer.",
    "int_type": "Not a valid integer.",
    "int_from_float": "Not a valid integer.",
    "int_parsing_size": "Not a valid integer.",
    "float_parsing": "Not a valid number.",
    "float_type": "Not a valid number.",
    "finite_number": "Special numeric values (nan or infinity) are not permitted.",
    "string_type": "Not a valid string.",
    "bool_parsing": "Not a valid boolean.",
    "bool_type": "Not a valid boolean.",
    "list_type": "Not a valid list.",
    "dict_type": "Not a valid mapping type.",
    "model_type": "Invalid input type.",
    "model_attributes_type": "Invalid input type.",
    "uuid_parsing": "Not a valid UUID.",
    "uuid_type": "Not a valid UUID.",
}
BOUNDS = {
    "greater_than_equal": "Must be greater than or equal to {ge}.",
    "greater_than": "Must be greater than {gt}.",
    "less_than_equal": "Must be less than or equal to {le}.",
    "less_than": "Must be less than {lt}.",
    "string_too_long": "Longer than maximum length {max_length}.",
    "string_too_short": "Shorter than minimum length {min_length}.",
    "too_long": "Longer than maximum length {max_length}.",
    "too_short": "Shorter than minimum length {min_length}.",
}


def sentence(error: Mapping[str, Any]) -> str:
    """One of pydantic's errors as a sentence."""
    kind, context = error["type"], error.get("ctx") or {}
    if error.get("input", ...) is None and kind not in ("missing", "value_error") and kind in SENTENCES:
        return NULL
    if kind in SENTENCES:
        return SENTENCES[kind]
    if kind in BOUNDS:
        return BOUNDS[kind].format(**context)
    if kind in ("literal_error", "enum"):
        choices = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        return f"Must be one of: {', '.join(choices)}."
    if kind == "value_error":
        return str(context.get("error", error["msg"]))
    return str(error["msg"])


def by_field(errors: Iterable[Mapping[str, Any]], skip: int = 0) -> dict[str, Any]:
    """All of pydantic's errors, nested by field; `skip` leaves out the first parts of each place."""
    fields: dict[str, Any] = {}
    for error in errors:
        *path, last = [str(part) for part in error["loc"][skip:]] or ["_schema"]
        node = fields
        for part in path:
            node = node.setdefault(part, {})
            if isinstance(node, list):
                break
        else:
            listed = node.setdefault(last, [])
            if isinstance(listed, list):
                listed.append(sentence(error))
    return dict(sorted(fields.items()))
