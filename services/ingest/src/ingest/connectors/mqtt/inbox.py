"""Bounded buffer of received messages, filled by the network's thread and emptied by the event loop."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from threading import Condition

MAX_MESSAGES = 1_000
MAX_BYTES = 16_000_000


@dataclass(frozen=True, slots=True)
class MqttMessage:
    """A message as received."""

    topic: str
    payload: bytes | None
    """None if it was too large."""
    qos: int
    packet_id: int
    """Packet id on this connection."""
    retained: bool
    arrived: datetime


class Inbox:
    """Bounded buffer of messages. When it is full, the network's thread waits, and with it the broker."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed = Condition()
        self._filled = asyncio.Event()
        self._messages: list[MqttMessage] = []
        self._bytes = 0
        self._stop: Exception | None = None

    def put(self, message: MqttMessage) -> None:
        """Add a message, in the network's thread. After the end it is dropped, because the broker sends it again."""
        with self._changed:
            self._changed.wait_for(lambda: self._stop is not None or self._has_room())
            if self._stop is not None:
                return
            self._messages.append(message)
            self._bytes += len(message.payload or b"")
        self._wake()

    async def take(self) -> list[MqttMessage]:
        """Take all messages, at least one. Raises the reason of the end once there is one."""
        await self._filled.wait()
        with self._changed:
            if self._stop is not None:
                raise self._stop
            taken, self._messages, self._bytes = self._messages, [], 0
            self._filled.clear()
            self._changed.notify_all()
        return taken

    def close(self, reason: Exception) -> None:
        """End the buffer, in any thread. Of several reasons the first counts."""
        with self._changed:
            self._stop = self._stop or reason
            self._changed.notify_all()
        self._wake()

    def _has_room(self) -> bool:
        return len(self._messages) < MAX_MESSAGES and self._bytes < MAX_BYTES

    def _wake(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._filled.set)
