"""Wire model of a posted series, and its validation errors as sentences."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Literal

import numpy as np
from flexmodel.errors import Invalid
from flexmodel.time import Duration, TimeError, parse_duration, parse_fixed_duration, parse_moment
from flexserve.validation_messages import NOT_A_NUMBER, NOT_A_STRING, NOT_FINITE, NULL_FIELD, sentence
from flexstore.series import LARGEST_VALUE
from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError, from_json

from ingest.data.resampling import Values

type FieldMessages = list[str] | Mapping[str, FieldMessages]
"""Sentences about a field, or about its items by position."""

MAX_HORIZON = timedelta(days=400 * 365)
VALUE_TOO_LARGE = "Numbers must be between -1e100 and 1e100."
MAX_LISTED_ERRORS = 20
"""Most wrong values that are listed one by one."""


def field_error(messages: FieldMessages) -> PydanticCustomError:
    """Build the error of a field from its messages."""
    return PydanticCustomError("flexmesh", "not accepted", {"messages": messages})


def parse_text(value: object) -> str:
    if not isinstance(value, str):
        raise field_error([NULL_FIELD if value is None else NOT_A_STRING])
    return value


def parse_time_field(value: object) -> datetime:
    if not isinstance(value, str):
        raise field_error(["Not a valid datetime."])
    try:
        return parse_moment(value)
    except TimeError as error:
        raise field_error([str(error)]) from error


def parse_duration_field(value: object) -> Duration:
    try:
        return parse_duration(parse_text(value))
    except TimeError as error:
        raise field_error([str(error)]) from error


def parse_horizon_field(value: object) -> timedelta:
    try:
        horizon = parse_fixed_duration(parse_text(value))
    except TimeError as error:
        raise field_error([str(error)]) from error
    if abs(horizon) > MAX_HORIZON:
        raise field_error(["Must not be longer than 400 years."])
    return horizon


def parse_values(value: object) -> Values:
    """Parse numbers and nulls into an array, with NaN for null. A single number is a list of one."""
    if value is None:
        raise field_error([NULL_FIELD])
    listed: list[object] = value if isinstance(value, list) else [value]
    if not listed:
        raise field_error(["Send at least one value."])
    if set(map(type, listed)) - {int, float, type(None)}:
        raise field_error(value_errors(listed))
    try:
        array = np.array(listed, dtype=np.float64)
    except OverflowError as error:
        raise field_error(value_errors(listed)) from error
    if any(listed[i] is not None for i in np.flatnonzero(~(np.abs(array) <= LARGEST_VALUE))):
        raise field_error(value_errors(listed))
    return array


def value_errors(items: list[object]) -> dict[str, list[str]]:
    """Return the errors by position in the list."""
    errors: dict[str, list[str]] = {}
    for i, item in enumerate(items):
        message = value_error(item)
        if message:
            errors[str(i)] = [message]
        if len(errors) == MAX_LISTED_ERRORS:
            break
    return errors


def value_error(item: object) -> str | None:
    """Return what is wrong with one value; None if nothing is."""
    if not isinstance(item, int | float | str):
        return None if item is None else NOT_A_NUMBER
    try:
        number = float(item)
    except OverflowError:
        return VALUE_TOO_LARGE
    except ValueError:
        return NOT_A_NUMBER
    if not np.isfinite(number):
        return NOT_FINITE
    if abs(number) > LARGEST_VALUE:
        return VALUE_TOO_LARGE
    return None if type(item) in (int, float) else NOT_A_NUMBER


class SeriesHeader(BaseModel):
    """Description of a series of values over a window, without the values."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    start: Annotated[datetime, PlainValidator(parse_time_field)]
    duration: Annotated[Duration, PlainValidator(parse_duration_field)]
    unit: Annotated[str, PlainValidator(parse_text)]
    horizon: Annotated[timedelta, PlainValidator(parse_horizon_field)] | None = None
    prior: Annotated[datetime, PlainValidator(parse_time_field)] | None = None
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
    """Old message type. Meter data must lie in the past, prognoses in the future."""


class SeriesPost(SeriesHeader):
    """Series of values over a window, as a client sends it."""

    values: Annotated[Values, PlainValidator(parse_values)]


def parse_post(body: bytes) -> SeriesPost:
    """Parse a posted series.

    Raises:
        Invalid: The body is not JSON, or its fields are wrong.
    """
    try:
        message = from_json(body)
    except ValueError as error:
        raise Invalid({"_schema": [f"The message is not valid JSON: {error}."]}) from error
    if not isinstance(message, dict):
        raise Invalid({"_schema": ["Send one JSON object with start, duration, values and unit."]})
    # All values are numbers, so a name that occurs twice in the body is a duplicate field.
    duplicates = [name for name in SeriesPost.model_fields if body.count(b'"%b"' % name.encode()) > 1]
    if duplicates:
        raise Invalid({name: ["This field is there twice."] for name in duplicates})
    try:
        return SeriesPost.model_validate(message)
    except ValidationError as error:
        raise to_invalid(error) from error


def to_invalid(error: ValidationError) -> Invalid:
    """Convert a validation error of pydantic, with the messages by field."""
    return Invalid(
        {str(item["loc"][0]): field_messages(item) for item in error.errors(include_url=False, include_input=False)}
    )


def field_messages(error: ErrorDetails) -> FieldMessages:
    """Return the messages of one of pydantic's errors, as the API words them."""
    if error["type"] == "flexmesh":
        messages: FieldMessages = error["ctx"]["messages"]
        return messages
    if error["type"] == "literal_error":
        return [f"Must be one of: {error['ctx']['expected']}."]
    return [sentence(error)]
