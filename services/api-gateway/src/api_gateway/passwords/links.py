"""Mailed links to choose a password."""

from flexcore.credentials import password_rules, repository
from flexcore.credentials.repository import LinkHolderRow
from flexcore.credentials.secrets import digest, new_token
from flexcore.permissions.identity import BY_PASSWORD, TokenKind
from flexmodel.errors import Invalid
from flexstore import audit_log
from flexstore.store import Connection
from flexwork import outbox
from flexwork.contracts import MailMessage, Topic

from api_gateway.gateway import Gateway

SUBJECT = "Choose your password"
USED = "This link was used before, or has expired. Ask for another one."


async def new_link(con: Connection, gateway: Gateway, user_id: int) -> str:
    """Create a link with which the user can choose a password once."""
    token = new_token()
    await repository.add_token(con, user_id, digest(token), gateway.settings.reset_lifetime, kind=TokenKind.RESET)
    return f"{gateway.settings.public_url.rstrip('/')}/password?token={token}"


async def invite(con: Connection, gateway: Gateway, email: str, link: str) -> None:
    """Put a mail with the link into the outbox, in the caller's transaction."""
    hours = gateway.settings.reset_lifetime.total_seconds() / 3600
    text = (
        f"Choose the password of your account at {gateway.settings.public_url}:\n\n{link}\n\n"
        f"The link works once, for {hours:g} hours. If you did not ask for it, you need not do anything.\n"
    )
    await outbox.put(con, Topic.MAIL, MailMessage(to=email, subject=SUBJECT, text=text).to_payload())


async def mail_link(gateway: Gateway, email: str) -> None:
    """Mail a link to the user with this address, if there is one."""
    async with gateway.transaction() as con:
        user = await repository.find_login(con, email)
        if user.active and user.id is not None:
            await invite(con, gateway, user.email, await new_link(con, gateway, user.id))


async def set_password(gateway: Gateway, token: str, password: str) -> int:
    """Set the password of the link's user, revoke their logins, and return their number of API keys."""
    token_hash = digest(token)
    async with gateway.store.connection() as con:
        user = await get_link_holder(con, token_hash)
    password_rules.check("password", password, gateway.settings.shortest_password, user.username, user.email)
    password_hash = await gateway.passwords.hash(password)
    async with gateway.transaction() as con:
        user = await get_link_holder(con, token_hash)
        await repository.replace_password(con, user.id, password_hash)
        await repository.revoke(con, user.id, BY_PASSWORD)
        await audit_log.record(
            con,
            f"Password of user {user.username} chosen through a mailed link",
            active_user_id=user.id,
            active_user_name=user.username,
            account_id=user.account_id,
            affected_user_id=user.id,
            token_id=user.token_id,
            token_kind=TokenKind.RESET,
        )
        return await repository.count_keys(con, user.id)


async def get_link_holder(con: Connection, token_hash: bytes) -> LinkHolderRow:
    user = await repository.find_link_holder(con, token_hash)
    if user is None:
        raise Invalid({"token": [USED]})
    return user
