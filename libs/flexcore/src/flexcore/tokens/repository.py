"""SQL about login tokens, sessions and API keys."""

# ruff: noqa: S608  SQL is put together from constants here; values always travel beside it.

from collections.abc import Sequence
from datetime import datetime

from flexmodel.errors import NotFound
from flexstore.rows import Row
from flexstore.store import Connection

from flexcore.credentials.repository import USABLE

COLUMNS = """
  t.id, t.kind, t.name, t.hint, t.scopes, t.account_id, t.requests_per_minute, t.user_id, u.username,
  u.account_id as home_account_id, t.created_at, t.last_used_at,
  least(t.expires_at, coalesce(t.last_used_at, t.created_at) + t.idle) as expires_at
"""
TABLES = "token t join users u on u.id = t.user_id"


class TokenRow(Row):
    """A login token, a session or an API key, with the user who holds it."""

    id: int
    kind: str
    name: str | None
    hint: str | None
    scopes: list[str]
    account_id: int | None
    requests_per_minute: int | None
    user_id: int
    username: str
    home_account_id: int
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None


async def get(con: Connection, token_id: int) -> TokenRow:
    """Return the token. Raises `NotFound` if there is none with this id that can be used."""
    row = await con.fetchrow(
        f"select {COLUMNS} from {TABLES} where t.id = $1 and {USABLE}", token_id, record_class=TokenRow
    )
    if row is None:
        raise NotFound(f"There is no login, session or API key with ID {token_id}.")
    return row


async def load_of_user(con: Connection, user_id: int, kinds: Sequence[str]) -> list[TokenRow]:
    """Return the user's tokens that can be used, newest first."""
    return await con.fetch(
        f"select {COLUMNS} from {TABLES} where t.user_id = $1 and t.kind = any($2) and {USABLE} order by t.id desc",
        user_id,
        list(kinds),
        record_class=TokenRow,
    )


async def revoke(con: Connection, token_id: int | None) -> None:
    await con.execute("update token set revoked_at = now() where id = $1 and revoked_at is null", token_id)


async def revoke_hash(con: Connection, token_hash: bytes) -> None:
    await con.execute("update token set revoked_at = now() where token_hash = $1 and revoked_at is null", token_hash)
