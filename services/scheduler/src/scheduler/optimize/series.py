"""Series that come with a problem: unit, resolution, start and values by name."""

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


def parse_series(value: object) -> dict[str, SensorSeries]:
    """Parse all series by name, in their own units. Null values are unknown."""
    if not isinstance(value, Mapping):
        raise FieldError("Not a valid mapping type.")
    series: dict[str, SensorSeries] = {}
    errors: dict[str, Any] = {}
    for name, item in value.items():
        try:
            series[name] = _parse_one(item)
        except FieldError as error:
            errors[name] = error.errors
    if errors:
        raise FieldError(errors)
    return series


def _parse_one(value: object) -> SensorSeries:
    item = parse_mapping(value, KEYS, KEYS)
    unit = parse_at("unit", lambda: _parse_unit(item["unit"]))
    resolution = parse_at("resolution", lambda: _parse_resolution(item["resolution"]))
    start = parse_at("start", lambda: parse_datetime(item["start"]))
    values = parse_at("values", lambda: _parse_values(item["values"]))
    if not resolution and len(values) > 1:
        raise FieldError({"resolution": ["Several values need a resolution, like 'PT15M'."]})
    try:
        _ = start + len(values) * resolution
    except OverflowError:
        raise FieldError({"values": ["They go beyond the year 9999."]}) from None
    known = ~np.isnan(values)
    return SensorSeries(unit, resolution, steps(start, resolution, len(values))[known], values[known])


def _parse_unit(value: object) -> str:
    if not isinstance(value, str):
        raise FieldError("Not a valid string.")
    try:
        return check_unit(value)
    except QuantityError as error:
        raise FieldError(str(error)) from None


def _parse_resolution(value: object) -> timedelta:
    try:
        resolution = parse_fixed_duration(value)
    except TimeError as error:
        raise FieldError(str(error)) from None
    if not timedelta(0) <= resolution <= LONGEST:
        raise FieldError("Must be between zero (a single moment) and a year.")
    return resolution


def _parse_values(value: object) -> Array:
    if not isinstance(value, list):
        raise FieldError("Not a valid list.")
    wrong = next((index for index, value in enumerate(value) if type(value) not in (int, float, type(None))), None)
    if wrong is not None:
        raise FieldError({str(wrong): ["Not a valid number."]})
    return np.array(value, dtype=np.float64)
