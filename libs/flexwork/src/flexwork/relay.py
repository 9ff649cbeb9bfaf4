"""The relay: sends the messages of the outbox once their transactions are committed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from flexstore.store import Store

from flexwork.broker import Publisher
from flexwork.channel_watcher import ChannelWatcher
from flexwork.contracts import TASK_PREFIX
from flexwork.outbox import CHANNEL, Message

log = logging.getLogger(__name__)

type Deliver = Callable[[Message], Awaitable[None]]
"""Delivers a message, or raises an error."""


CLAIM = """
select id, topic, payload, headers, attempts, created_at from outbox
where due_at <= now() and topic like any($1::text[])
order by due_at, id
limit $2
for update skip locked
"""
DELETE = "delete from outbox where id = any($1::bigint[])"
PUT_OFF = """
update outbox
set attempts = attempts + 1, last_error = $2,
    due_at = now() + least($3, 0.5 * 2 ^ least(attempts + 1, 30)) * interval '1 second'
where id = $1
"""


class Relay:
    """Sends the messages of the outbox, each at least once. Any number of relays may run at the same time.

    `topics` are patterns of SQL's LIKE, for example `task:%`. A failed delivery is tried again after longer and longer
    pauses. A message is deleted only after `deliver` has returned.
    """

    def __init__(
        self,
        store: Store,
        deliver: Deliver,
        *,
        topics: Sequence[str],
        poll: float = 1.0,
        batch: int = 20,
        delivery_timeout: float = 30.0,
        longest_wait: float = 60.0,
    ) -> None:
        self.store = store
        self.deliver = deliver
        self.topics = list(topics)
        self.batch = batch
        self.delivery_timeout = delivery_timeout
        """Seconds that one delivery may take."""
        self.longest_wait = longest_wait
        """The longest pause between two attempts, in seconds."""
        self._watcher = ChannelWatcher(store, CHANNEL, self._relay, poll=poll)

    def wake(self) -> None:
        """Look into the outbox at once. To be called on the relay's event loop."""
        self._watcher.wake()

    async def run(self) -> None:
        """Relay until cancelled."""
        await self._watcher.run()

    async def _relay(self) -> bool:
        while await self._relay_batch():
            pass
        return False

    async def _relay_batch(self) -> int:
        """Deliver a batch of messages that are due. Returns their number."""
        async with self.store.transaction() as con:
            rows = await con.fetch(CLAIM, self.topics, self.batch)
            errors = await asyncio.gather(*(self._deliver(Message(*row[1:])) for row in rows))
            delivered = [row["id"] for row, error in zip(rows, errors, strict=True) if error is None]
            await con.execute(DELETE, delivered)
            for row, error in zip(rows, errors, strict=True):
                if error is not None:
                    await con.execute(PUT_OFF, row["id"], error, self.longest_wait)
        return len(rows)

    async def _deliver(self, message: Message) -> str | None:
        """Deliver one message. Returns the error, if any."""
        try:
            async with asyncio.timeout(self.delivery_timeout):
                await self.deliver(message)
        except Exception as error:
            sentence = f"{type(error).__name__}: {error}"
            log.warning(
                "A message for %s could not be delivered (attempt %d): %s",
                message.topic,
                message.attempts + 1,
                sentence,
            )
            return sentence
        return None


def task_relay(store: Store, publisher: Publisher) -> Relay:
    """Return the relay that publishes tasks to the broker."""

    async def publish(message: Message) -> None:
        await publisher.publish(message.queue, message.payload, message.headers)

    return Relay(store, publish, topics=[f"{TASK_PREFIX}%"])
