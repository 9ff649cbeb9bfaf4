"""SQL about what users are known by."""

# ruff: noqa: S608  SQL is put together from constants here; values always travel beside it.

from collections.abc import Sequence
from typing import Any

from flexcore.credentials.repository import USABLE

COLUMNS = """
  t.id, t.kind, t.name, t.hint, t.scopes, t.account_id, t.requests_per_minute, t.user_id, u.username,
  u.account_id as home_account_id, t.created_at, t.last_used_at,
  least(t.expires_at, coalesce(t.last_used_at, t.created_at) + t.idle) as expires_at
"""
TABLES = "token t join users u on u.id = t.user_id"


async def get(con: Any, token_id: int) -> Any:
    return await con.fetchrow(f"select {COLUMNS} from {TABLES} where t.id = $1 and {USABLE}", token_id)


async def of_user(con: Any, user_id: int, kinds: Sequence[str]) -> list[Any]:
    """What the user can still use, the newest first."""
    rows: list[Any] = await con.fetch(
        f"select {COLUMNS} from {TABLES} where t.user_id = $1 and t.kind = any($2) and {USABLE} order by t.id desc",
        user_id,
        list(kinds),
    )
    return rows


async def revoke(con: Any, token_id: int | None) -> None:
    await con.execute("update token set revoked_at = now() where id = $1 and revoked_at is null", token_id)


async def revoke_hash(con: Any, token_hash: bytes) -> None:
    await con.execute("update token set revoked_at = now() where token_hash = $1 and revoked_at is null", token_hash)
