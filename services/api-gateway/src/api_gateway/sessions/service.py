"""Start and end of browser sessions."""

from flexcore.credentials import repository
from flexcore.credentials.secrets import new_token
from flexcore.permissions.identity import Identity, TokenKind
from flexcore.tokens import repository as tokens

from api_gateway.auth.access import identity_of
from api_gateway.auth.client import Client
from api_gateway.auth.credentials import session_digest
from api_gateway.auth.service import VerifiedUser, record_login
from api_gateway.gateway import Gateway


async def begin_session(
    gateway: Gateway, user: VerifiedUser, client: Client, before: str | None
) -> tuple[str, Identity]:
    """Begin a session, end the browser's earlier one, and return the cookie and the identity."""
    session, settings = new_token(), gateway.settings
    async with gateway.transaction() as con:
        await record_login(con, user)
        if before:
            await tokens.revoke_hash(con, session_digest(before))
        await repository.add_token(
            con,
            user.id,
            session_digest(session),
            settings.session_lifetime,
            kind=TokenKind.SESSION,
            name=client.program,
            idle=settings.session_idle,
            network=client.network,
        )
        caller = await identity_of(con, await repository.identify(con, session_digest(session), settings.seen_every))
    return session, caller


async def end_session(gateway: Gateway, caller: Identity) -> None:
    """End the session, or the login token, of the caller."""
    async with gateway.store.connection() as con:
        await tokens.revoke(con, caller.token_id)
