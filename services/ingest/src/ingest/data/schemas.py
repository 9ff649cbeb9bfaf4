"""A posted message: what its fields mean, and what is wrong with them in words."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import numpy as np
from flexmodel.errors import Invalid
from flexmodel.time import Duration, TimeError, parse_duration, parse_fixed_duration, parse_moment
from flexserve.validation_messages import NOT_A_NUMBER, NOT_A_STRING, NOT_FINITE, NULL_FIELD, sentence
from flexstore.series import LARGEST_VALUE
from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationError
from pydantic_core import PydanticCustomError, from_json

from ingest.data.rules import Values

LONGEST_HORIZON = timedelta(days=400 * 365)
TOO_LARGE = "Numbers must be between -1e100 and 1e100."
MANY = 20
"""Wrong values that are named one by one."""


def problem(sentences: Any) -> PydanticCustomError:
    return PydanticCustomError("flexmesh", "not accepted", {"problem": sentences})


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise problem([NULL_FIELD if value is None else NOT_A_STRING])
    return value


def read_moment(value: Any) -> datetime:
    if not isinstance(value, str):
        raise problem(["Not a valid datetime."])
    try:
        return parse_moment(value)
    except TimeError as error:
        raise problem([str(error)]) from error


def read_duration(value: Any) -> Duration:
    try:
        return parse_duration(text(value))
    except TimeError as error:
        raise problem([str(error)]) from error


def read_horizon(value: Any) -> timedelta:
    try:
        horizon = parse_fixed_duration(text(value))
    except TimeError as error:
        raise problem([str(error)]) from error
    if abs(horizon) > LONGEST_HORIZON:
        raise problem(["Must not be longer than 400 years."])
    return horizon


def read_values(value: Any) -> Values:
    """Numbers and nulls as an array with holes; a single number is a list of one."""
    if value is None:
        raise problem([NULL_FIELD])
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise problem(["Send at least one value."])
    if set(map(type, listed)) - {int, float, type(None)}:
        raise problem(wrong_items(listed))
    try:
        array = np.array(listed, dtype=np.float64)
    except OverflowError as error:
        raise problem(wrong_items(listed)) from error
    if any(listed[i] is not None for i in np.flatnonzero(~(np.abs(array) <= LARGEST_VALUE))):
        raise problem(wrong_items(listed))
    return array


def wrong_items(listed: list[Any]) -> dict[str, list[str]]:
    """What is wrong, by position in the list."""
    wrong: dict[str, list[str]] = {}
    for i, item in enumerate(listed):
        found = wrong_item(item)
        if found:
            wrong[str(i)] = [found]
        if len(wrong) == MANY:
            break
    return wrong


def wrong_item(item: Any) -> str | None:
    try:
        number = float(item)
    except OverflowError:
        return TOO_LARGE
    except (TypeError, ValueError):
        return None if item is None else NOT_A_NUMBER
    if not np.isfinite(number):
        return NOT_FINITE
    if abs(number) > LARGEST_VALUE:
        return TOO_LARGE
    return None if type(item) in (int, float) else NOT_A_NUMBER


class Head(BaseModel):
    """What is said of values over a window."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    start: Annotated[datetime, PlainValidator(read_moment)]
    duration: Annotated[Duration, PlainValidator(read_duration)]
    unit: Annotated[str, PlainValidator(text)]
    horizon: Annotated[timedelta, PlainValidator(read_horizon)] | None = None
    prior: Annotated[datetime, PlainValidator(read_moment)] | None = None
    type: (
        Literal[
            "PostSensorDataRequest",
            "PostMeterDataRequest",
            "PostPrognosisRequest",
            "PostPriceDataRequest",
            "PostWeatherDataRequest",
        ]
        | None
    ) = None
    """An old way to say what the values are; meter data must lie in the past, prognoses in the future."""


class Post(Head):
    """Values over a window, as a client sends them."""

    values: Annotated[Values, PlainValidator(read_values)]


def read_post(body: bytes) -> Post:
    try:
        message = from_json(body)
    except ValueError as error:
        raise Invalid({"_schema": [f"The message is not valid JSON: {error}."]}) from error
    if not isinstance(message, dict):
        raise Invalid({"_schema": ["Send one JSON object with start, duration, values and unit."]})
    # Values are numbers, so a name that is there twice is a field that is there twice.
    twice = [name for name in Post.model_fields if body.count(b'"%b"' % name.encode()) > 1]
    if twice:
        raise Invalid({name: ["This field is there twice."] for name in twice})
    try:
        return Post.model_validate(message)
    except ValidationError as error:
        raise wrong_fields(error) from error


def wrong_fields(error: ValidationError) -> Invalid:
    return Invalid(
        {str(item["loc"][0]): sentences(item) for item in error.errors(include_url=False, include_input=False)}
    )


def sentences(item: Any) -> Any:
    """What pydantic found wrong with one field, as the API says it."""
    if item["type"] == "flexmesh":
        return item["ctx"]["problem"]
    if item["type"] == "literal_error":
        return [f"Must be one of: {item['ctx']['expected']}."]
    return [sentence(item)]
