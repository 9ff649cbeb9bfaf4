"""The series that come with a problem: name → unit, resolution, start and values."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import numpy as np
from flexmodel.parsing import FieldError, parse_at, parse_datetime, parse_mapping
from flexmodel.problem import Array
from flexmodel.quantities import QuantityError, check_unit
from flexmodel.time import TimeError, parse_fixed_duration, steps

from scheduler.resolve.series import SensorSeries

KEYS = ("unit", "resolution", "start", "values")
LONGEST = timedelta(days=366)


def parse_series(given: Any) -> dict[str, SensorSeries]:
    """All series by name, in their own units. Values that are null are not known."""
    if not isinstance(given, Mapping):
        raise FieldError("Not a valid mapping type.")
    found: dict[str, SensorSeries] = {}
    problems: dict[str, Any] = {}
    for name, value in given.items():
        try:
            found[name] = _one(value)
        except FieldError as error:
            problems[name] = error.errors
    if problems:
        raise FieldError(problems)
    return found


def _one(given: Any) -> SensorSeries:
    item = parse_mapping(given, KEYS, KEYS)
    unit = parse_at("unit", lambda: _unit(item["unit"]))
    resolution = parse_at("resolution", lambda: _resolution(item["resolution"]))
    start = parse_at("start", lambda: parse_datetime(item["start"]))
    values = parse_at("values", lambda: _values(item["values"]))
    if not resolution and len(values) > 1:
        raise FieldError({"resolution": ["Several values need a resolution, like 'PT15M'."]})
    try:
        _ = start + len(values) * resolution
    except OverflowError:
        raise FieldError({"values": ["They go beyond the year 9999."]}) from None
    known = ~np.isnan(values)
    return SensorSeries(unit, resolution, steps(start, resolution, len(values))[known], values[known])


def _unit(value: Any) -> str:
    if not isinstance(value, str):
        raise FieldError("Not a valid string.")
    try:
        return check_unit(value)
    except QuantityError as error:
        raise FieldError(str(error)) from None


def _resolution(value: Any) -> timedelta:
    try:
        resolution = parse_fixed_duration(value)
    except TimeError as error:
        raise FieldError(str(error)) from None
    if not timedelta(0) <= resolution <= LONGEST:
        raise FieldError("Must be between zero (a single moment) and a year.")
    return resolution


def _values(given: Any) -> Array:
    if not isinstance(given, list):
        raise FieldError("Not a valid list.")
    wrong = next((index for index, value in enumerate(given) if type(value) not in (int, float, type(None))), None)
    if wrong is not None:
        raise FieldError({str(wrong): ["Not a valid number."]})
    return np.array(given, dtype=np.float64)
