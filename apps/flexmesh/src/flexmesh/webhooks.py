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

from flexmesh.inventory import read, row
from flexmesh.listing import Table

HEADER = ("ID", "Account", "Where", "Events", "Assets", "Sensors", "State", "Description")


async def add(con: Connection, account: int, **values: object) -> tuple[int, str]:
    """Create a webhook of the account. Return its id and secret."""
    await row(con, "account", account, "account")
    most = load(GatewaySettings).webhooks_per_account
    made, secret = await service.create(con, None, account, read(WebhookPost, **values), most)
    return made["id"], secret


async def listed(con: Connection, account: int | None) -> Table:
    """Return the webhooks of an account, or of all."""
    if account is not None:
        await row(con, "account", account, "account")
    return HEADER, [
        (hook["id"], hook["account_id"], subscriptions.origin_of(hook["url"]),
         *map(any_or, (hook["events"], hook["assets"], hook["sensors"])), state(hook), hook["description"])
        for hook in await repository.load_of_account(con, account)
    ]  # fmt: skip


def any_or(values: Sequence[object]) -> str:
    return ", ".join(map(str, values)) or "all"


def state(hook: WebhookRow) -> str:
    if not hook["active"]:
        return f"off: {hook['disabled_reason']}" if hook["disabled_reason"] else "off"
    return "on" if hook["failing_since"] is None else f"fails since {hook['failing_since']:%Y-%m-%d %H:%M} UTC"


async def delete(con: Connection, webhook: int) -> str:
    """Delete the webhook, and return the origin of its address."""
    found = await resources.find(con, ResourceType.WEBHOOK, webhook)
    if found is None:
        raise NotFound(f"There is no webhook with id {webhook}.")
    await service.delete(con, None, found)
    return subscriptions.origin_of(found["url"])
