"""Types of the fields in request bodies and queries."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlsplit

import orjson
from flexmodel.errors import Invalid
from flexmodel.quantities import QuantityError, check_unit
from flexmodel.time import Duration, TimeError, parse_duration, parse_moment, zone
from flexstore import retention
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

LARGEST_ID = 2**31 - 1
_PLAIN = r"[^\s\x00-\x1f\x7f@,;:<>()\[\]\"\\]+"
EMAIL = re.compile(rf"{_PLAIN}@[\w-]+(\.[\w-]+)+")
"""One address: what mail programs would take for several, or for a name beside one, is none."""
LONGEST_DOCUMENT = 1_000_000
"""Characters of one JSON field, such as the attributes of an asset."""
MOST_SHOWN, LONGEST_SHOWN = 200, 50_000
"""Entries and characters of a list of what to draw, all of which is drawn whenever somebody looks."""
DEEPEST, WRITTEN = 100, 254
"""The levels of nesting that JSON may have, and that orjson can write: stored JSON is nested in other documents."""


class Input(BaseModel):
    """The body of a request; an unknown field is refused."""

    model_config = ConfigDict(extra="forbid")

    def sent(self) -> dict[str, Any]:
        """The fields that the request contained."""
        return {name: getattr(self, name) for name in self.model_fields_set}


def example(**fields: object) -> ConfigDict:
    """Return the configuration of a model with an example for the documentation of the API."""
    examples: list[Any] = [fields]
    return ConfigDict(json_schema_extra={"examples": examples})


def without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


absent: Callable[[], Any] = partial(Field, default=None, json_schema_extra=without_default)
"""Return the default of a field that may be left out but not be null."""


def problem(sentence: str) -> PydanticCustomError:
    # Braces would be taken for placeholders.
    return PydanticCustomError("input", "{sentence}", {"sentence": sentence})


def text(value: object) -> str:
    if not isinstance(value, str):
        raise problem("Field may not be null." if value is None else "Not a valid string.")
    if "\0" in value:
        raise problem("Must not contain the character NUL.")
    return value


def moment(value: object) -> datetime:
    if not isinstance(value, str):
        raise problem("Not a valid datetime.")
    try:
        # In a query that nobody encoded, the plus before the offset has become a space.
        return parse_moment(value.replace(" ", "+") if "T" in value else value)
    except TimeError as error:
        raise problem(str(error)) from error


def duration(value: object) -> Duration:
    if not isinstance(value, str):
        raise problem("Not a valid string.")
    if len(value) > 100:
        raise problem("Longer than maximum length 100.")
    try:
        return parse_duration(value)
    except TimeError as error:
        raise problem(str(error)) from error


def length(value: Duration) -> Duration:
    """Validate a duration: longer than nothing, and not longer than a century."""
    days = value.years * 366 + value.months * 31 + value.days + value.rest / timedelta(days=1)
    if days <= 0:
        raise problem("Must be longer than nothing.")
    if days > 100 * 366:
        raise problem("Must not be longer than 100 years.")
    return value


def timezone(value: str) -> str:
    try:
        zone(value)
    except TimeError as error:
        raise problem(str(error)) from error
    return value


def unit(value: str) -> str:
    try:
        return check_unit(value)
    except QuantityError as error:
        raise problem(str(error)) from error


def email(value: str) -> str:
    if not EMAIL.fullmatch(value.strip()):
        raise problem("Not a valid email address.")
    return value.strip()


def one_line(value: str) -> str:
    if not value.isprintable():
        raise problem("Must not contain line breaks or other control characters.")
    return value


def color(value: str) -> str:
    if not (len(value) in (4, 7) and value.startswith("#") and all(c in "0123456789abcdefABCDEF" for c in value[1:])):
        raise problem("Not a valid color. Write it like #1a3443.")
    return value


def link(value: str) -> str:
    """Validate the address of a web page. Pages show it as a link, so other schemes are refused."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or any(c.isspace() for c in value):
        raise problem(f"{value[:80]!r} is not a valid URL. Write it like https://example.com/logo.png.")
    return value


def not_boolean(kind: str) -> BeforeValidator:
    """Return a validator that refuses booleans, which Python takes for numbers."""

    def check(value: object) -> object:
        if isinstance(value, bool):
            raise problem(f"Not a valid {kind}.")
        return value

    return BeforeValidator(check)


def identifier(value: int) -> int:
    """Replace an id out of the range of ids by one that does not exist."""
    return max(-LARGEST_ID, min(value, LARGEST_ID))


def document(value: object) -> object:
    """Parse a JSON field, which existing clients send as text and others as it is."""
    if len(value if isinstance(value, str) else orjson.dumps(value)) > LONGEST_DOCUMENT:
        raise problem(f"Longer than maximum length {LONGEST_DOCUMENT}.")
    if not isinstance(value, str):
        return value
    try:
        read = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise problem(f"Not valid JSON: {error.msg}.") from error
    if is_too_deep(read):
        raise problem(f"Nested too deeply: more than {DEEPEST} levels.")
    return read


def is_too_deep(value: object) -> bool:
    """Return whether JSON is nested too deeply. orjson finds out, much faster than Python could."""
    for _ in range(WRITTEN - DEEPEST):
        value = [value]
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return True
    return False


def holds_nul(value: object) -> bool:
    """Return whether a JSON value contains the character NUL, which PostgreSQL cannot store."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(holds_nul(key) or holds_nul(item) for key, item in value.items())
    return isinstance(value, list) and any(holds_nul(item) for item in value)


def without_nul(value: object) -> object:
    if holds_nul(value):
        raise problem("Must not contain the character NUL.")
    return value


def mapping(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise problem("Not a valid mapping type.")
    return value


def keeping(attributes: dict[str, Any]) -> dict[str, Any]:
    """Validate attributes, one of which may be the retention of values."""
    said = attributes.get(retention.ATTRIBUTE)
    try:
        if said is not None:
            retention.parse_retention(said)
    except Invalid as error:
        raise problem(error.fields[retention.ATTRIBUTE][0]) from error
    return attributes


def sequence(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise problem("Not a valid list.")
    if len(value) > MOST_SHOWN:
        raise problem(f"Longer than maximum length {MOST_SHOWN}.")
    if len(orjson.dumps(value)) > LONGEST_SHOWN:
        raise problem(f"Longer than {LONGEST_SHOWN} characters of JSON.")
    return value


def text_or(kind: str) -> WithJsonSchema:
    """Return the JSON Schema of a document that may be sent as text too."""
    values: dict[str, Any] = {"additionalProperties": True} if kind == "object" else {"items": {}}
    as_text = {"type": "string", "description": "The same as JSON text."}
    return WithJsonSchema({"anyOf": [{"type": kind, **values}, as_text]})


DOCUMENT = (BeforeValidator(document), AfterValidator(without_nul))

Text = Annotated[str, BeforeValidator(text)]
Name = Annotated[Text, Field(min_length=1, max_length=255)]
Id = Annotated[int, not_boolean("integer"), AfterValidator(identifier)]
Moment = Annotated[
    datetime,
    PlainValidator(moment),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-22T00:00:00+01:00"]}),
]
Span = Annotated[
    Duration,
    PlainValidator(duration),
    WithJsonSchema({"type": "string", "format": "duration", "examples": ["PT1H"]}),
]
Length = Annotated[Span, AfterValidator(length)]
TimeZone = Annotated[Text, Field(max_length=255), AfterValidator(timezone)]
Unit = Annotated[Text, Field(max_length=80), AfterValidator(unit)]
Email = Annotated[Text, Field(max_length=254), AfterValidator(email)]
Color = Annotated[Text, AfterValidator(color)]
Link = Annotated[Text, Field(max_length=255), AfterValidator(link)]
JsonObject = Annotated[dict[str, Any], AfterValidator(mapping), *DOCUMENT, text_or("object")]
KeepingAttributes = Annotated[JsonObject, AfterValidator(keeping)]
JsonList = Annotated[list[Any], AfterValidator(sequence), *DOCUMENT, text_or("array")]
