"""A self-contained problem as it was sent becomes a trigger on an asset tree of its own, and the series it reads."""

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
    """What is asked, in the terms of the scheduler, and what its ids stand for."""

    trigger: Trigger
    tree: AssetTree
    series: LoadedSeries
    names: IdRegistry
    timezone: tzinfo
    """In which time zone to answer."""


def parse_request(message: Any, largest: int) -> OptimizeRequest:
    """The problem, of at most `largest` steps over all devices. Raises `Invalid`, in the sender's own names."""
    if not isinstance(message, Mapping):
        raise Invalid({WHOLE: ["Not a valid mapping type."]})
    fields = _FieldParser(message)
    series: dict[str, SensorSeries] = fields.parse("series", parse_series, {})
    entries: dict[str, Config] = fields.parse("flex-model", parse_entries, {})
    place = fields.parse("timezone", _parse_zone, _offset_of(message.get("start")))
    timezone = message.get("timezone", "UTC")
    resolution = fields.parse("resolution", _parse_resolution, DEFAULT_RESOLUTION)
    length = fields.parse_length(place)
    fields.check()
    _check_size(len(entries), length // resolution, largest)
    names = IdRegistry()
    built = fields.within("flex-model", lambda: build_entry_tree(entries, series, names, resolution, timezone))
    context: Any = fields.parse("flex-context", names.to_ids, {})
    fields.check()
    assert built is not None
    numbered = {key: message[key] for key in ("start", "resolution") if key in message}
    numbered |= {"duration": format_duration(length), "flex-model": built.flex_model, "flex-context": context}
    trigger = _trigger(numbered, built, names, message)
    _check_size(len(entries), trigger.window.steps, largest)
    by_id = {names.series[name]: events for name, events in series.items()}
    return OptimizeRequest(trigger, built.tree, _series_of_trigger(trigger, built.tree, by_id), names, place)


def _trigger(numbered: dict[str, Any], built: EntryTree, names: IdRegistry, message: Mapping[str, Any]) -> Trigger:
    """The trigger, with shared stocks called after the entries that describe them."""
    try:
        trigger = parse_trigger(numbered, built.tree)
    except Invalid as invalid:
        problems = dict(names.to_names(locate_errors(invalid, numbered, built.tree)))
        if "end" in message and "duration" in problems:
            problems["end"] = problems.pop("duration")
        raise Invalid(problems) from None
    stocks = tuple(
        stock if stock.sensor is None else replace(stock, label=built.stocks.get(stock.sensor, stock.label))
        for stock in trigger.stocks
    )
    return replace(trigger, stocks=stocks)


def _series_of_trigger(trigger: Trigger, tree: AssetTree, series: Mapping[int, SensorSeries]) -> LoadedSeries:
    """What a store would find of each series for this trigger."""
    wanted = series_references(trigger)
    asked = series_queries(trigger, wanted, tree, datetime.max.replace(tzinfo=UTC))
    return LoadedSeries(
        {key: _overlapping(series[query.sensor_id], query) for key, query in zip(wanted, asked, strict=True)}
    )


def _overlapping(events: SensorSeries, query: SeriesQuery) -> SensorSeries:
    after = instant(query.start - (query.resolution or timedelta(microseconds=1)))
    first = int(np.searchsorted(events.starts, after, "right"))
    last = int(np.searchsorted(events.starts, instant(query.end), "left"))
    return replace(events, starts=events.starts[first:last], values=events.values[first:last])


def _check_size(devices: int, steps: int, largest: int) -> None:
    if devices * steps > largest:
        sentence = (
            f"{devices} entries times {steps} steps are {devices * steps}; this platform takes {largest} at most. "
            "Ask for a shorter time, a coarser resolution or fewer devices."
        )
        raise Invalid({"flex-model": [sentence]})


class _FieldParser:
    """The fields of the problem, and what is wrong with them."""

    def __init__(self, message: Mapping[str, Any]) -> None:
        self.message = message
        self.problems: dict[str, Any] = {str(key): [UNKNOWN] for key in message if key not in KEYS}
        if "flex-model" not in message:
            self.problems["flex-model"] = [REQUIRED]

    def parse[T](self, key: str, reader: Callable[[Any], T], default: T) -> T:
        """What the field says, or the default if it is not there or not as it should be."""
        if key not in self.message:
            return default
        found = self.within(key, lambda: reader(self.message[key]))
        return default if found is None else found

    def within[T](self, key: str, reader: Callable[[], T]) -> T | None:
        """What is read; what is refused counts as a problem of the field."""
        try:
            return reader()
        except FieldError as error:
            self.problems[key] = error.errors
            return None

    def parse_length(self, place: tzinfo | None) -> timedelta:
        """How long the window is."""
        start = self.within("start", lambda: _parse_start(self.message))
        given = [key for key in ("duration", "end") if key in self.message]
        if len(given) != 1:
            self.problems["duration"] = ["Give either a `duration` or an `end`."]
            return timedelta(0)
        if start is None:
            return timedelta(0)
        if given == ["end"]:
            return self.parse("end", lambda value: _check_length(parse_datetime(value) - start), timedelta(0))
        return self.parse("duration", lambda value: _check_length(_parse_length(value, start, place)), timedelta(0))

    def check(self) -> None:
        if self.problems:
            raise Invalid(self.problems)


def _parse_start(message: Mapping[str, Any]) -> datetime:
    if "start" not in message:
        raise FieldError(REQUIRED)
    return parse_datetime(message["start"])


def _parse_length(value: Any, start: datetime, place: tzinfo | None) -> timedelta:
    """Days, months and years count by the clock of the time zone, else by that of the start's offset from UTC."""
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


def _parse_resolution(value: Any) -> timedelta:
    try:
        resolution = parse_fixed_duration(value)
    except TimeError as error:
        raise FieldError(str(error)) from None
    if resolution <= timedelta(0):
        raise FieldError("Must be greater than zero.")
    return resolution


def _parse_zone(value: Any) -> tzinfo:
    try:
        return zone(value)
    except (TimeError, TypeError) as error:
        raise FieldError(str(error) if isinstance(error, TimeError) else "Not a valid string.") from None


def _offset_of(start: Any) -> tzinfo:
    """The offset from UTC in which the start is written."""
    try:
        return parse_datetime(start).tzinfo or UTC
    except FieldError:
        return UTC
