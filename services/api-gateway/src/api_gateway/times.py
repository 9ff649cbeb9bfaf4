"""Formats of times and durations in the API."""

from datetime import UTC, datetime, timedelta

from flexmodel.time import format_duration


def naive(moment: datetime | None) -> str | None:
    """Return a time in UTC without its offset, as existing clients expect it for users and logs."""
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None).isoformat()


def instant(moment: datetime | None) -> str | None:
    """Return a time in UTC with its offset."""
    return None if moment is None else moment.astimezone(UTC).isoformat()


def clock_duration(duration: timedelta) -> str:
    """Return a duration without days: `PT24H`, `PT1H30M`, `PT0H`."""
    return format_duration(duration) if duration else "PT0H"


def calendar_duration(duration: timedelta) -> str:
    """Return a duration with separate days: `P1D`, `PT15M`, `P0D`."""
    return format_duration(duration, days=True)
