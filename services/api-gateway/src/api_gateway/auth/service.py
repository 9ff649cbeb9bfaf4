"""Logging in."""

from dataclasses import dataclass

from flexcore.credentials import repository
from flexcore.credentials.passwords import outdated
from flexcore.credentials.repository import LoginRow
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


@dataclass(frozen=True, slots=True)
class VerifiedUser:
    """An active user whose password was given, with its stored hash."""

    id: int
    password_hash: str


async def log_in(gateway: Gateway, email: str, password: str, client: Client) -> Login:
    """Create a login token for the user with this password."""
    user = await verify_user(gateway, email, password, client)
    token = new_token()
    async with gateway.transaction() as con:
        await record_login(con, user)
        await repository.add_token(
            con,
            user.id,
            digest(token),
            gateway.settings.token_lifetime,
            name=client.program,
            network=client.network,
        )
    return Login(user.id, token)


async def verify_user(gateway: Gateway, email: str, password: str, client: Client) -> VerifiedUser:
    """Return the active user with this password. The error does not tell a wrong password from an unknown user."""
    user = await find_verified_user(gateway, email, password, client)
    if user is None or user.id is None or user.password_hash is None:
        raise wrong_credentials()
    if not outdated(user.password_hash):
        return VerifiedUser(user.id, user.password_hash)
    fresh = await gateway.passwords.hash(password)
    async with gateway.store.connection() as con:
        await repository.renew_hash(con, user.id, user.password_hash, fresh)
    return VerifiedUser(user.id, fresh)


async def record_login(con: Connection, user: VerifiedUser) -> None:
    """Record the login in its transaction, unless the password was changed or the user deactivated meanwhile."""
    if not await repository.mark_login(con, user.id, user.password_hash):
        raise wrong_credentials()


def wrong_credentials() -> ApiError:
    return ApiError(401, {"errors": [WRONG], "status": 401})


async def find_verified_user(gateway: Gateway, email: str, password: str, client: Client) -> LoginRow | None:
    """Return the active user with this password, or None. Failed attempts are limited.

    An attempt is counted before the password is checked, and uncounted if it was right. So no more attempts pass at the
    same time than one after another. Right ones do not block each other: those of one user are counted in turn.
    """
    async with gateway.store.connection() as con:
        user = await repository.find_login(con, email, client.network)
    limits = limits_of(gateway, user, client)
    await gateway.limiter.check(limits)
    async with gateway.passwords.turn(user.spelled):
        counted = {key: await gateway.limiter.count(key, limit) for key, limit in limits.items()}
        for verdict in counted.values():
            verdict.enforce()
        if not (await gateway.passwords.matches(password, user.password_hash) and user.active):
            return None
        for key, verdict in counted.items():
            await gateway.limiter.uncount(key, verdict)
    return user


def limits_of(gateway: Gateway, user: LoginRow, client: Client) -> dict[str, RateLimit]:
    """Return the limits of failed logins: from the network, and for the user.

    In a network from which the user has logged in before, only failures from there count. So nobody else can lock the
    user out.
    """
    at_user = f"login:home:{client.network} {user.spelled}" if user.known_here else f"login:user:{user.spelled}"
    return {
        f"login:address:{client.network}": per_minute(gateway.settings.failed_logins_per_address),
        at_user: per_minute(gateway.settings.failed_logins_per_user),
    }
