"""The series that come with a problem: name → unit, resolution, start and values."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import numpy as np
from flexmodel.problem import Array
from flexmodel.quantities import QuantityError, check_unit
from flexmodel.reading import Refused, at, mapping, moment
from flexmodel.time import TimeError, parse_fixed_duration, steps

from scheduler.resolve.series import SensorSeries

KEYS = ("unit", "resolution", "start", "values")
LONGEST = timedelta(days=366)


def parse_series(given: Any) -> dict[str, SensorSeries]:
    """All series by name, in their own units. Values that are null are not known."""
    if not isinstance(given, Mapping):
        raise Refused("Not a valid mapping type.")
    found: dict[str, SensorSeries] = {}
    problems: dict[str, Any] = {}
    for name, value in given.items():
        try:
            found[name] = _one(value)
        except Refused as refused:
            problems[name] = refused.problem
    if problems:
        raise Refused(problems)
    return found


def _one(given: Any) -> SensorSeries:
    item = mapping(given, KEYS, KEYS)
    unit = at("unit", lambda: _unit(item["unit"]))
    resolution = at("resolution", lambda: _resolution(item["resolution"]))
    start = at("start", lambda: moment(item["start"]))
    values = at("values", lambda: _values(item["values"]))
    if not resolution and len(values) > 1:
        raise Refused({"resolution": ["Several values need a resolution, like 'PT15M'."]})
    try:
        _ = start + len(values) * resolution
    except OverflowError:
        raise Refused({"values": ["They go beyond the year 9999."]}) from None
    known = ~np.isnan(values)
    return SensorSeries(unit, resolution, steps(start, resolution, len(values))[known], values[known])


def _unit(value: Any) -> str:
    if not isinstance(value, str):
        raise Refused("Not a valid string.")
    try:
        return check_unit(value)
    except QuantityError as error:
        raise Refused(str(error)) from None


def _resolution(value: Any) -> timedelta:
    try:
        resolution = parse_fixed_duration(value)
    except TimeError as error:
        raise Refused(str(error)) from None
    if not timedelta(0) <= resolution <= LONGEST:
        raise Refused("Must be between zero (a single moment) and a year.")
    return resolution


def _values(given: Any) -> Array:
    if not isinstance(given, list):
        raise Refused("Not a valid list.")
    wrong = next((index for index, value in enumerate(given) if type(value) not in (int, float, type(None))), None)
    if wrong is not None:
        raise Refused({str(wrong): ["Not a valid number."]})
    return np.array(given, dtype=np.float64)
