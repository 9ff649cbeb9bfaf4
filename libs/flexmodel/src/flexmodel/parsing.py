"""Parsing of flex-models and flex-contexts: the context of parsing, errors by field, and the base of their models."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, ClassVar, Self, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema

from flexmodel.time import TimeError, parse_duration, parse_moment, zone
from flexmodel.tree import AssetTree, TreeSensor
from flexmodel.values import Segment

if TYPE_CHECKING:  # its import takes longer than that of everything else here
    from pydantic.json_schema import JsonSchemaValue

type Errors = dict[str, object]
"""Errors by key: lists of sentences, or errors of the parts (items of a list by index)."""

REQUIRED = "Missing data for required field."
UNKNOWN = "Unknown field."
NOT_NULL = "Field may not be null."
WHOLE = "_schema"
"""The key of errors that concern no single field."""
MAX_ERRORS = 100
"""The most errors that are reported of one thing. Nobody reads more, and reporting takes longer than finding them."""
SENTENCES = {
    "missing": REQUIRED,
    "extra_forbidden": UNKNOWN,
    "bool_type": "Not a valid boolean.",
    "int_type": "Not a valid integer.",
    "float_type": "Not a valid number.",
    "finite_number": "Not a valid number.",
    "string_type": "Not a valid string.",
    "list_type": "Not a valid list.",
    "tuple_type": "Not a valid list.",
    "dict_type": "Not a valid mapping type.",
    "model_type": "Not a valid mapping type.",
    "too_short": "Shorter than minimum length 1.",
}
"""Sentences for pydantic's types of errors."""


class FieldError(ValueError):
    """A value that a field does not accept."""

    def __init__(self, errors: str | Mapping[str, object]) -> None:
        """Take one sentence, or the errors of the parts of the value by key."""
        super().__init__(str(errors))
        self.errors: list[str] | Errors = [errors] if isinstance(errors, str) else dict(errors)

    @property
    def by_field(self) -> Errors:
        """The errors by key; those of the value as a whole under `_schema`."""
        return self.errors if isinstance(self.errors, dict) else {WHOLE: self.errors}


@dataclass(frozen=True, slots=True)
class ParseContext:
    """Context that the fields of a configuration are parsed in. It is the context of pydantic's validation."""

    tree: AssetTree
    currency: str = "EUR"
    currency_field: str | None = None
    """The field whose price set the currency."""
    energy_unit: str = "MWh"
    """The unit of bare numbers in `soc-*` fields."""
    timezone: str = "UTC"
    """The time zone in which nominal durations (P1M) are resolved."""
    stored: bool = False
    """True for a configuration that is to be stored on an asset, where nothing may depend on particular times."""

    @property
    def zone(self) -> tzinfo:
        return zone(self.timezone)

    def sensor(self, sensor_id: object) -> TreeSensor:
        """Return the sensor with that id, or raise `FieldError`."""
        number = parse_integer(sensor_id)
        if number not in self.tree.sensors:
            raise FieldError(f"No sensor found with ID {number}.")
        return self.tree.sensors[number]


@dataclass(frozen=True, slots=True)
class FieldParser:
    """Annotation of a field's type: the function that parses its value, and the JSON Schema of accepted values."""

    parse: Callable[[object, ParseContext, str], object]
    """Called with the value, the context and the field's name. Raises `FieldError`."""
    schema: "JsonSchemaValue"

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(self._validate)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> "JsonSchemaValue":
        return dict(self.schema)

    def _validate(self, value: object, info: ValidationInfo) -> object:
        try:
            return self.parse(value, cast(ParseContext, info.context), kebab(info.field_name or ""))
        except FieldError as error:
            raise _custom_error(error.errors) from None


class Configuration(BaseModel):
    """Base of the models of configurations. Keys are the fields' names with hyphens; unknown keys are errors."""

    model_config = ConfigDict(
        alias_generator=lambda name: kebab(name), extra="forbid", frozen=True, strict=True, defer_build=True
    )

    nullable: ClassVar[tuple[str, ...]] = ()
    """Keys that may be null, which counts as absent."""

    @model_validator(mode="before")
    @classmethod
    def _check_nulls(cls, config: object) -> object:
        """Reject nulls, which optional fields would accept as absent."""
        if isinstance(config, Mapping):
            nulls = (key for key, value in config.items() if value is None and key not in cls.nullable)
            raise_errors({key: [NOT_NULL] for key in islice(nulls, MAX_ERRORS)})
        return config

    @classmethod
    def parse(cls, config: object, context: ParseContext) -> Self:
        """Parse a configuration.

        Raises:
            FieldError: With all errors, by field.
        """
        if not isinstance(config, Mapping):
            raise FieldError("Not a valid mapping type.")
        try:
            return cls.model_validate(dict(config), context=context)
        except ValidationError as error:
            raise FieldError(_errors_by_field(error)) from None


def raise_errors(errors: Mapping[str, object]) -> None:
    """Raise errors inside a pydantic validator, if there are any."""
    if errors:
        raise _custom_error(errors)


def _custom_error(errors: list[str] | Mapping[str, object]) -> PydanticCustomError:
    return PydanticCustomError("field_error", "field error", {"errors": errors})


def _errors_by_field(error: ValidationError) -> Errors:
    """Return pydantic's errors, nested by key."""
    found: Errors = {}
    for detail in error.errors(include_url=False)[:MAX_ERRORS]:
        nested: object = _sentences(detail)
        for part in reversed(detail["loc"]):
            nested = {str(part): nested}
        found = _merge(found, nested if isinstance(nested, dict) else {WHOLE: nested})
    return found


def _merge(known: Errors, more: Errors) -> Errors:
    """Join errors of a whole and of its parts. The first one found about the same thing counts."""
    merged = known | {key: errors for key, errors in more.items() if key not in known}
    for key in known.keys() & more.keys():
        one, other = known[key], more[key]
        if isinstance(one, dict) and isinstance(other, dict):
            merged[key] = _merge(one, other)
    return merged


def _sentences(detail: ErrorDetails) -> list[str] | Errors:
    if detail["type"] == "field_error":
        errors: list[str] | Errors = detail["ctx"]["errors"]
        return errors
    if detail["input"] is None and detail["type"] != "missing":
        return [NOT_NULL]
    if detail["type"] in ("enum", "literal_error"):
        choices = str(detail["ctx"]["expected"]).replace("'", "").replace(" or ", ", ")
        return [f"Must be one of: {choices}."]
    return [SENTENCES.get(detail["type"], detail["msg"])]


def kebab(name: str) -> str:
    """Return the key of a field."""
    return name.replace("_", "-")


def parse_integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise FieldError("Not a valid integer.")
    return value


def parse_mapping(value: object, allowed: tuple[str, ...], required: tuple[str, ...] = ()) -> Mapping[str, object]:
    """Return the value if it is a mapping with all required keys and no others than the allowed ones."""
    if not isinstance(value, Mapping):
        raise FieldError("Not a valid mapping type.")
    errors = unknown_keys(value, allowed)
    errors |= {key: [REQUIRED] for key in required if key not in value}
    if errors:
        raise FieldError(errors)
    return value


def unknown_keys(value: Mapping[str, object], allowed: Collection[str]) -> Errors:
    """Return an error for each key that is not allowed."""
    keys = (key for key in value if key not in allowed)
    return {str(key): [UNKNOWN] for key in islice(keys, MAX_ERRORS)}


def parse_list[T](items: object, parse: Callable[[object], T]) -> tuple[T, ...]:
    """Parse each item of a list. Raises `FieldError` with the errors by index."""
    if not isinstance(items, list | tuple):
        raise FieldError("Not a valid list.")
    parsed: list[T] = []
    errors: Errors = {}
    for index, item in enumerate(items):
        try:
            parsed.append(parse(item))
        except FieldError as error:
            errors[str(index)] = error.errors
            if len(errors) == MAX_ERRORS:
                break
    if errors:
        raise FieldError(errors)
    return tuple(parsed)


def parse_at[T](key: str, parse: Callable[[], T]) -> T:
    """Return the result of `parse`, whose errors are reported under a key."""
    try:
        return parse()
    except FieldError as error:
        raise FieldError({key: error.errors}) from None


def parse_datetime(value: object) -> datetime:
    try:
        return parse_moment(value)
    except TimeError as error:
        raise FieldError(str(error)) from None


def parse_period(value: Mapping[str, object], context: ParseContext) -> tuple[datetime, datetime]:
    """Return the period that is given by `datetime`, or by two of `start`, `end` and `duration`."""
    given = {key: value[key] for key in ("datetime", "start", "end", "duration") if key in value}
    if set(given) == {"datetime"}:
        point = parse_at("datetime", lambda: parse_datetime(given["datetime"]))
        return point, point
    if "datetime" in given or len(given) != 2:
        raise FieldError({WHOLE: ["Give either `datetime`, or two of `start`, `end` and `duration`."]})
    ends: dict[str, datetime] = {
        key: parse_at(key, partial(parse_datetime, given[key])) for key in ("start", "end") if key in given
    }
    if "duration" in given:
        return parse_at("duration", lambda: _complete_period(given["duration"], ends, context))
    if ends["end"] < ends["start"]:
        raise FieldError({"end": ["Must not be before the start."]})
    return ends["start"], ends["end"]


def _complete_period(
    duration: object, ends: Mapping[str, datetime], context: ParseContext
) -> tuple[datetime, datetime]:
    """Return the period with a duration, which counts from its start or back from its end."""
    try:
        length = parse_duration(duration)
        if "start" in ends:
            start = ends["start"]
            end = start + length.from_start(start, context.zone)
        else:
            end = ends["end"]
            start = length.before(end, context.zone)
    except TimeError as error:
        raise FieldError(str(error)) from None
    if end < start:
        raise FieldError("Must not be negative.")
    return start, end


def parse_segment(value: object, context: ParseContext, parse_number: Callable[[object], float]) -> Segment:
    """Parse one item of a list of values over time."""
    item = parse_mapping(value, ("value", "datetime", "start", "end", "duration"), ("value",))
    start, end = parse_period(item, context)
    return Segment(start, end, parse_at("value", lambda: parse_number(item["value"])))
