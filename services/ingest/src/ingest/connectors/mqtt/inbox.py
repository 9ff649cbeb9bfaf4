"""What has come and is not stored yet: filled by the network's thread, emptied by the event loop, never too full."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from threading import Condition

MOST_MESSAGES = 1_000
MOST_BYTES = 16_000_000


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it came."""

    topic: str
    payload: bytes | None
    """None if it was too large to keep."""
    qos: int
    number: int
    """What the broker calls it on this connection."""
    retained: bool
    arrived: datetime


class Inbox:
    """A full one lets the network wait, and with it the broker."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed = Condition()
        self._filled = asyncio.Event()
        self._messages: list[Message] = []
        self._bytes = 0
        self._end: Exception | None = None

    def put(self, message: Message) -> None:
        """From the network's thread. What comes after the end is dropped: the broker will send it again."""
        with self._changed:
            self._changed.wait_for(lambda: self._end is not None or self._has_room())
            if self._end is not None:
                return
            self._messages.append(message)
            self._bytes += len(message.payload or b"")
        self._wake()

    async def take(self) -> list[Message]:
        """All there is, as soon as there is something. Raises the reason of the end, once there is one."""
        await self._filled.wait()
        with self._changed:
            if self._end is not None:
                raise self._end
            taken, self._messages, self._bytes = self._messages, [], 0
            self._filled.clear()
            self._changed.notify_all()
        return taken

    def end(self, reason: Exception) -> None:
        """From any thread. Of several reasons the first counts."""
        with self._changed:
            self._end = self._end or reason
            self._changed.notify_all()
        self._wake()

    def _has_room(self) -> bool:
        return len(self._messages) < MOST_MESSAGES and self._bytes < MOST_BYTES

    def _wake(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._filled.set)
