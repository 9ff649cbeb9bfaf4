"""Logging in."""

from dataclasses import dataclass
from typing import Any

from api_gateway.answers import Rejected
from api_gateway.auth import repository
from api_gateway.auth.client import Client
from api_gateway.auth.passwords import outdated
from api_gateway.auth.tokens import digest, new_token
from api_gateway.gateway import Gateway
from api_gateway.rates import Limit, per_minute

WRONG = "The email address or the password is wrong."


@dataclass(frozen=True, slots=True)
class Login:
    user_id: int
    token: str


async def log_in(here: Gateway, email: str, password: str, client: Client) -> Login:
    """A token for the user with this password."""
    user = await known(here, email, password, client)
    token = new_token()
    async with here.store.transaction() as con:
        await repository.add_token(con, user["id"], digest(token), here.settings.token_lifetime, name=client.program)
        await repository.mark_login(con, user["id"])
    return Login(user["id"], token)


async def known(here: Gateway, email: str, password: str, client: Client) -> Any:
    """The active user with this password. Nobody can tell a wrong password from an unknown user."""
    user = await identified(here, email, password, client)
    if user is None:
        raise Rejected(401, {"errors": [WRONG], "status": 401})
    if outdated(user["password_hash"]):
        fresh = await here.passwords.hash(password)
        async with here.store.connection() as con:
            await repository.replace_password(con, user["id"], fresh)
    return user


async def identified(here: Gateway, email: str, password: str, client: Client) -> Any:
    """The active user with this password, or none. Whoever guesses too often has to wait.

    An attempt is counted before the password is looked at, and taken back if it was right: of many attempts at the same
    time, not one more is let through than of as many after each other.
    """
    limits = limits_of(here, email, client)
    for key, limit in limits.items():
        (await here.limiter.count(key, limit)).enforce()
    async with here.store.connection() as con:
        user = await repository.login_candidate(con, email)
    matches = await here.passwords.matches(password, user["password_hash"] if user else None)
    if not (matches and user["active"]):
        return None
    for key, limit in limits.items():
        await here.limiter.forget(key, limit)
    return user


def limits_of(here: Gateway, email: str, client: Client) -> dict[str, Limit]:
    return {
        f"login:address:{client.network}": per_minute(here.settings.failed_logins_per_address),
        f"login:user:{email.lower()}": per_minute(here.settings.failed_logins_per_user),
    }
