"""Times and values in a JSON answer, found with JMESPath. Whatever is not as expected is said, nothing is guessed."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import gt, lt
from typing import Any, Literal

import jmespath
import numpy as np
from flexmodel.time import Instants, instant, moment_of, steps, zone
from jmespath.exceptions import JMESPathError
from pydantic_core import from_json

from ingest.connectors.fetched import NotFetched
from ingest.data.rules import Values

NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
SHOWN = 40
"""Characters of something foreign that are repeated in a sentence."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Where in an answer a series is. Either a list of `times`, or the `start` of evenly spaced values."""

    items: str | None
    times: str | None
    start: str | None
    values: str


@dataclass(frozen=True, slots=True)
class Clock:
    """How times are written that do not say it themselves."""

    zone: str
    epoch: Literal["s", "ms"]


def parse(body: bytes) -> Any:
    try:
        return from_json(body.removeprefix(BYTE_ORDER_MARK))
    except ValueError as error:
        raise NotFetched(f"The answer is not JSON in UTF-8: {str(error)[:100]}.") from error


def series(content: Any, paths: Paths, clock: Clock, resolution: timedelta | None) -> tuple[Instants, Values]:
    """When the values are, and what they are."""
    if paths.items is not None:
        assert paths.times is not None
        items = listed(content, paths.items)
        found = [find(item, paths.values) for item in items]
        return read_times([find(item, paths.times) for item in items], clock), read_values(found)
    values = read_values(listed(content, paths.values))
    if paths.times is None:
        assert paths.start is not None
        assert resolution is not None
        return evenly(moment(content, paths.start, clock), resolution, len(values)), values
    times = listed(content, paths.times)
    if len(times) != len(values):
        raise NotFetched(
            f"There are {len(times)} times and {len(values)} values. Where some items lack one, say with `items` where "
            "the items are, and with `times` and `values` what is in each."
        )
    return read_times(times, clock), values


def find(content: Any, path: str) -> Any:
    try:
        return jmespath.search(path, content)
    except (JMESPathError, RecursionError) as error:
        raise NotFetched(f"'{path[:SHOWN]}' cannot be looked up in the answer.") from error


def listed(content: Any, path: str) -> list[Any]:
    found = find(content, path)
    if not isinstance(found, list):
        raise NotFetched(
            f"At '{path[:SHOWN]}' the answer has {'nothing' if found is None else 'something'} but a list."
        )
    return found


def moment(content: Any, path: str, clock: Clock) -> datetime:
    return moment_of(read_times([find(content, path)], clock)[0])


def evenly(start: datetime, resolution: timedelta, count: int) -> Instants:
    if count * resolution > LATEST - start:
        raise NotFetched(f"{count} values from {start.isoformat()} on reach too far into the future.")
    return steps(start, resolution, count)


def read_times(found: list[Any], clock: Clock) -> Instants:
    """Times as text, or as numbers since 1970."""
    if found and all(isinstance(time, str) for time in found):
        instants = read_texts(found, clock.zone)
    else:
        seconds = read_values(found) / (1 if clock.epoch == "s" else 1_000)
        if np.isnan(seconds).any():
            raise NotFetched("A time that should be there is not.")
        bounded = np.clip(seconds, -1, LATEST.timestamp() + 1)  # what is beyond does not fit into what follows
        instants = np.rint(bounded * 1_000_000).astype(np.int64).astype("datetime64[us]")
    outside = (instants < instant(EARLIEST)) | (instants > instant(LATEST))
    if outside.any():
        raise NotFetched(f"'{str(found[int(outside.argmax())])[:SHOWN]}' is no time between 1970 and 2200.")
    return instants


def read_texts(found: list[str], name: str) -> Instants:
    """Times in ISO 8601; those without a distance to UTC are read in the time zone.

    An hour that the clock there shows twice is read in order: a time that comes back is the second one. Where the
    latest stands first, that is the first one to come.
    """
    if sum(map(gt, found, found[1:])) > sum(map(lt, found, found[1:])):
        return read_texts(found[::-1], name)[::-1]
    local, seen = zone(name), set()
    moments = []
    for text in found:
        try:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=local, fold=int(moment in seen))
                seen.add(moment.replace(tzinfo=None, fold=0))
            utc = moment.astimezone(UTC)
        except (ValueError, OverflowError):
            raise NotFetched(f"'{text[:SHOWN]}' is not a time in ISO 8601.") from None
        if utc.astimezone(moment.tzinfo).replace(fold=0) != moment.replace(fold=0):
            raise NotFetched(f"'{text[:SHOWN]}' is a time that the clock of {name} leaves out.")
        moments.append(utc.replace(tzinfo=None))
    return np.array(moments, dtype="datetime64[us]")


def read_values(found: list[Any]) -> Values:
    """Numbers, also as text; what is not there or no number at all in the sense of computers (NaN) is NaN."""
    return np.array([read_value(value) for value in found], dtype=np.float64)


def read_value(value: Any) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value in (float("inf"), float("-inf")):
        raise NotFetched(f"'{str(value)[:SHOWN]}' is not a number.")
    try:
        return float(value)
    except OverflowError:
        raise NotFetched("A number is too large.") from None
