"""The broker of one process: kombu's memory transport, with consumers woken by messages instead of polling."""

import threading
from queue import Empty
from time import monotonic
from typing import Any

from kombu.connection import Connection
from kombu.transport import TRANSPORT_ALIASES, memory

SCHEME = "inprocess"
WAKE_SECONDS = 0.1
"""Seconds after which a consumer wakes up without a message, to notice that it has to stop."""


class _Bell:
    """A bell that rings when there may be a message to deliver."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self.rings = 0

    def ring(self) -> None:
        with self._condition:
            self.rings += 1
            self._condition.notify_all()

    def wait(self, seen: int, timeout: float) -> bool:
        """Wait until the number of rings differs from `seen`. Return False at the timeout."""
        with self._condition:
            return self._condition.wait_for(lambda: self.rings != seen, timeout)


_bell = _Bell()


class Channel(memory.Channel):
    """A channel that announces its messages, and puts back unfinished ones when it closes."""

    do_restore = True

    def _put(self, queue: str, message: object, **options: object) -> None:
        super()._put(queue, message, **options)
        _bell.ring()

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        super().basic_ack(delivery_tag, multiple)
        _bell.ring()  # the consumer may now take the next one


class Transport(memory.Transport):
    """A transport that waits for messages without polling."""

    Channel = Channel
    cycle: Any

    def drain_events(self, connection: Connection, timeout: float | None = None, **_: object) -> None:
        deadline = monotonic() + min(timeout or WAKE_SECONDS, WAKE_SECONDS)
        while True:
            seen = _bell.rings
            try:
                self.cycle.get(self._deliver)
                return
            except Empty:
                if not _bell.wait(seen, deadline - monotonic()):
                    raise TimeoutError from None


TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"
