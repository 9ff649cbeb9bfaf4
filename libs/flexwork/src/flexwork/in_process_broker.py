"""The broker of one process: kombu's memory transport, except that a message wakes its consumer instead of a poll."""

import threading
from queue import Empty
from time import monotonic
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, memory

SCHEME = "inprocess"
# A consumer looks up this often even when nothing arrives: that is how long it may take to notice that it should stop.
LOOK_UP_SECONDS = 0.1


class _Bell:
    """Rung when there may be something to deliver."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self.rings = 0

    def ring(self) -> None:
        with self._condition:
            self.rings += 1
            self._condition.notify_all()

    def wait(self, seen: int, timeout: float) -> bool:
        """Wait until it was rung more often than `seen`."""
        with self._condition:
            return self._condition.wait_for(lambda: self.rings != seen, timeout)


_bell = _Bell()


class Channel(memory.Channel):
    """A channel that announces its messages, and puts back what is unfinished when it closes."""

    do_restore = True

    def _put(self, queue: str, message: Any, **options: Any) -> None:
        super()._put(queue, message, **options)
        _bell.ring()

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        super().basic_ack(delivery_tag, multiple)
        _bell.ring()  # the consumer may now take the next one


class Transport(memory.Transport):
    """Waits for messages without polling."""

    Channel = Channel
    cycle: Any

    def drain_events(self, connection: Any, timeout: float | None = None, **_: Any) -> None:
        deadline = monotonic() + min(timeout or LOOK_UP_SECONDS, LOOK_UP_SECONDS)
        while True:
            seen = _bell.rings
            try:
                self.cycle.get(self._deliver)
                return
            except Empty:
                if not _bell.wait(seen, deadline - monotonic()):
                    raise TimeoutError from None


TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"
