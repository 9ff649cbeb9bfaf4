"""Logging in."""

from dataclasses import dataclass
from typing import Any

from flexcore.credentials import repository
from flexcore.credentials.passwords import outdated
from flexcore.credentials.secrets import digest, new_token
from flexstore.store import Connection

from api_gateway.auth.client import Client
from api_gateway.gateway import Gateway
from api_gateway.rate_limits import RateLimit, per_minute
from api_gateway.responses import ApiError

WRONG = "The email address or the password is wrong."


@dataclass(frozen=True, slots=True)
class Login:
    user_id: int
    token: str


async def log_in(gateway: Gateway, email: str, password: str, client: Client) -> Login:
    """A token for the user with this password."""
    user = await known(gateway, email, password, client)
    token = new_token()
    async with gateway.transaction() as con:
        await admit(con, user)
        await repository.add_token(
            con,
            user["id"],
            digest(token),
            gateway.settings.token_lifetime,
            name=client.program,
            network=client.network,
        )
    return Login(user["id"], token)


async def known(gateway: Gateway, email: str, password: str, client: Client) -> Any:
    """The active user with this password. Nobody can tell a wrong password from an unknown user."""
    user = await identified(gateway, email, password, client)
    if user is None:
        raise wrong()
    if not outdated(user["password_hash"]):
        return user
    fresh = await gateway.passwords.hash(password)
    async with gateway.store.connection() as con:
        await repository.renew_hash(con, user["id"], user["password_hash"], fresh)
    return {**user, "password_hash": fresh}


async def admit(con: Connection, user: Any) -> None:
    """Note the login in its transaction, unless the password was changed or the user deactivated meanwhile."""
    if not await repository.mark_login(con, user["id"], user["password_hash"]):
        raise wrong()


def wrong() -> ApiError:
    return ApiError(401, {"errors": [WRONG], "status": 401})


async def identified(gateway: Gateway, email: str, password: str, client: Client) -> Any:
    """The active user with this password, or none. Whoever guesses too often has to wait.

    An attempt is counted before the password is looked at, and taken back if it was right: of many attempts at the same
    time, not one more is let through than of as many after each other. Right ones do not stand in each other's way:
    those of one user wait for their turn before they are counted.
    """
    async with gateway.store.connection() as con:
        user = await repository.find_login(con, email, client.network)
    limits = limits_of(gateway, user, client)
    await gateway.limiter.check(limits)
    async with gateway.passwords.turn(user["spelled"]):
        counted = {key: await gateway.limiter.count(key, limit) for key, limit in limits.items()}
        for verdict in counted.values():
            verdict.enforce()
        if not (await gateway.passwords.matches(password, user["password_hash"]) and user["active"]):
            return None
        for key, verdict in counted.items():
            await gateway.limiter.uncount(key, verdict)
    return user


def limits_of(gateway: Gateway, user: Any, client: Client) -> dict[str, RateLimit]:
    """What counts: guesses from the address, and guesses at the user.

    Where the user has logged in before, only guesses from there count. So nobody else can lock them out.
    """
    at_user = (
        f"login:home:{client.network} {user['spelled']}" if user["known_here"] else f"login:user:{user['spelled']}"
    )
    return {
        f"login:address:{client.network}": per_minute(gateway.settings.failed_logins_per_address),
        at_user: per_minute(gateway.settings.failed_logins_per_user),
    }
