"""The outbox: messages that a transaction leaves, to be sent once it is committed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flexstore.store import Connection

from flexwork.contracts import TASK_PREFIX

CHANNEL = "flexmesh_outbox"
"""The notification channel on which a transaction announces its messages."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the outbox."""

    topic: str
    payload: Mapping[str, Any]
    headers: Mapping[str, str]
    """W3C trace headers, with which the receiver continues the trace."""
    attempts: int
    """The number of failed deliveries."""
    created_at: datetime

    @property
    def queue(self) -> str:
        """The queue of a task."""
        return self.topic.removeprefix(TASK_PREFIX)


PUT = """
with put as (
    insert into outbox (topic, payload, headers, due_at) values ($1, $2, $3, coalesce($4, now())) returning id
)
select id, pg_notify($5, $1) from put
"""


async def put(
    con: Connection,
    topic: str,
    payload: Mapping[str, Any],
    due_at: datetime | None = None,
    headers: Mapping[str, str] | None = None,
) -> int:
    """Add a message, which is sent when the caller's transaction is committed. Returns its id.

    Args:
        con: A connection in a transaction.
        topic: `contracts.task_topic(queue)` for the broker, or a `contracts.Topic`.
        payload: The message, as JSON values.
        due_at: When to send it at the earliest.
        headers: W3C trace headers for the receiver.
    """
    row = await con.fetchrow(PUT, topic, dict(payload), dict(headers or {}), due_at, CHANNEL)
    assert row is not None
    number: int = row["id"]
    return number
