"""Parsing of a self-contained problem into a trigger on an asset tree of its own, and its series."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import numpy as np
from flexmodel.errors import Invalid
from flexmodel.parse_trigger import DEFAULT_RESOLUTION, parse_trigger
from flexmodel.parsing import REQUIRED, UNKNOWN, WHOLE, FieldError, parse_datetime
from flexmodel.time import TimeError, format_duration, instant, parse_duration, parse_fixed_duration, zone
from flexmodel.tree import AssetTree
from flexmodel.trigger import Trigger
from flexstore.series import SeriesQuery

from scheduler.optimize.entries import Config, EntryTree, build_entry_tree, parse_entries
from scheduler.optimize.error_locations import locate_errors
from scheduler.optimize.names import IdRegistry
from scheduler.optimize.series import parse_series
from scheduler.resolve.series import LoadedSeries, SensorSeries, series_queries, series_references

KEYS = ("start", "duration", "end", "resolution", "timezone", "flex-model", "flex-context", "series")
LONGEST = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class OptimizeRequest:
    """A problem in the terms of the scheduler, and the names of its ids."""

    trigger: Trigger
    tree: AssetTree
    series: LoadedSeries
    names: IdRegistry
    timezone: tzinfo
    """The time zone of the response."""


def parse_request(message: object, largest: int) -> OptimizeRequest:
    """Parse a problem of at most `largest` steps over all devices.

    Raises:
        Invalid: The problem has errors, which are described with the sender's own names.
    """
    if not isinstance(message, Mapping):
        raise Invalid({WHOLE: ["Not a valid mapping type."]})
    fields = _FieldParser(message)
    series: dict[str, SensorSeries] = fields.parse("series", parse_series, {})
    entries: dict[str, Config] = fields.parse("flex-model", parse_entries, {})
    zone_of_response = fields.parse("timezone", _parse_zone, _offset_of(message.get("start")))
    timezone = message.get("timezone", "UTC")
    resolution = fields.parse("resolution", _parse_resolution, DEFAULT_RESOLUTION)
    length = fields.parse_length(zone_of_response)
    fields.check()
    _check_size(len(entries), length // resolution, largest)
    names = IdRegistry()
    placed = fields.within("flex-model", lambda: build_entry_tree(entries, series, names, resolution, timezone))
    nothing: object = {}
    context = fields.parse("flex-context", names.to_ids, nothing)
    fields.check()
    assert placed is not None
    numbered = {key: message[key] for key in ("start", "resolution") if key in message}
    numbered |= {"duration": format_duration(length), "flex-model": placed.flex_model, "flex-context": context}
    trigger = _parse_trigger(numbered, placed, names, message)
    _check_size(len(entries), trigger.window.steps, largest)
    by_id = {names.series[name]: values for name, values in series.items()}
    return OptimizeRequest(
        trigger, placed.tree, _series_of_trigger(trigger, placed.tree, by_id), names, zone_of_response
    )


def _parse_trigger(
    numbered: dict[str, Any], placed: EntryTree, names: IdRegistry, message: Mapping[str, Any]
) -> Trigger:
    """Parse the trigger, and name shared stocks after the entries that describe them."""
    try:
        trigger = parse_trigger(numbered, placed.tree)
    except Invalid as invalid:
        errors = dict(names.to_names(locate_errors(invalid, numbered, placed.tree)))
        if "end" in message and "duration" in errors:
            errors["end"] = errors.pop("duration")
        raise Invalid(errors) from None
    stocks = tuple(
        stock if stock.sensor is None else replace(stock, label=placed.stocks.get(stock.sensor, stock.label))
        for stock in trigger.stocks
    )
    return replace(trigger, stocks=stocks)


def _series_of_trigger(trigger: Trigger, tree: AssetTree, series: Mapping[int, SensorSeries]) -> LoadedSeries:
    """Return the part of each series that a database would return for this trigger."""
    references = series_references(trigger)
    queries = series_queries(trigger, references, tree, datetime.max.replace(tzinfo=UTC))
    return LoadedSeries(
        {key: _overlapping(series[query.sensor_id], query) for key, query in zip(references, queries, strict=True)}
    )


def _overlapping(series: SensorSeries, query: SeriesQuery) -> SensorSeries:
    after = instant(query.start - (query.resolution or timedelta(microseconds=1)))
    first = int(np.searchsorted(series.starts, after, "right"))
    last = int(np.searchsorted(series.starts, instant(query.end), "left"))
    return replace(series, starts=series.starts[first:last], values=series.values[first:last])


def _check_size(devices: int, steps: int, largest: int) -> None:
    if devices * steps > largest:
        sentence = (
            f"{devices} entries times {steps} steps are {devices * steps}; this platform takes {largest} at most. "
            "Ask for a shorter time, a coarser resolution or fewer devices."
        )
        raise Invalid({"flex-model": [sentence]})


class _FieldParser:
    """Parses the fields of the problem and collects their errors."""

    def __init__(self, message: Mapping[str, Any]) -> None:
        self.message = message
        self.errors: dict[str, Any] = {str(key): [UNKNOWN] for key in message if key not in KEYS}
        if "flex-model" not in message:
            self.errors["flex-model"] = [REQUIRED]

    def parse[T](self, key: str, parser: Callable[[Any], T], default: T) -> T:
        """Return the parsed value of a field, or the default if it is absent or has an error."""
        if key not in self.message:
            return default
        value = self.within(key, lambda: parser(self.message[key]))
        return default if value is None else value

    def within[T](self, key: str, parser: Callable[[], T]) -> T | None:
        """Return a parsed value; a refusal counts as an error of the field."""
        try:
            return parser()
        except FieldError as error:
            self.errors[key] = error.errors
            return None

    def parse_length(self, place: tzinfo | None) -> timedelta:
        """Return the length of the window."""
        start = self.within("start", lambda: _parse_start(self.message))
        given = [key for key in ("duration", "end") if key in self.message]
        if len(given) != 1:
            self.errors["duration"] = ["Give either a `duration` or an `end`."]
            return timedelta(0)
        if start is None:
            return timedelta(0)
        if given == ["end"]:
            return self.parse("end", lambda value: _check_length(parse_datetime(value) - start), timedelta(0))
        return self.parse("duration", lambda value: _check_length(_parse_length(value, start, place)), timedelta(0))

    def check(self) -> None:
        if self.errors:
            raise Invalid(self.errors)


def _parse_start(message: Mapping[str, Any]) -> datetime:
    if "start" not in message:
        raise FieldError(REQUIRED)
    return parse_datetime(message["start"])


def _parse_length(value: object, start: datetime, place: tzinfo | None) -> timedelta:
    """Count days, months and years by the clock of the time zone, else by that of the start's offset from UTC."""
    try:
        return parse_duration(value).after(start, place) - start
    except TimeError as error:
        raise FieldError(str(error)) from None
    except (OverflowError, ValueError):
        return 2 * LONGEST


def _check_length(length: timedelta) -> timedelta:
    if length <= timedelta(0):
        raise FieldError("The window must end after its start.")
    if length > LONGEST:
        raise FieldError("The window must not be longer than a year.")
    return length


def _parse_resolution(value: object) -> timedelta:
    try:
        resolution = parse_fixed_duration(value)
    except TimeError as error:
        raise FieldError(str(error)) from None
    if resolution <= timedelta(0):
        raise FieldError("Must be greater than zero.")
    return resolution


def _parse_zone(value: object) -> tzinfo:
    if not isinstance(value, str):
        raise FieldError("Not a valid string.")
    try:
        return zone(value)
    except TimeError as error:
        raise FieldError(str(error)) from None


def _offset_of(start: object) -> tzinfo:
    """Return the offset from UTC in which the start is written."""
    try:
        return parse_datetime(start).tzinfo or UTC
    except FieldError:
        return UTC
