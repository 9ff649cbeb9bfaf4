"""What a message says: readings, each with its time. Whatever is not understood is refused in a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from flexmodel.time import Instants, TimeError, instant, moment_of, parse_moment, zone
from pydantic_core import from_json

from ingest.connectors import json_answers
from ingest.connectors.fetched import NotFetched
from ingest.connectors.json_answers import Clock, find, listed
from ingest.connectors.mqtt.inbox import Message
from ingest.connectors.mqtt.settings import Series
from ingest.data.rules import Values

AHEAD = timedelta(minutes=5)
"""A reading of a later time than this from now comes from a clock that is wrong."""
SHOWN = 40
MOST_READINGS = 10_000
"""In one message."""


@dataclass(frozen=True, slots=True)
class Readings:
    """What was read when; never not a number."""

    times: Instants
    values: Values
    unit: str


def read(message: Message, series: Series) -> Readings:
    """The readings in a message. Raises `NotFetched` if there are none, or something else."""
    content = content_of(message.payload)
    items = [content] if series.items is None else listed(content, series.items)
    values = json_answers.read_values(flat(found(items, series.value)))
    if series.time is None:
        times: Instants = np.full(len(values), instant(message.arrived))
    else:
        times = read_times(flat(found(items, series.time)), series.clock, message.arrived)
    if len(times) != len(values):
        raise NotFetched(f"There are {len(times)} times and {len(values)} values.")
    known = ~np.isnan(values)
    if not known.any():
        raise NotFetched("There is no number in it.")
    return Readings(times[known], values[known], unit_of(content, series))


def content_of(payload: bytes | None) -> Any:
    if payload is None:
        raise NotFetched("It is larger than 1 MB.")
    try:
        return from_json(payload)
    except ValueError as error:
        text = payload.decode(errors="replace").strip() if len(payload) <= SHOWN else ""
        if json_answers.NUMBER.fullmatch(text):  # as devices write them, for example +1.5
            return text
        raise NotFetched(f"It is neither a number nor JSON: {str(error)[:100]}.") from None


def found(items: Sequence[Any], path: str | None) -> list[Any]:
    return [item if path is None else find(item, path) for item in items]


def flat(found: list[Any]) -> list[Any]:
    """What a path found: many, if it found one list."""
    many = found[0] if len(found) == 1 and isinstance(found[0], list) else found
    if len(many) > MOST_READINGS:
        raise NotFetched(f"{len(many)} readings in one message are too many.")
    return many


def read_times(found: list[Any], clock: Clock, arrived: datetime) -> Instants:
    """Most messages say one time, with its offset, which must not take long to read."""
    try:
        utc = [parse_moment(time).astimezone(UTC).replace(tzinfo=None) for time in found]
        return np.array(utc, dtype="datetime64[us]")
    except (TimeError, TypeError):
        times = json_answers.read_times(found, clock)
    if len(found) == 1 and isinstance(found[0], str) and datetime.fromisoformat(found[0]).tzinfo is None:
        return np.array([instant(latest(moment_of(times[0]), clock, arrived + AHEAD))])
    return times


def latest(moment: datetime, clock: Clock, end: datetime) -> datetime:
    """Of a time that the clock shows twice the second, unless that is to come: readings are sent when they are new."""
    second = moment.astimezone(zone(clock.zone)).replace(fold=1).astimezone(UTC)
    return second if moment < second <= end else moment


def unit_of(content: Any, series: Series) -> str:
    if series.unit_in is None:
        return series.unit
    unit = find(content, series.unit_in)
    if not isinstance(unit, str):
        raise NotFetched(f"At '{series.unit_in[:SHOWN]}' there is no unit.")
    return unit
