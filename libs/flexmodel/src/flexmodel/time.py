"""Time: ISO 8601 durations (nominal ones included), aware datetimes, and steps on the UTC clock."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

import isodate
import numpy as np
from numpy.typing import NDArray

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Instants = NDArray[np.datetime64]
"""Instants in UTC, as numpy's `datetime64[us]`."""


class TimeError(ValueError):
    """A text that is no datetime, no duration or no time zone."""


@dataclass(frozen=True, slots=True)
class Duration:
    """A nominal duration. Years, months and days have no fixed length; `rest` has."""

    years: int = 0
    months: int = 0
    days: int = 0
    rest: timedelta = timedelta(0)

    def after(self, start: datetime, zone: tzinfo | None = None) -> datetime:
        """Return the end of the duration from `start`, by the calendar and clock of a zone (default: that of start)."""
        local = start.astimezone(zone or start.tzinfo)
        months = local.year * 12 + local.month - 1 + self.years * 12 + self.months
        shifted = _with_month(local, months // 12, months % 12 + 1) + timedelta(days=self.days)
        return (shifted.astimezone(UTC) + self.rest).astimezone(start.tzinfo)

    def before(self, end: datetime, zone: tzinfo | None = None) -> datetime:
        """Return the start of the duration that ends at `end`."""
        return Duration(-self.years, -self.months, -self.days, -self.rest).after(end, zone)

    def from_start(self, start: datetime, zone: tzinfo | None = None) -> timedelta:
        """Return the length of the duration from `start`."""
        return self.after(start, zone) - start.astimezone(UTC)


def _with_month(moment: datetime, year: int, month: int) -> datetime:
    """Return the same day of another month, or its last day if it has no such day."""
    try:
        return moment.replace(year=year, month=month)
    except ValueError:
        first_of_next = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
        return moment.replace(year=year, month=month, day=(first_of_next - timedelta(days=1)).day)


def parse_duration(text: object) -> Duration:
    """Parse an ISO 8601 duration. Raises `TimeError`, also for a value that is no text."""
    if not isinstance(text, str):
        raise TimeError(f"Cannot parse {text} as ISO8601 duration: it is no text like 'PT1H'")
    return _parsed_duration(text)


@lru_cache(maxsize=2_000)
def _parsed_duration(text: str) -> Duration:
    try:
        parsed = isodate.parse_duration(text)
    except (isodate.ISO8601Error, TypeError, ValueError, OverflowError) as error:
        raise TimeError(f"Cannot parse {text} as ISO8601 duration: {error}") from error
    if isinstance(parsed, timedelta):
        return _split_days(text, parsed)
    if parsed.years % 1 or parsed.months % 1:
        raise TimeError(f"Cannot parse {text} as ISO8601 duration: years and months must be whole numbers")
    whole = _split_days(text, parsed.tdelta)
    return Duration(int(parsed.years), int(parsed.months), whole.days, whole.rest)


def _split_days(text: str, length: timedelta) -> Duration:
    """Separate the days that were written as days (`P1D`) from those written as hours (`PT24H`)."""
    time_part = text.partition("T")[2]
    rest = isodate.parse_duration(f"PT{time_part}") if time_part else timedelta(0)
    if text.startswith("-"):
        rest = -rest
    days = (length - rest) / timedelta(days=1)
    if not days.is_integer():
        return Duration(rest=length)
    return Duration(days=int(days), rest=rest)


def parse_fixed_duration(text: object) -> timedelta:
    """Parse a duration of fixed length: a day is 24 hours. Raises `TimeError` for years and months."""
    duration = parse_duration(text)
    if duration.years or duration.months:
        raise TimeError(f"Cannot use {text} here: years and months differ in length. Give days, hours or minutes.")
    return timedelta(days=duration.days) + duration.rest


def format_duration(length: timedelta, *, days: bool = False) -> str:
    """Format a duration in hours, minutes and seconds (`PT24H`), with `days` also in days (`P1D`). Zero is `P0D`."""
    if not length:
        return "P0D"
    sign, length = ("-", -length) if length < timedelta(0) else ("", length)
    whole_days = length.days if days else 0
    seconds, microseconds = divmod((length - timedelta(days=whole_days)) // timedelta(microseconds=1), 1_000_000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    fraction = f".{microseconds:06}".rstrip("0") if microseconds else ""
    clock = (f"{hour}H" if hour else "") + (f"{minute}M" if minute else "")
    clock += f"{second}{fraction}S" if second or microseconds else ""
    return f"{sign}P" + (f"{whole_days}D" if whole_days else "") + (f"T{clock}" if clock else "")


def parse_moment(text: object) -> datetime:
    """Parse an ISO 8601 datetime. Raises `TimeError`, also if it has no offset from UTC."""
    try:
        if not isinstance(text, str):
            raise ValueError("no text")
        if "T" not in text and " " not in text:
            raise ValueError("no time of day")
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError) as error:
        raise TimeError("Not a valid datetime.") from error
    if moment.tzinfo is None:
        raise TimeError("Not a valid aware datetime.")
    return moment


def zone(name: str) -> tzinfo:
    """Return the time zone of that name. Raises `TimeError` if there is none."""
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise TimeError(f"There is no time zone named '{name}'.") from error


def floor(moment: datetime, resolution: timedelta) -> datetime:
    """Return the last tick of the UTC clock at or before a moment. Without a resolution every moment is a tick."""
    utc = moment.astimezone(UTC)
    return utc - (utc - _EPOCH) % resolution if resolution else utc


def ceil(moment: datetime, resolution: timedelta) -> datetime:
    """Return the first tick of the UTC clock at or after a moment."""
    below = floor(moment, resolution)
    return below if below == moment else below + resolution


def is_on_clock(moment: datetime, resolution: timedelta) -> bool:
    """Return whether a moment is a tick."""
    return floor(moment, resolution) == moment


def instant(moment: datetime) -> np.datetime64:
    """Convert an aware datetime to numpy's."""
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")


def moment_of(value: np.datetime64) -> datetime:
    """Convert numpy's datetime to an aware one, in UTC."""
    return _EPOCH + timedelta(microseconds=int(value.astype("datetime64[us]").astype(np.int64)))


def steps(start: datetime, resolution: timedelta, count: int) -> Instants:
    """Return `count` instants from `start`, one every `resolution`."""
    offsets = np.arange(count) * np.timedelta64(resolution // timedelta(microseconds=1), "us")
    result: Instants = instant(start) + offsets
    return result
