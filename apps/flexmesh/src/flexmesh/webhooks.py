"""Webhooks on the command line."""

from collections.abc import Sequence

from api_gateway.settings import GatewaySettings
from flexcore.permissions import resources
from flexcore.permissions.policy import ResourceType
from flexcore.webhooks import repository, service, subscriptions
from flexcore.webhooks.inputs import WebhookPost
from flexcore.webhooks.repository import WebhookRow
from flexmodel.errors import NotFound
from flexserve.settings import load
from flexstore.store import Connection

from flexmesh.record_creation import load_row, validate_input
from flexmesh.tables import Table

HEADER = ("ID", "Account", "Where", "Events", "Assets", "Sensors", "State", "Description")


async def add_webhook(con: Connection, account: int, **values: object) -> tuple[int, str]:
    """Create a webhook of the account. Return its id and secret."""
    await load_row(con, "account", account, "account")
    most = load(GatewaySettings).webhooks_per_account
    made, secret = await service.create(con, None, account, validate_input(WebhookPost, **values), most)
    return made["id"], secret


async def list_webhooks(con: Connection, account: int | None) -> Table:
    """Return the webhooks of an account, or of all."""
    if account is not None:
        await load_row(con, "account", account, "account")
    return HEADER, [
        (hook["id"], hook["account_id"], subscriptions.origin_of(hook["url"]),
         *map(join_or_all, (hook["events"], hook["assets"], hook["sensors"])), format_state(hook), hook["description"])
        for hook in await repository.load_of_account(con, account)
    ]  # fmt: skip


def join_or_all(values: Sequence[object]) -> str:
    return ", ".join(map(str, values)) or "all"


def format_state(hook: WebhookRow) -> str:
    if not hook["active"]:
        return f"off: {hook['disabled_reason']}" if hook["disabled_reason"] else "off"
    return "on" if hook["failing_since"] is None else f"fails since {hook['failing_since']:%Y-%m-%d %H:%M} UTC"


async def delete_webhook(con: Connection, webhook: int) -> str:
    """Delete the webhook, and return the origin of its address."""
    found = await resources.find(con, ResourceType.WEBHOOK, webhook)
    if found is None:
        raise NotFound(f"There is no webhook with id {webhook}.")
    await service.delete(con, None, found)
    return subscriptions.origin_of(found["url"])
