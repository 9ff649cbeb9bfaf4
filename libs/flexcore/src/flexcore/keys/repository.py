"""SQL about API keys."""

# ruff: noqa: S608  SQL is put together from constants here; values always travel beside it.

from collections.abc import Sequence
from datetime import datetime

from flexstore.store import Connection

from flexcore.credentials.repository import USABLE
from flexcore.tokens.repository import COLUMNS, TABLES, TokenRow


async def insert(
    con: Connection,
    user_id: int,
    token_hash: bytes,
    *,
    name: str,
    hint: str,
    scopes: Sequence[str],
    only_account: int | None,
    requests_per_minute: int | None,
    expires_at: datetime | None,
) -> int:
    key: int = await con.fetchval(
        """insert into token
               (user_id, kind, token_hash, name, hint, scopes, account_id, requests_per_minute, expires_at)
           values ($1, 'key', $2, $3, $4, $5, $6, $7, $8) returning id""",
        user_id, token_hash, name, hint, list(scopes), only_account, requests_per_minute, expires_at,
    )  # fmt: skip
    return key


async def lock_limit(con: Connection, account_id: int) -> int | None:
    """Return the account's own limit of keys, or None. Until the transaction ends nobody else gets a key."""
    limit: int | None = await con.fetchval("select key_limit from account where id = $1 for no key update", account_id)
    return limit


async def set_limit(con: Connection, account_id: int, limit: int | None) -> None:
    await con.execute("update account set key_limit = $2 where id = $1", account_id, limit)


async def load_of_account(con: Connection, account_id: int | None) -> list[TokenRow]:
    """Return the keys of all users of an account, or of everybody."""
    return await con.fetch(
        f"""select {COLUMNS} from {TABLES}
            where ($1::int is null or u.account_id = $1) and t.kind = 'key' and {USABLE} order by t.id desc""",
        account_id,
        record_class=TokenRow,
    )


async def count(con: Connection, account_id: int) -> int:
    number: int = await con.fetchval(
        f"select count(*) from {TABLES} where u.account_id = $1 and t.kind = 'key' and {USABLE}", account_id
    )
    return number


async def rename(con: Connection, key_id: int, name: str) -> None:
    await con.execute("update token set name = $2 where id = $1", key_id, name)


async def load_expiry(con: Connection, token_id: int | None) -> datetime | None:
    moment: datetime | None = await con.fetchval("select expires_at from token where id = $1", token_id)
    return moment
