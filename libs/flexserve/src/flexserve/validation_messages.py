"""Sentences for validation errors, in the words that existing clients know. Gateway and ingest share them."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

MISSING_FIELD = "Missing data for required field."
UNKNOWN_FIELD = "Unknown field."
NULL_FIELD = "Field may not be null."
NOT_A_STRING = "Not a valid string."
NOT_A_NUMBER = "Not a valid number."
NOT_A_BOOLEAN = "Not a valid boolean."
NOT_FINITE = "Special numeric values (nan or infinity) are not permitted."

SENTENCES = {
    "missing": MISSING_FIELD,
    "extra_forbidden": UNKNOWN_FIELD,
    "int_parsing": "Not a valid integer.",
    "int_type": "Not a valid integer.",
    "int_from_float": "Not a valid integer.",
    "int_parsing_size": "Not a valid integer.",
    "float_parsing": NOT_A_NUMBER,
    "float_type": NOT_A_NUMBER,
    "finite_number": NOT_FINITE,
    "string_type": NOT_A_STRING,
    "bool_parsing": NOT_A_BOOLEAN,
    "bool_type": NOT_A_BOOLEAN,
    "list_type": "Not a valid list.",
    "dict_type": "Not a valid mapping type.",
    "model_type": "Invalid input type.",
    "model_attributes_type": "Invalid input type.",
    "uuid_parsing": "Not a valid UUID.",
    "uuid_type": "Not a valid UUID.",
}
"""The sentences by pydantic's type of error."""
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
    """Return one of pydantic's errors as a sentence."""
    kind, context = error["type"], error.get("ctx") or {}
    if error.get("input", ...) is None and kind not in ("missing", "value_error") and kind in SENTENCES:
        return NULL_FIELD
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


def errors_by_field(errors: Iterable[Mapping[str, Any]], skip: int = 0) -> dict[str, Any]:
    """Return all of pydantic's errors nested by field, without the first `skip` parts of each location."""
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
