"""SQL about accounts."""

# ruff: noqa: S608  SQL is put together from constants here; values always travel beside it.

from collections.abc import Mapping, Sequence
from typing import Any

from flexmodel.errors import NotFound
from flexstore.rows import Row
from flexstore.store import Connection

from flexcore.listing import Page

COLUMNS = """
  a.id, a.name, a.attributes::text as attributes, a.primary_color, a.secondary_color, a.logo_url, a.plan_id,
  a.consultancy_account_id,
  coalesce((select json_agg(json_build_object('id', r.id, 'name', r.name) order by r.id)
            from account_role_link l join account_role r on r.id = l.role_id where l.account_id = a.id)::text,
           '[]') as account_roles
"""
COUNTS = """,
  (select count(*) from asset s where s.account_id = a.id) as asset_count,
  (select count(*) from users u where u.account_id = a.id) as user_count
"""
SORT = {"id": "id", "name": "lower(name)", "assets": "asset_count", "users": "user_count"}
CHANGEABLE = ("name", "primary_color", "secondary_color", "logo_url", "consultancy_account_id", "plan_id", "attributes")


class AccountRow(Row):
    """An account. Documents are JSON as text."""

    id: int
    name: str
    attributes: str
    primary_color: str | None
    secondary_color: str | None
    logo_url: str | None
    plan_id: int | None
    consultancy_account_id: int | None
    account_roles: str


class CountedAccountRow(AccountRow):
    """An account with how many assets and users it has."""

    asset_count: int
    user_count: int


async def find(con: Connection, account_id: int) -> AccountRow | None:
    """Return the account, or None if there is none with this id."""
    return await con.fetchrow(f"select {COLUMNS} from account a where a.id = $1", account_id, record_class=AccountRow)


async def get(con: Connection, account_id: int) -> AccountRow:
    """Return the account. Raises `NotFound` if there is none with this id."""
    row = await find(con, account_id)
    if row is None:
        raise NotFound(f"Account {account_id} not found")
    return row


async def fetch_page(
    con: Connection, accounts: Sequence[int] | None, page: Page, role: str | None, order: str
) -> tuple[list[CountedAccountRow], int]:
    """Return a page of accounts with their counts, and how many match."""
    return await page.fetch(
        con,
        CountedAccountRow,
        f"""select {COLUMNS}{COUNTS} from account a
            where ($1::int[] is null or a.id = any($1)) and a.name ilike all($2::text[])
              and ($3::text is null or exists (select from account_role_link l join account_role r on r.id = l.role_id
                                               where l.account_id = a.id and r.name = $3))""",
        accounts,
        page.patterns,
        role,
        order=order,
    )


async def count(con: Connection, accounts: Sequence[int] | None) -> int:
    total: int = await con.fetchval("select count(*) from account where $1::int[] is null or id = any($1)", accounts)
    return total


async def insert(con: Connection, name: str, consultancy_account_id: int | None) -> int:
    account: int = await con.fetchval(
        "insert into account (name, consultancy_account_id) values ($1, $2) returning id", name, consultancy_account_id
    )
    return account


async def find_by_name(con: Connection, name: str) -> int | None:
    account: int | None = await con.fetchval("select id from account where name = $1", name)
    return account


async def update(con: Connection, account_id: int, changes: Mapping[str, Any]) -> None:
    columns = [column for column in CHANGEABLE if column in changes]
    if columns:
        sets = ", ".join(f"{column} = ${number}" for number, column in enumerate(columns, start=2))
        await con.execute(
            f"update account set {sets} where id = $1", account_id, *(changes[column] for column in columns)
        )


async def unknown_roles(con: Connection, role_ids: Sequence[int]) -> list[int]:
    known = {row["id"] for row in await con.fetch("select id from account_role where id = any($1::int[])", role_ids)}
    return [role for role in role_ids if role not in known]


async def set_roles(con: Connection, account_id: int, role_ids: Sequence[int]) -> None:
    await con.execute("delete from account_role_link where account_id = $1", account_id)
    await con.executemany(
        "insert into account_role_link (account_id, role_id) values ($1, $2) on conflict do nothing",
        [(account_id, role) for role in role_ids],
    )
