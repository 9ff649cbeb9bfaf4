"""What it takes to read a configuration: what is known besides it, how a value is refused, and times."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from flexmodel.time import TimeError, parse_duration, parse_moment, zone
from flexmodel.tree import AssetTree, TreeSensor
from flexmodel.values import Segment

if TYPE_CHECKING:  # its import takes longer than that of everything else here
    from pydantic.json_schema import JsonSchemaValue

REQUIRED = "Missing data for required field."
UNKNOWN = "Unknown field."
WHOLE = "_schema"
"""The key of problems that concern no single field."""
MOST_TOLD = 100
"""So many problems of one thing are told: nobody reads more, and to tell them takes longer than to find them."""


class Refused(ValueError):  # noqa: N818 - it says what it is
    """A value that a field does not take: a sentence, or the problems of its parts by key."""

    def __init__(self, problem: str | Mapping[str, Any]) -> None:
        super().__init__(str(problem))
        self.problem: list[str] | dict[str, Any] = [problem] if isinstance(problem, str) else dict(problem)


@dataclass(frozen=True, slots=True)
class Reader:
    """What the fields of one configuration are read against. It is the context of pydantic's validation."""

    tree: AssetTree
    currency: str = "EUR"
    currency_field: str | None = None
    """The field whose price decided on the currency."""
    energy_unit: str = "MWh"
    """The unit of bare numbers in `soc-*` fields."""
    timezone: str = "UTC"
    """Where nominal durations (P1M) are resolved."""
    stored: bool = False
    """Whether the configuration is to be stored on an asset, where nothing may depend on particular times."""

    @property
    def zone(self) -> tzinfo:
        return zone(self.timezone)

    def sensor(self, sensor_id: Any) -> TreeSensor:
        """The sensor of that id."""
        number = whole_number(sensor_id)
        if number not in self.tree.sensors:
            raise Refused(f"No sensor found with ID {number}.")
        return self.tree.sensors[number]


@dataclass(frozen=True, slots=True)
class Reads:
    """Marks a field's type with the function that reads its value, and with the JSON Schema of what it takes."""

    read: Callable[[Any, Reader, str], Any]
    """From the value, the reader and the field's name. Raises `Refused`."""
    schema: "JsonSchemaValue"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(self._validate)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> "JsonSchemaValue":
        return dict(self.schema)

    def _validate(self, value: Any, info: ValidationInfo) -> Any:
        try:
            return self.read(value, cast(Reader, info.context), (info.field_name or "").replace("_", "-"))
        except Refused as refused:
            raise PydanticCustomError("refused", "refused", {"problem": refused.problem}) from None


def whole_number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused("Not a valid integer.")
    return value


def mapping(value: Any, allowed: tuple[str, ...], required: tuple[str, ...] = ()) -> Mapping[str, Any]:
    """The value if it is a mapping with these keys."""
    if not isinstance(value, Mapping):
        raise Refused("Not a valid mapping type.")
    problems = unknown(value, allowed)
    problems |= {key: [REQUIRED] for key in required if key not in value}
    if problems:
        raise Refused(problems)
    return value


def unknown(value: Mapping[str, Any], allowed: Collection[str]) -> dict[str, Any]:
    """The keys that are not allowed, as problems."""
    keys = (key for key in value if key not in allowed)
    return {str(key): [UNKNOWN] for key in islice(keys, MOST_TOLD)}


def each[T](items: Any, read: Callable[[Any], T]) -> tuple[T, ...]:
    """The items of a list, each as read; their problems by index."""
    if not isinstance(items, list | tuple):
        raise Refused("Not a valid list.")
    found: list[T] = []
    problems: dict[str, Any] = {}
    for index, item in enumerate(items):
        try:
            found.append(read(item))
        except Refused as refused:
            problems[str(index)] = refused.problem
            if len(problems) == MOST_TOLD:
                break
    if problems:
        raise Refused(problems)
    return tuple(found)


def at[T](key: str, read: Callable[[], T]) -> T:
    """What `read` gives; a refusal is one of that key."""
    try:
        return read()
    except Refused as refused:
        raise Refused({key: refused.problem}) from None


def moment(value: Any) -> datetime:
    try:
        return parse_moment(value)
    except TimeError as error:
        raise Refused(str(error)) from None


def length(value: Any, start: datetime, place: tzinfo | None) -> timedelta:
    """The length of a duration that starts then, there."""
    try:
        return parse_duration(value).from_start(start, place)
    except TimeError as error:
        raise Refused(str(error)) from None


def period(value: Mapping[str, Any], reader: Reader) -> tuple[datetime, datetime]:
    """The period that `datetime`, or two of `start`, `end` and `duration`, describe."""
    given: dict[str, Any] = {key: value[key] for key in ("datetime", "start", "end", "duration") if key in value}
    if set(given) == {"datetime"}:
        point = at("datetime", lambda: moment(given["datetime"]))
        return point, point
    if "datetime" in given or len(given) != 2:
        raise Refused({WHOLE: ["Give either `datetime`, or two of `start`, `end` and `duration`."]})
    ends: dict[str, datetime] = {key: at(key, partial(moment, given[key])) for key in ("start", "end") if key in given}
    if "duration" in given:
        return at("duration", lambda: _with_duration(given["duration"], ends, reader))
    if ends["end"] < ends["start"]:
        raise Refused({"end": ["Must not be before the start."]})
    return ends["start"], ends["end"]


def _with_duration(value: Any, ends: Mapping[str, datetime], reader: Reader) -> tuple[datetime, datetime]:
    if "start" in ends:
        start = ends["start"]
        end = start + length(value, start, reader.zone)
    else:
        end = ends["end"]
        try:
            start = parse_duration(value).before(end, reader.zone)
        except TimeError as error:
            raise Refused(str(error)) from None
    if end < start:
        raise Refused("Must not be negative.")
    return start, end


def segment(value: Any, reader: Reader, number: Callable[[Any], float]) -> Segment:
    """One item of a list of values over time."""
    item = mapping(value, ("value", "datetime", "start", "end", "duration"), ("value",))
    start, end = period(item, reader)
    return Segment(start, end, at("value", lambda: number(item["value"])))
