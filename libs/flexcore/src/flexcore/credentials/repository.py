"""SQL about tokens and the users who hold them."""

# ruff: noqa: S608  SQL is put together from constants here; values always travel beside it.

from collections.abc import Sequence
from datetime import timedelta

from flexstore.rows import Row
from flexstore.store import Connection

USABLE = """
t.kind in ('login', 'key', 'session') and t.revoked_at is null and (t.expires_at is null or t.expires_at > now())
and (t.idle is null or coalesce(t.last_used_at, t.created_at) > now() - t.idle)
"""
"""SQL: the token can still be used."""
IDENTIFY = f"""
select u.id as caller_id, u.account_id as caller_account, u.username as caller_name, u.email as caller_email,
       t.id as token_id, t.kind as token_kind, t.scopes, t.account_id as only_account,
       t.requests_per_minute,
       coalesce((select array_agg(r.name) from user_role ur join role r on r.id = ur.role_id where ur.user_id = u.id),
                '{{}}') as roles,
       coalesce(u.last_seen_at < now() - $2::interval or t.last_used_at < now() - $2::interval, true) as seen_long_ago
from token t join users u on u.id = t.user_id
where t.token_hash = $1 and u.active and {USABLE}
"""
FORGET = "delete from token where least(expires_at, revoked_at) < now() - interval '30 days'"


class CallerRow(Row):
    """The user who holds a token, with the token and the user's roles."""

    caller_id: int
    caller_account: int
    caller_name: str
    caller_email: str
    token_id: int
    token_kind: str
    scopes: list[str]
    only_account: int | None
    requests_per_minute: int | None
    roles: list[str]
    seen_long_ago: bool


class LoginRow(Row):
    """The user with an email address; without such a user all columns but `spelled` and `known_here` are null."""

    spelled: str
    id: int | None
    account_id: int
    username: str
    email: str
    password_hash: str | None
    active: bool
    known_here: bool


class LinkHolderRow(Row):
    """The user to whom a link was mailed."""

    id: int
    account_id: int
    username: str
    email: str
    token_id: int


async def identify(con: Connection, token_hash: bytes, seen_every: timedelta) -> CallerRow | None:
    """Return the user who holds the token, or None if it cannot be used."""
    return await con.fetchrow(IDENTIFY, token_hash, seen_every, record_class=CallerRow)


async def mark_seen(con: Connection, user_id: int, token_id: int) -> None:
    await con.execute("update users set last_seen_at = now() where id = $1", user_id)
    await con.execute("update token set last_used_at = now() where id = $1", token_id)


async def find_login(con: Connection, email: str, network: str | None = None) -> LoginRow:
    """Return the user with this address, or a row without an id.

    `spelled` is the address as the database compares it; `known_here` is true if the user has logged in from that
    network lately.
    """
    row = await con.fetchrow(
        """select asked.email as spelled, u.id, u.account_id, u.username, u.email, u.password_hash, u.active,
                  exists (select from token t where t.user_id = u.id and t.network = $2
                          and t.revoked_at is null and t.expires_at > now()) as known_here
           from (select lower($1::text) as email) asked left join users u on lower(u.email) = asked.email""",
        email, network, record_class=LoginRow,
    )  # fmt: skip
    assert row is not None  # a left join on a given address always has a row
    return row


async def add_token(
    con: Connection,
    user_id: int,
    token_hash: bytes,
    lifetime: timedelta | None,
    *,
    kind: str = "login",
    name: str | None = None,
    idle: timedelta | None = None,
    network: str | None = None,
) -> int:
    token: int = await con.fetchval(
        """insert into token (user_id, kind, token_hash, name, idle, network, expires_at)
           values ($1, $2, $3, $4, $5, $6, now() + $7::interval) returning id""",
        user_id, kind, token_hash, name, idle, network, lifetime,
    )  # fmt: skip
    return token


async def mark_login(con: Connection, user_id: int, password_hash: str) -> bool:
    """Record the login, if this is still the user's password, and delete the user's expired tokens.

    Until the transaction ends the password stays what it is: its change ends this login too.
    """
    noted = await con.fetchval(
        "update users set last_login_at = now() where id = $1 and password_hash = $2 and active returning true",
        user_id,
        password_hash,
    )
    await con.execute("delete from token where user_id = $1 and expires_at < now()", user_id)
    return noted is True


async def renew_hash(con: Connection, user_id: int, before: str, after: str) -> None:
    """Replace the hash of an unchanged password."""
    await con.execute(
        "update users set password_hash = $3 where id = $1 and password_hash = $2", user_id, before, after
    )


async def replace_password(con: Connection, user_id: int, password_hash: str) -> None:
    await con.execute("update users set password_hash = $2 where id = $1", user_id, password_hash)


async def revoke(con: Connection, user_id: int, kinds: Sequence[str], *, but: int | None = None) -> dict[str, int]:
    """Revoke a user's tokens of some kinds, but for one. Return how many of each kind were revoked."""
    rows = await con.fetch(
        """with gone as (update token set revoked_at = now() where user_id = $1 and kind = any($2)
                         and id is distinct from $3 and revoked_at is null returning kind, expires_at)
           select kind, count(*) as number from gone where expires_at is null or expires_at > now() group by kind""",
        user_id, list(kinds), but,
    )  # fmt: skip
    return {row["kind"]: row["number"] for row in rows}


async def count_keys(con: Connection, user_id: int) -> int:
    number: int = await con.fetchval(
        f"select count(*) from token t where t.user_id = $1 and t.kind = 'key' and {USABLE}", user_id
    )
    return number


async def find_link_holder(con: Connection, token_hash: bytes) -> LinkHolderRow | None:
    """Return the user to whom the link with this token was mailed, or None if it can no longer be used."""
    return await con.fetchrow(
        """select u.id, u.account_id, u.username, u.email, t.id as token_id
           from token t join users u on u.id = t.user_id
           where t.token_hash = $1 and t.kind = 'reset' and t.revoked_at is null and t.expires_at > now() and u.active
           for update of t""",
        token_hash,
        record_class=LinkHolderRow,
    )
