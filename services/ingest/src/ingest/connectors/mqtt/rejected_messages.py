"""Rejected messages: counted, and logged with topic and reason at a limited rate."""

from time import monotonic

from flexserve import logs
from prometheus_client import Counter

log = logs.get(__name__)

MESSAGES = Counter(
    "flexmesh_mqtt_messages",
    "Messages of MQTT: stored, refused, retained (without a time, so left alone), or unknown (of no series).",
    ("outcome",),
)
QUIET_SECONDS = 10.0
"""Shortest time between two log lines about a series."""
MAX_TOPIC_CHARACTERS = 100
"""Most characters of a topic in the log."""


class RejectedMessages:
    """Rejected messages of one connector."""

    def __init__(self) -> None:
        self._quiet_until: dict[str, float] = {}
        self._suppressed: dict[str, int] = {}

    def add(self, series: str, topic: str, reason: str) -> None:
        MESSAGES.labels("refused").inc()
        if monotonic() < self._quiet_until.get(series, 0.0):
            self._suppressed[series] = self._suppressed.get(series, 0) + 1
            return
        self._quiet_until[series] = monotonic() + QUIET_SECONDS
        more = self._suppressed.pop(series, 0)
        log.warning(
            "a message was refused",
            series=series,
            topic=topic[:MAX_TOPIC_CHARACTERS],
            reason=reason,
            more_since_last=more,
        )
