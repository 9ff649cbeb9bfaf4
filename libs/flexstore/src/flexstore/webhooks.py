"""Webhooks: who wants to be told of what, and the messages that tell them."""

import secrets
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from flexmodel.errors import Invalid

from flexstore.outbox import CHANNEL
from flexstore.store import Connection

TOPIC = "webhook"
SECRET_PREFIX = "whsec_"  # noqa: S105 - how secrets of the Standard Webhooks specification begin
SECRET_BYTES = 32

HEARS = "account_id = $1 and active and (events = '{}' or $2 = any(events))"


@dataclass(frozen=True, slots=True)
class Webhook:
    """A row of the table `webhook`, where the columns are explained."""

    id: int
    account_id: int
    url: str
    secret: str
    events: Sequence[str]
    active: bool


ADD = """
insert into webhook (account_id, url, secret, events) values ($1, $2, $3, $4)
returning id, account_id, url, secret, events, active
"""
GET = "select id, account_id, url, secret, events, active from webhook where id = $1"
SWITCH_OFF = "update webhook set active = false where id = $1"
IS_AWAITED = f"select exists (select from webhook where {HEARS})"  # noqa: S608 - put together from constants
ANNOUNCE = f"""
with told as (
    insert into outbox (topic, headers, payload)
    select '{TOPIC}', $4, jsonb_build_object(
        'id', 'msg_' || gen_random_uuid(), 'webhook', id, 'type', $2::text, 'data', $3::jsonb
    )
    from webhook where {HEARS}
    returning id
)
select count(*), case when count(*) > 0 then pg_notify('{CHANNEL}', '{TOPIC}') end from told
"""  # noqa: S608 - put together from constants
LOG = """
insert into webhook_delivery (webhook_id, message_id, type, attempt, status, error, seconds)
select id, $2, $3, $4, $5, $6, $7 from webhook where id = $1
"""
FORGET = "delete from webhook_delivery where attempted_at < now() - $1::interval"


async def add(con: Connection, account_id: int, url: str, events: Sequence[str] = ()) -> Webhook:
    """Have `url` told of events of the account: of those types, or of all. The secret is made here."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Invalid({"url": [f"'{url}' is not an address that begins with https:// or http://."]})
    secret = SECRET_PREFIX + b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    row = await con.fetchrow(ADD, account_id, url, secret, list(events))
    assert row is not None
    return Webhook(*row)


async def get(con: Connection, webhook_id: int) -> Webhook | None:
    row = await con.fetchrow(GET, webhook_id)
    return None if row is None else Webhook(*row)


async def is_awaited(con: Connection, account_id: int | None, type: str) -> bool:
    """Whether anyone wants to be told of such an event of the account."""
    awaited: bool = await con.fetchval(IS_AWAITED, account_id, type)
    return awaited


async def announce(
    con: Connection,
    account_id: int | None,
    type: str,
    data: Mapping[str, Any],
    headers: Mapping[str, str] | None = None,
) -> int:
    """Leave a message for each webhook of the account that hears of such events, as part of the caller's transaction.

    Returns how many there are. What belongs to no account is announced to nobody. `headers` are the W3C trace headers
    of where it happened, with which the delivery continues the trace.
    """
    row = await con.fetchrow(ANNOUNCE, account_id, type, dict(data), dict(headers or {}))
    assert row is not None
    told: int = row["count"]
    return told


async def switch_off(con: Connection, webhook_id: int) -> None:
    """Tell it nothing more."""
    await con.execute(SWITCH_OFF, webhook_id)


async def log(
    con: Connection,
    webhook_id: int,
    *,
    message_id: str,
    type: str,
    attempt: int,
    status: int | None,
    error: str | None,
    seconds: float,
) -> None:
    """Note an attempt to deliver, unless the webhook is gone by now."""
    await con.execute(LOG, webhook_id, message_id, type, attempt, status, error, seconds)


async def forget(con: Connection, older_than: timedelta) -> None:
    """Drop what was noted longer ago."""
    await con.execute(FORGET, older_than)
