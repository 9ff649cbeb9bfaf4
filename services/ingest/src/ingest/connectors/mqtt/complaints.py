"""Messages that are of no use: counted, and logged with topic and reason, though not each of a flood of them."""

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
"""After a line about a series, the next."""
SHOWN = 100
"""Characters of a topic in the log."""


class Complaints:
    """What is wrong with the messages of one connector."""

    def __init__(self) -> None:
        self._quiet_until: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def add(self, series: str, topic: str, reason: str) -> None:
        MESSAGES.labels("refused").inc()
        if monotonic() < self._quiet_until.get(series, 0.0):
            self._unsaid[series] = self._unsaid.get(series, 0) + 1
            return
        self._quiet_until[series] = monotonic() + QUIET_SECONDS
        more = self._unsaid.pop(series, 0)
        log.warning("a message was refused", series=series, topic=topic[:SHOWN], reason=reason, more_since_last=more)
