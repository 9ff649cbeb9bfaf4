"""Choosing a password through a mailed link."""

from typing import Any

from flexmodel.errors import Invalid

from api_gateway.auth import repository
from api_gateway.auth.tokens import digest, new_token
from api_gateway.gateway import Gateway

SUBJECT = "Choose your password"
SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 1000


async def new_link(con: Any, here: Gateway, user_id: int) -> str:
    """A link with which the user can choose a password, once."""
    token = new_token()
    await repository.add_token(con, user_id, digest(token), here.settings.reset_lifetime, kind="reset")
    return f"{here.settings.public_url.rstrip('/')}/password?token={token}"


async def invite(here: Gateway, email: str, link: str) -> None:
    """Mail the link."""
    hours = here.settings.reset_lifetime.total_seconds() / 3600
    await here.mailer.send(
        email,
        SUBJECT,
        f"Choose the password of your account at {here.settings.public_url}:\n\n{link}\n\n"
        f"The link works once, for {hours:g} hours. If you did not ask for it, you need not do anything.\n",
    )


async def choose(con: Any, token: str, password_hash: str) -> None:
    """Set the password of the user to whom the link was mailed, and log them out everywhere."""
    user_id = await repository.use_reset_token(con, digest(token))
    if user_id is None:
        raise Invalid({"token": ["This link was used before, or has expired. Ask for another one."]})
    await repository.replace_password(con, user_id, password_hash)
    await repository.revoke_tokens(con, user_id)
