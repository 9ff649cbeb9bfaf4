"""The outbox: messages decided in a transaction, and the relay that sends them once it is committed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flexstore.store import Connection, Store

from flexwork.channel_watcher import ChannelWatcher

log = logging.getLogger(__name__)

CHANNEL = "flexmesh_outbox"
TASK = "task:"
MAIL = "mail"
WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class Message:
    """A message on its way out."""

    topic: str
    payload: Mapping[str, Any]
    headers: Mapping[str, str]
    """W3C trace headers, with which the receiver continues the trace."""
    attempts: int
    """How often sending it has failed."""
    created_at: datetime

    @property
    def queue(self) -> str:
        """The broker queue that a task is for."""
        return self.topic.removeprefix(TASK)


type Deliver = Callable[[Message], Awaitable[None]]

PUT = """
with put as (
    insert into outbox (topic, payload, headers, due_at) values ($1, $2, $3, coalesce($4, now())) returning id
)
select id, pg_notify($5, $1) from put
"""
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


async def put(
    con: Connection,
    topic: str,
    payload: Mapping[str, Any],
    due_at: datetime | None = None,
    headers: Mapping[str, str] | None = None,
) -> int:
    """Leave a message, to be sent when the caller's transaction is committed, or later if `due_at` says so.

    The topic is `task:<queue>` for the broker, `webhook` for delivery, `mail` for a mail.
    """
    row = await con.fetchrow(PUT, topic, dict(payload), dict(headers or {}), due_at, CHANNEL)
    assert row is not None
    number: int = row["id"]
    return number


class Relay:
    """Sends what is in the outbox, each message at least once. Any number of relays may run at once.

    `topics` are patterns of SQL's LIKE, for example `task:%`. What cannot be delivered is tried again later and later,
    until it can. A message is deleted only after `deliver` has returned.
    """

    def __init__(
        self,
        store: Store,
        deliver: Deliver,
        *,
        topics: Sequence[str],
        poll: float = 1.0,
        batch: int = 20,
        patience: float = 30.0,
        longest_wait: float = 60.0,
    ) -> None:
        self.store = store
        self.deliver = deliver
        self.topics = list(topics)
        self.batch = batch
        self.patience = patience
        """Seconds that one delivery may take."""
        self.longest_wait = longest_wait
        """Seconds between attempts at most."""
        self._watch = ChannelWatcher(store, CHANNEL, self._relay, poll=poll)

    def poke(self) -> None:
        """Look into the outbox at once. To be called on the relay's event loop."""
        self._watch.wake()

    async def run(self) -> None:
        """Relay until cancelled."""
        await self._watch.run()

    async def _relay(self) -> bool:
        while await self._relay_batch():
            pass
        return False

    async def _relay_batch(self) -> int:
        """Deliver what is due, a few messages at a time. Returns how many there were."""
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
        """Deliver one message. Returns why that failed."""
        try:
            async with asyncio.timeout(self.patience):
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
