"""Stored webhooks: their subscriptions, the messages for them, and the outcome of deliveries."""

import secrets
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from flexmodel.errors import Invalid
from flexstore import audit_log
from flexstore.store import Connection
from flexwork import activities, outbox
from flexwork.contracts import MailMessage, Topic

SECRET_PREFIX = "whsec_"  # noqa: S105 - how secrets of the Standard Webhooks specification begin
SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Webhook:
    """A row of the table `webhook`, as far as delivery needs it; the columns are explained there."""

    id: int
    account_id: int
    url: str
    secret: str
    old_secret: str | None
    """The secret before this one, while it still counts."""
    active: bool

    @property
    def origin(self) -> str:
        return origin_of(self.url)


COLUMNS = "id, account_id, url, secret, case when old_secret_until > now() then old_secret end, active"
ADD = f"""
insert into webhook (account_id, url, secret, events, assets, sensors, description) values ($1, $2, $3, $4, $5, $6, $7)
returning {COLUMNS}
"""  # noqa: S608 - put together from constants
GET = f"select {COLUMNS} from webhook where id = $1"  # noqa: S608 - put together from constants
ROTATE = """
update webhook set old_secret = secret, old_secret_until = now() + $3::interval, secret = $2 where id = $1
"""
NOTE_SUCCESS = "update webhook set failing_since = null where id = $1 and failing_since is not null"
NOTE_FAILURE = """
update webhook set failing_since = coalesce(failing_since, now()) where id = $1 returning now() - failing_since
"""
DISABLE = """
update webhook set active = false, disabled_reason = $2, failing_since = null where id = $1 and active returning true
"""
ADMINISTRATORS = """
select distinct u.email from users u join user_role ur on ur.user_id = u.id join role r on r.id = ur.role_id
where u.account_id = $1 and u.active and r.name = 'account-admin'
"""
LOG = """
insert into webhook_delivery (webhook_id, message_id, type, attempt, status, error, seconds)
select id, $2, $3, $4, $5, $6, $7 from webhook where id = $1
"""
FORGET = "delete from webhook_delivery where attempted_at < now() - $1::interval"


async def add(
    con: Connection,
    account_id: int,
    url: str,
    types: Sequence[str] = (),
    *,
    assets: Sequence[int] = (),
    sensors: Sequence[int] = (),
    description: str = "",
) -> Webhook:
    """Add a webhook for activities of the account: of some types, assets and sensors, or of all. It gets a secret."""
    filters = list(types), list(assets), list(sensors)
    row = await con.fetchrow(ADD, account_id, checked(url), new_secret(), *filters, description)
    assert row is not None
    return Webhook(*row)


def checked(url: str) -> str:
    """Return the address if messages can be sent there, else raise `Invalid`."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, half an IPv6 address
        usable = False
    if not usable or not url.isprintable() or " " in url:
        raise Invalid({"url": [f"'{url}' is not an address that begins with https:// or http://."]})
    if parts.username is not None:
        raise Invalid({"url": ["Leave out the user and the password: messages are signed instead."]})
    return url


def origin_of(url: str) -> str:
    """Return the origin of a webhook's address. The rest may be secret, so logs and mails contain only this."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


def new_secret() -> str:
    return SECRET_PREFIX + b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


async def get(con: Connection, webhook_id: int) -> Webhook | None:
    row = await con.fetchrow(GET, webhook_id)
    return None if row is None else Webhook(*row)


async def rotate(con: Connection, webhook_id: int, keep_old: timedelta) -> str:
    """Store and return a new secret. The old one also signs for this long."""
    secret = new_secret()
    await con.execute(ROTATE, webhook_id, secret, keep_old)
    return secret


async def send(
    con: Connection,
    webhook_id: int,
    message_id: str,
    body: Mapping[str, Any],
    headers: Mapping[str, str] | None = None,
) -> None:
    """Put a message for this webhook into the outbox, whatever it subscribes to."""
    await outbox.put(con, Topic.WEBHOOK, {"id": message_id, "webhook": webhook_id, **body}, headers=headers)


async def note_success(con: Connection, webhook_id: int) -> None:
    await con.execute(NOTE_SUCCESS, webhook_id)


async def note_failure(con: Connection, webhook_id: int) -> timedelta:
    """Record a failure. Return for how long nothing could be delivered by now."""
    failing: timedelta | None = await con.fetchval(NOTE_FAILURE, webhook_id)
    return failing or timedelta(0)


async def disable(con: Connection, webhook: Webhook, reason: str) -> None:
    """Disable the webhook, and inform its owners: in the audit log, as an activity, and by mail."""
    if not await con.fetchval(DISABLE, webhook.id, reason):
        return
    sentence = f"Webhook {webhook.id} to {webhook.origin} was disabled: {reason}"
    await audit_log.record(
        con, sentence, account_id=webhook.account_id, details={"active": {"before": True, "after": False}}
    )
    told = {"webhook": webhook.id, "reason": reason}
    await activities.record(con, webhook.account_id, activities.ActivityType.WEBHOOK_DISABLED, told)
    text = f"{sentence}\n\nIt is told nothing more until somebody enables it again.\n"
    for row in await con.fetch(ADMINISTRATORS, webhook.account_id):
        mail = MailMessage(to=row["email"], subject=f"Webhook {webhook.id} was disabled", text=text)
        await outbox.put(con, Topic.MAIL, mail.to_payload())


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
    """Log an attempt to deliver, unless the webhook has been deleted."""
    await con.execute(LOG, webhook_id, message_id, type, attempt, status, error, seconds)


async def forget(con: Connection, older_than: timedelta) -> None:
    """Delete log entries that are older than this."""
    await con.execute(FORGET, older_than)
