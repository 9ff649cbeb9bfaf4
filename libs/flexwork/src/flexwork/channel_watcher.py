"""The channel watcher: does work at every notification on a channel of PostgreSQL, and at intervals."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from flexmodel.errors import Unavailable
from flexstore.store import Store

log = logging.getLogger(__name__)


class ChannelWatcher:
    """Does `work` at every notification on the channel, and every `poll` seconds in case one is lost.

    If `work` returns True, it is repeated after `soon` seconds at most.
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
        """Do the work at once. Call this on the event loop of the watcher."""
        self._wake.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._listen())
            both.create_task(self._work())

    async def _listen(self) -> None:
        """Listen to the channel. When that fails, polling finds the work a little later."""
        while True:
            try:
                await self.store.listen(self.channel, self.wake)
            except Unavailable:
                pass  # the worker below logs it
            except Exception:  # no error may end the watcher
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
            except Exception:  # no error may end the watcher, for example tables that are not there yet
                log.exception("%s cannot be worked on", self.channel)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self.soon if again else self.poll)
