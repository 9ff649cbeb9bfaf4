"""Doing what is to be done as soon as somebody says so, and now and then in case that went unheard."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from flexmodel.errors import Unavailable
from flexstore.store import Store

log = logging.getLogger(__name__)


class ChannelWatcher:
    """Does `work` at every notification on the channel, and every `poll` seconds.

    When `work` returns True, it is done again soon, after `soon` seconds at most.
    """

    def __init__(
        self, store: Store, channel: str, work: Callable[[], Awaitable[bool]], *, poll: float, soon: float = 0.0
    ) -> None:
        self.store = store
        self.channel = channel
        self.work = work
        self.poll = poll
        self.soon = soon
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Work at once. To be called on the watch's event loop."""
        self._wake.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._listen())
            both.create_task(self._work())

    async def _listen(self) -> None:
        """Be told by other processes. Without that, polling finds out a little later."""
        while True:
            try:
                await self.store.listen(self.channel, self.wake)
            except Unavailable:
                pass  # who works says so
            except Exception:  # as below
                log.exception("%s cannot be listened to", self.channel)
            await asyncio.sleep(self.poll)

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            again = False
            try:
                again = await self.work()
            except Unavailable as error:
                log.warning("%s cannot be worked on: %s", self.channel, error)
            except Exception:  # whatever it is, for example tables that are not there yet: it must not end the watch
                log.exception("%s cannot be worked on", self.channel)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self.soon if again else self.poll)
