"""The status of a sensor: the age of its data, and whether they are stale."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flexcore.permissions.resources import ResourceRow
from flexmodel.time import format_duration
from flexstore.series import Staleness

OLDEST = timedelta(hours=2)
"""The age beyond which data are stale, unless two events are longer."""


def sensor_status(sensor: ResourceRow, staleness: Staleness | None, now: datetime) -> dict[str, Any]:
    """Return the status of a sensor from one source, as in the response of `…/status`."""
    own = sensor.event_resolution
    age = None if staleness is None else now - staleness.last_event_end
    limit = max(OLDEST, 2 * own)
    since = None if staleness is None else staleness.last_event_end.astimezone(ZoneInfo(sensor.timezone)).isoformat()
    return {
        "asset_name": sensor.asset_name,
        "id": sensor.id,
        "name": sensor.name,
        "reason": reason(age, limit),
        "relation": "sensor belongs to this asset",
        "resolution": format_duration(own, days=True),
        "source_type": None if staleness is None else staleness.source_type,
        "stale": age is None or age > limit,
        "staleness": None if age is None else format_duration(abs(age), days=True),
        "staleness_since": since,
    }


def reason(age: timedelta | None, limit: timedelta) -> str:
    if age is None:
        return "no data recorded"
    if age < timedelta(0):
        return f"most recent data is {length_in_words(-age)} in the future"
    relation = "but should not be" if age > limit else "which is not"
    return f"most recent data is {length_in_words(age)} old, {relation} more than {length_in_words(limit)} old"


def length_in_words(length: timedelta) -> str:
    """Return a length of time in words: `1 day, 19 hours and 46 seconds`."""
    hours, rest = divmod(length.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    numbers = ((length.days, "day"), (hours, "hour"), (minutes, "minute"), (seconds, "second"))
    parts = [f"{number} {unit}{'' if number == 1 else 's'}" for number, unit in numbers if number] or ["0 seconds"]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def utc_now() -> datetime:
    return datetime.now(UTC)
