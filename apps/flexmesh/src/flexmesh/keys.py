"""API keys on the command line."""

from typing import Any

from api_gateway.settings import GatewaySettings
from flexcore.keys import service
from flexcore.keys.inputs import KeyPost
from flexcore.keys.repository import load_of_account
from flexcore.permissions import resources
from flexcore.permissions.policy import ResourceType
from flexcore.tokens import service as tokens
from flexcore.tokens.repository import TokenRow
from flexmodel.errors import NotFound
from flexserve.settings import load
from flexstore.store import Connection

from flexmesh.record_creation import load_row, validate_input
from flexmesh.tables import Table

HEADER = (
    "ID", "Name", "Begins with", "User", "Account", "Scopes", "Only for account", "Created", "Last used", "Expires",
)  # fmt: skip


async def add_key(con: Connection, *, user: str, only_account: int | None, **values: object) -> tuple[str, TokenRow]:
    """Create an API key for the user with this address or name. Return it with its row."""
    found = await con.fetchrow(
        "select id, account_id, username from users where active and (lower(email) = lower($1) or username = $1)", user
    )
    if found is None:
        raise NotFound(f"There is no active user '{user}'. See `flexmesh show users`.")
    if only_account is not None:
        await load_row(con, "account", only_account, "account")
    wanted = validate_input(KeyPost, only_account=only_account, **values)
    holder = service.Holder(found["id"], found["account_id"], found["username"])
    return await service.create(con, None, holder, wanted, load(GatewaySettings).keys_per_account)


async def list_keys(con: Connection, account: int | None) -> Table:
    """Return the keys of the users of an account, or of all."""
    if account is not None:
        await load_row(con, "account", account, "account")
    rows: list[Any] = [
        (key["id"], key["name"], f"{key['hint']}…", key["username"], key["home_account_id"], ", ".join(key["scopes"]),
         key["account_id"], key["created_at"], key["last_used_at"], key["expires_at"])
        for key in await load_of_account(con, account)
    ]  # fmt: skip
    return HEADER, rows


async def delete_key(con: Connection, key: int) -> str:
    """Revoke the key, and return its name."""
    found = await resources.find(con, ResourceType.KEY, key)
    if found is None:
        raise NotFound(f"There is no API key with id {key}.")
    await tokens.revoke(con, None, found)
    return str(found["name"])
