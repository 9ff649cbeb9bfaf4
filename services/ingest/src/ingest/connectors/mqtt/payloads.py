"""Parsing of messages into readings with their times. Whatever is not understood is rejected with a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from flexmodel.time import Instants, TimeError, instant, moment_of, parse_moment, zone
from pydantic_core import from_json

from ingest.connectors import json_series
from ingest.connectors.fetched_series import FetchError
from ingest.connectors.json_series import Json, TimeFormat, search_list, search_path
from ingest.connectors.mqtt.inbox import MqttMessage
from ingest.connectors.mqtt.settings import MqttSeries
from ingest.data.resampling import Values

MAX_CLOCK_LEAD = timedelta(minutes=5)
"""A reading from later than this in the future comes from a wrong clock."""
MAX_QUOTED = 40
MAX_READINGS = 10_000
"""Most readings in one message."""


@dataclass(frozen=True, slots=True)
class Readings:
    """Readings with their times; never NaN."""

    times: Instants
    values: Values
    unit: str


def parse_readings(message: MqttMessage, series: MqttSeries) -> Readings:
    """Parse the readings of a message.

    Raises:
        FetchError: There are none, or something else.
    """
    content = parse_payload(message.payload)
    items = [content] if series.items is None else search_list(content, series.items)
    values = json_series.parse_values(flatten(search_items(items, series.value)))
    if series.time is None:
        times: Instants = np.full(len(values), instant(message.arrived))
    else:
        times = parse_reading_times(flatten(search_items(items, series.time)), series.clock, message.arrived)
    if len(times) != len(values):
        raise FetchError(f"There are {len(times)} times and {len(values)} values.")
    known = ~np.isnan(values)
    if not known.any():
        raise FetchError("There is no number in it.")
    return Readings(times[known], values[known], parse_unit(content, series))


def parse_payload(payload: bytes | None) -> Json:
    if payload is None:
        raise FetchError("It is larger than 1 MB.")
    try:
        return from_json(payload)
    except ValueError as error:
        text = payload.decode(errors="replace").strip() if len(payload) <= MAX_QUOTED else ""
        if json_series.NUMBER.fullmatch(text):  # devices write numbers that are not JSON, for example +1.5
            return text
        raise FetchError(f"It is neither a number nor JSON: {str(error)[:100]}.") from None


def search_items(items: Sequence[Json], path: str | None) -> list[Json]:
    return [item if path is None else search_path(item, path) for item in items]


def flatten(search_items: list[Json]) -> list[Json]:
    """Flatten the results of a path that found one list."""
    many = search_items[0] if len(search_items) == 1 and isinstance(search_items[0], list) else search_items
    if len(many) > MAX_READINGS:
        raise FetchError(f"{len(many)} readings in one message are too many.")
    return many


def parse_reading_times(search_items: list[Json], clock: TimeFormat, arrived: datetime) -> Instants:
    """Parse times. The usual case, one time with its offset, is fast."""
    try:
        utc = [parse_moment(time).astimezone(UTC).replace(tzinfo=None) for time in search_items]
        return np.array(utc, dtype="datetime64[us]")
    except (TimeError, TypeError):
        times = json_series.parse_times(search_items, clock)
    if (
        len(search_items) == 1
        and isinstance(search_items[0], str)
        and datetime.fromisoformat(search_items[0]).tzinfo is None
    ):
        return np.array([instant(second_occurrence_if_past(moment_of(times[0]), clock, arrived + MAX_CLOCK_LEAD))])
    return times


def second_occurrence_if_past(moment: datetime, clock: TimeFormat, end: datetime) -> datetime:
    """Return the second occurrence of a time that the clock shows twice, unless it is in the future."""
    second = moment.astimezone(zone(clock.zone)).replace(fold=1).astimezone(UTC)
    return second if moment < second <= end else moment


def parse_unit(content: Json, series: MqttSeries) -> str:
    if series.unit_in is None:
        return series.unit
    unit = search_path(content, series.unit_in)
    if not isinstance(unit, str):
        raise FetchError(f"At '{series.unit_in[:MAX_QUOTED]}' there is no unit.")
    return unit
