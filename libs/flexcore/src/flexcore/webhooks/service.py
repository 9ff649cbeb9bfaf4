"""Creating, changing, testing and deleting webhooks. Addresses may be secret: logs name only their hosts."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from flexmodel.digits import parse_digits
from flexmodel.errors import Conflict, Invalid, NotFound
from flexserve import tracing
from flexstore.store import Connection
from flexwork import activity_log

from flexcore.audit.service import Actor, changes_between, record_change
from flexcore.permissions.resources import Found, ResourceRow
from flexcore.webhooks import repository, subscriptions
from flexcore.webhooks.inputs import TEST, SecretPost, WebhookPost
from flexcore.webhooks.repository import WebhookRow


async def create(
    con: Connection, actor: Actor | None, account_id: int, wanted: WebhookPost, most: int
) -> tuple[WebhookRow, str]:
    """Create a webhook of the account. Return it with its secret."""
    if await repository.count(con, account_id) >= most:
        raise Conflict(f"Account {account_id} has as many webhooks as it may have ({most}).")
    await check_filters(con, account_id, wanted.assets, wanted.sensors)
    made = await subscriptions.add(
        con,
        account_id,
        wanted.url,
        wanted.events,
        assets=wanted.assets,
        sensors=wanted.sensors,
        description=wanted.description,
    )
    row = await repository.get(con, made.id)
    details = changes_between(None, audited_fields(row))
    await record_change(
        con, actor, f"Created webhook {made.id} to {made.origin}", account_id=account_id, details=details
    )
    return row, made.secret


async def check_filters(con: Connection, account_id: int, assets: list[int], sensors: list[int]) -> None:
    asset, sensor = await repository.find_foreign(con, account_id, assets, sensors)
    if asset is not None:
        raise Invalid({"assets": [f"Account {account_id} has no asset with ID {asset}."]})
    if sensor is not None:
        raise Invalid({"sensors": [f"Account {account_id} has no sensor with ID {sensor}."]})


def audited_fields(row: WebhookRow) -> dict[str, Any]:
    """Return the fields that may appear in the audit log."""
    return {**{name: row[name] for name in repository.CHANGEABLE}, "url": subscriptions.origin_of(row.url)}


async def update(con: Connection, webhook: Found, changes: Mapping[str, Any]) -> WebhookRow:
    """Apply the changes."""
    before = await repository.get(con, webhook.id)
    await check_filters(con, webhook.home_account_id, changes.get("assets", []), changes.get("sensors", []))
    await repository.update(con, webhook.id, changes)
    after = await repository.get(con, webhook.id)
    details = changes_between(audited_fields(before), audited_fields(after))
    if details or before.url != after.url:
        event = f"Updated webhook {after.id} to {subscriptions.origin_of(after.url)}"
        await record_change(con, webhook.caller, event, account_id=webhook.account_id, details=details)
    return after


async def delete(con: Connection, actor: Actor | None, webhook: ResourceRow) -> None:
    """Delete the webhook. Messages on their way to it are no longer delivered."""
    await repository.delete(con, webhook.id)
    event = f"Deleted webhook {webhook.id} to {subscriptions.origin_of(webhook.url)}"
    await record_change(con, actor, event, account_id=webhook.account_id)


async def renew_secret(con: Connection, webhook: Found, wanted: SecretPost) -> str:
    """Give the webhook a new secret, and return it."""
    secret = await subscriptions.rotate(con, webhook.id, wanted.keep_old)
    event = f"Gave webhook {webhook.id} to {subscriptions.origin_of(webhook.row.url)} a new secret"
    await record_change(con, webhook.caller, event, account_id=webhook.account_id)
    return secret


async def send_test(con: Connection, webhook: Found) -> str:
    """Send the webhook a test message, whatever it subscribes to. Return the id of the message."""
    message_id = f"msg_{uuid4()}"
    body = {"type": TEST, "timestamp": datetime.now(UTC), "data": {"webhook": webhook.id}}
    await send(con, webhook, message_id, body)
    return message_id


async def redeliver(con: Connection, webhook: Found, delivery_id: int) -> str:
    """Send the webhook a former message again. Return the id of the message."""
    delivery = await repository.find_delivery(con, webhook.id, delivery_id)
    if delivery is None:
        raise NotFound(f"Webhook {webhook.id} has no delivery with ID {delivery_id}.")
    message_id = delivery.message_id
    position = message_id.removeprefix(activity_log.MESSAGE_PREFIX)
    number = parse_digits(position)
    event = None if number is None else await activity_log.get(con, number)
    if event is None:
        raise Conflict(f"What message {message_id} said is no longer kept.")
    await send(con, webhook, message_id, event.body)
    return message_id


async def send(con: Connection, webhook: Found, message_id: str, body: Mapping[str, Any]) -> None:
    if not webhook.row.active:
        raise Conflict(f"Webhook {webhook.id} is switched off. Switch it on first, by setting active to true.")
    await subscriptions.send(con, webhook.id, message_id, body, tracing.carrier())
