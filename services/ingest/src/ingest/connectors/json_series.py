"""Extraction of times and values from JSON with JMESPath. Whatever is unexpected is an error; nothing is guessed."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import gt, lt
from typing import Annotated, Any, Literal

import jmespath
import numpy as np
from flexmodel.time import Instants, instant, moment_of, steps, zone
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator
from pydantic_core import from_json

from ingest.connectors.fetched_series import FetchError
from ingest.connectors.http_client import ReasonParser
from ingest.data.resampling import Values

NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MAX_PATH_CHARACTERS = 500
MAX_QUOTED = 40
"""Most characters of foreign text that are quoted in a sentence."""


@dataclass(frozen=True, slots=True)
class SeriesPaths:
    """JMESPath expressions of a series: either a list of `times`, or the `start` of evenly spaced values."""

    items: str | None
    times: str | None
    start: str | None
    values: str


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """Time zone of times without an offset, and the unit of times that are numbers."""

    zone: str
    epoch: Literal["s", "ms"]


type Json = Any
"""Parsed JSON of unknown shape."""

UTC_SECONDS = TimeFormat("UTC", "s")
"""Times as numbers in seconds since 1970."""


def parse_json(body: bytes) -> Json:
    try:
        return from_json(body.removeprefix(BYTE_ORDER_MARK))
    except ValueError as error:
        raise FetchError(f"The answer is not JSON in UTF-8: {str(error)[:100]}.") from error


def extract_series(
    content: Json, paths: SeriesPaths, time_format: TimeFormat, resolution: timedelta | None
) -> tuple[Instants, Values]:
    """Extract the times and the values of a series."""
    if paths.items is not None:
        assert paths.times is not None
        items = search_list(content, paths.items)
        results = [search_path(item, paths.values) for item in items]
        return parse_times([search_path(item, paths.times) for item in items], time_format), parse_values(results)
    values = parse_values(search_list(content, paths.values))
    if paths.times is None:
        assert paths.start is not None
        assert resolution is not None
        return evenly_spaced_times(search_time(content, paths.start, time_format), resolution, len(values)), values
    times = search_list(content, paths.times)
    if len(times) != len(values):
        raise FetchError(
            f"There are {len(times)} times and {len(values)} values. Where some items lack one, say with `items` where "
            "the items are, and with `times` and `values` what is in each."
        )
    return parse_times(times, time_format), values


def search_path(content: Json, path: str) -> Json:
    try:
        return jmespath.search(path, content)
    except (JMESPathError, RecursionError) as error:
        raise FetchError(f"'{path[:MAX_QUOTED]}' cannot be looked up in the answer.") from error


def search_list(content: Json, path: str) -> list[Json]:
    results = search_path(content, path)
    if not isinstance(results, list):
        raise FetchError(
            f"At '{path[:MAX_QUOTED]}' the answer has {'nothing' if results is None else 'something'} but a list."
        )
    return results


def search_time(content: Json, path: str, time_format: TimeFormat) -> datetime:
    return moment_of(parse_times([search_path(content, path)], time_format)[0])


def evenly_spaced_times(start: datetime, resolution: timedelta, count: int) -> Instants:
    if count * resolution > LATEST - start:
        raise FetchError(f"{count} values from {start.isoformat()} on reach too far into the future.")
    return steps(start, resolution, count)


def parse_times(results: list[Json], time_format: TimeFormat) -> Instants:
    """Parse times from text, or from numbers since 1970."""
    if results and all(isinstance(time, str) for time in results):
        instants = parse_text_times(results, time_format.zone)
    else:
        seconds = parse_values(results) / (1 if time_format.epoch == "s" else 1_000)
        if np.isnan(seconds).any():
            raise FetchError("A time that should be there is not.")
        bounded = np.clip(seconds, -1, LATEST.timestamp() + 1)  # larger numbers overflow below
        instants = np.rint(bounded * 1_000_000).astype(np.int64).astype("datetime64[us]")
    outside = (instants < instant(EARLIEST)) | (instants > instant(LATEST))
    if outside.any():
        raise FetchError(f"'{str(results[int(outside.argmax())])[:MAX_QUOTED]}' is no time between 1970 and 2200.")
    return instants


def parse_text_times(results: list[str], name: str) -> Instants:
    """Parse times in ISO 8601. Those without a UTC offset are taken in the time zone `name`.

    In an hour that the clock shows twice, a time that occurs again is the second occurrence. In descending lists, it
    is the first.
    """
    if sum(map(gt, results, results[1:])) > sum(map(lt, results, results[1:])):
        return parse_text_times(results[::-1], name)[::-1]
    local, seen = zone(name), set()
    moments = []
    for text in results:
        try:
            search_time = datetime.fromisoformat(text)
            if search_time.tzinfo is None:
                search_time = search_time.replace(tzinfo=local, fold=int(search_time in seen))
                seen.add(search_time.replace(tzinfo=None, fold=0))
            utc = search_time.astimezone(UTC)
        except (ValueError, OverflowError):
            raise FetchError(f"'{text[:MAX_QUOTED]}' is not a time in ISO 8601.") from None
        if utc.astimezone(search_time.tzinfo).replace(fold=0) != search_time.replace(fold=0):
            raise FetchError(f"'{text[:MAX_QUOTED]}' is a time that the clock of {name} leaves out.")
        moments.append(utc.replace(tzinfo=None))
    return np.array(moments, dtype="datetime64[us]")


def parse_values(results: list[Json]) -> Values:
    """Parse numbers, also from text. A missing value is NaN."""
    return np.array([parse_value(value) for value in results], dtype=np.float64)


def parse_value(value: Json) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value in (float("inf"), float("-inf")):
        raise FetchError(f"'{str(value)[:MAX_QUOTED]}' is not a number.")
    try:
        return float(value)
    except OverflowError:
        raise FetchError("A number is too large.") from None


@contextmanager
def malformed_response_as_error(provider: str) -> Iterator[None]:
    """Raise errors while parsing a response as `FetchError`."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError):
        raise FetchError(f"{provider} sent an answer that cannot be understood.") from None


def reason_at(*path: str) -> ReasonParser:
    """Return a parser for the reason at this path in a JSON error response."""

    def parse_reason(body: bytes) -> str | None:
        try:
            value = from_json(body)
            for name in path:
                value = value[name]
        except (ValueError, KeyError, IndexError, TypeError):
            return None
        return value if isinstance(value, str) else None

    return parse_reason


def check_path(text: str) -> str:
    """Validate a JMESPath expression in settings."""
    if len(text) > MAX_PATH_CHARACTERS:
        raise ValueError(f"is longer than {MAX_PATH_CHARACTERS} characters")
    try:
        jmespath.compile(text)
    except JMESPathError as error:
        raise ValueError(f"is no JMESPath expression such as prices[*].value: {str(error).splitlines()[0]}") from error
    return text


JsonPath = Annotated[str, AfterValidator(check_path)]
"""A JMESPath expression."""
