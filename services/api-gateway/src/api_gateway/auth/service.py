"""Logging in."""

from dataclasses import dataclass

from api_gateway.answers import Rejected
from api_gateway.auth import repository
from api_gateway.auth.passwords import outdated
from api_gateway.auth.tokens import digest, new_token
from api_gateway.gateway import Gateway
from api_gateway.rates import per_minute


@dataclass(frozen=True, slots=True)
class Login:
    user_id: int
    token: str


async def log_in(here: Gateway, email: str, password: str, address: str) -> Login:
    """A token for the user with this password. Nobody can tell a wrong password from an unknown user."""
    by_user = f"login:user:{email.lower()}", per_minute(here.settings.failed_logins_per_user)
    by_address = f"login:address:{address}", per_minute(here.settings.failed_logins_per_address)
    for key, limit in (by_user, by_address):
        (await here.limiter.look(key, limit)).enforce()
    async with here.store.connection() as con:
        user = await repository.login_candidate(con, email)
    matches = await here.passwords.matches(password, user["password_hash"] if user else None)
    if not (matches and user["active"]):
        for key, limit in (by_user, by_address):
            await here.limiter.count(key, limit)
        raise Rejected(401, {"errors": ["The email address or the password is wrong."], "status": 401})
    token = new_token()
    fresh = await here.passwords.hash(password) if outdated(user["password_hash"]) else None
    async with here.store.transaction() as con:
        if fresh:
            await repository.replace_password(con, user["id"], fresh)
        await repository.add_token(con, user["id"], digest(token), here.settings.token_lifetime)
        await repository.mark_login(con, user["id"])
    return Login(user["id"], token)
