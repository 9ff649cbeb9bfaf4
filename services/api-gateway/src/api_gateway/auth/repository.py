"""SQL about tokens and the people who hold them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

IDENTIFY = """
select u.id as caller_id, u.account_id as caller_account, u.username as caller_name, u.email as caller_email,
       t.id as token_id, t.scopes,
       coalesce((select array_agg(r.name) from user_role ur join role r on r.id = ur.role_id where ur.user_id = u.id),
                '{}') as roles,
       u.last_seen_at is null or u.last_seen_at < now() - $2::interval as seen_long_ago
from token t join users u on u.id = t.user_id
where t.token_hash = $1 and t.kind in ('login', 'key') and t.revoked_at is null
  and (t.expires_at is null or t.expires_at > now()) and u.active
"""
FORGET = "delete from token where expires_at < now() - interval '30 days'"


async def identify(con: Any, token_hash: bytes, seen_every: timedelta) -> Any:
    """The user who holds the token, if it is good."""
    return await con.fetchrow(IDENTIFY, token_hash, seen_every)


async def mark_seen(con: Any, user_id: int, token_id: int) -> None:
    await con.execute("update users set last_seen_at = now() where id = $1", user_id)
    await con.execute("update token set last_used_at = now() where id = $1", token_id)


async def login_candidate(con: Any, email: str) -> Any:
    return await con.fetchrow(
        "select id, account_id, password_hash, active from users where lower(email) = lower($1)", email
    )


async def add_token(
    con: Any,
    user_id: int,
    token_hash: bytes,
    lifetime: timedelta | None,
    *,
    kind: str = "login",
    name: str | None = None,
    scopes: Sequence[str] = (),
) -> int:
    token: int = await con.fetchval(
        """insert into token (user_id, kind, token_hash, name, scopes, expires_at)
           values ($1, $2, $3, $4, $5, now() + $6::interval) returning id""",
        user_id, kind, token_hash, name, list(scopes), lifetime,
    )  # fmt: skip
    return token


async def mark_login(con: Any, user_id: int) -> None:
    """Note the login and forget the user's tokens that can no longer be used."""
    await con.execute("update users set last_login_at = now() where id = $1", user_id)
    await con.execute("delete from token where user_id = $1 and expires_at < now()", user_id)


async def replace_password(con: Any, user_id: int, password_hash: str) -> None:
    await con.execute("update users set password_hash = $2 where id = $1", user_id, password_hash)


async def revoke_tokens(con: Any, user_id: int) -> None:
    await con.execute("update token set revoked_at = now() where user_id = $1 and revoked_at is null", user_id)


async def use_reset_token(con: Any, token_hash: bytes) -> int | None:
    """The user to whom the token was mailed; it cannot be used again."""
    user: int | None = await con.fetchval(
        """update token set revoked_at = now()
           where token_hash = $1 and kind = 'reset' and revoked_at is null and expires_at > now() returning user_id""",
        token_hash,
    )
    return user
