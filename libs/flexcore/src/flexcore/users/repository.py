"""SQL about users and their roles."""

# ruff: noqa: S608  SQL is put together from constants here; values always travel beside it.

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from flexmodel.errors import NotFound
from flexstore.rows import Row
from flexstore.store import Connection

from flexcore.accounts.repository import COLUMNS as ACCOUNT_COLUMNS
from flexcore.accounts.repository import AccountRow
from flexcore.listing import Page

COLUMNS = """
  u.id, u.account_id, u.active, u.email, u.username, u.timezone, u.last_login_at, u.last_seen_at,
  coalesce((select array_agg(r.id order by r.id) from user_role ur join role r on r.id = ur.role_id
            where ur.user_id = u.id), '{}') as role_ids,
  coalesce((select array_agg(r.name order by r.id) from user_role ur join role r on r.id = ur.role_id
            where ur.user_id = u.id), '{}') as role_names
"""
SORT = {
    "username": "lower(username)",
    "email": "lower(email)",
    "lastLogin": "last_login_at",
    "lastSeen": "last_seen_at",
}
CHANGEABLE = ("username", "email", "active", "timezone")


class UserRow(Row):
    """A user with the ids and the names of their roles."""

    id: int
    account_id: int
    active: bool
    email: str
    username: str
    timezone: str
    last_login_at: datetime | None
    last_seen_at: datetime | None
    role_ids: list[int]
    role_names: list[str]


async def get(con: Connection, user_id: int) -> UserRow:
    """Return the user. Raises `NotFound` if there is none with this id."""
    row = await con.fetchrow(f"select {COLUMNS} from users u where u.id = $1", user_id, record_class=UserRow)
    if row is None:
        raise NotFound(f"User {user_id} not found")
    return row


async def fetch_page(
    con: Connection, accounts: Sequence[int] | None, page: Page, order: str, *, include_inactive: bool
) -> tuple[list[UserRow], int]:
    return await page.fetch(
        con,
        UserRow,
        f"""select {COLUMNS} from users u
            join account a on a.id = u.account_id
            where ($1::int[] is null or u.account_id = any($1)) and (u.active or $3)
              and concat_ws(' ', u.username, u.email, a.name) ilike all($2::text[])""",
        accounts,
        page.patterns,
        include_inactive,
        order=order,
    )


async def count(con: Connection, accounts: Sequence[int] | None, *, include_inactive: bool) -> int:
    total: int = await con.fetchval(
        "select count(*) from users where ($1::int[] is null or account_id = any($1)) and (active or $2)",
        accounts,
        include_inactive,
    )
    return total


async def load_accounts(con: Connection, account_ids: Sequence[int]) -> dict[int, AccountRow]:
    rows = await con.fetch(
        f"select {ACCOUNT_COLUMNS} from account a where a.id = any($1::int[])",
        list(account_ids),
        record_class=AccountRow,
    )
    return {row.id: row for row in rows}


async def find_by_email(con: Connection, email: str) -> int | None:
    user: int | None = await con.fetchval("select id from users where lower(email) = lower($1)", email)
    return user


async def find_by_name(con: Connection, username: str) -> int | None:
    user: int | None = await con.fetchval("select id from users where username = $1", username)
    return user


async def insert(con: Connection, account_id: int, email: str, username: str, password_hash: str, timezone: str) -> int:
    user: int = await con.fetchval(
        """insert into users (account_id, email, username, password_hash, timezone)
           values ($1, $2, $3, $4, $5) returning id""",
        account_id, email, username, password_hash, timezone,
    )  # fmt: skip
    return user


async def update(con: Connection, user_id: int, changes: Mapping[str, Any]) -> None:
    columns = [column for column in CHANGEABLE if column in changes]
    if columns:
        sets = ", ".join(f"{column} = ${number}" for number, column in enumerate(columns, start=2))
        await con.execute(f"update users set {sets} where id = $1", user_id, *(changes[column] for column in columns))


async def load_roles(con: Connection) -> dict[int, str]:
    return {row["id"]: row["name"] for row in await con.fetch("select id, name from role")}


async def ensure_role(con: Connection, name: str) -> int:
    await con.execute("insert into role (name) values ($1) on conflict (name) do nothing", name)
    role: int = await con.fetchval("select id from role where name = $1", name)
    return role


async def set_roles(con: Connection, user_id: int, role_ids: Sequence[int]) -> None:
    await con.execute("delete from user_role where user_id = $1", user_id)
    await con.executemany(
        "insert into user_role (user_id, role_id) values ($1, $2) on conflict do nothing",
        [(user_id, role) for role in role_ids],
    )


async def preferences(con: Connection, user_id: int) -> str:
    text: str = await con.fetchval("select preferences::text from users where id = $1", user_id)
    return text


async def set_preference(con: Connection, user_id: int, name: str, value: object) -> object:
    """Set one preference, or with None remove it. Return its former value."""
    before = await con.fetchval("select preferences from users where id = $1 for no key update", user_id)
    after = {**before, name: value} if value is not None else {key: before[key] for key in before if key != name}
    await con.execute("update users set preferences = $2 where id = $1", user_id, after)
    return before.get(name)
