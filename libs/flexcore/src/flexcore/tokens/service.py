"""Revoking login tokens, sessions and API keys."""

from collections.abc import Sequence

from flexstore.store import Connection

from flexcore.audit.service import Actor, record_change
from flexcore.credentials import repository as auth
from flexcore.permissions.identity import Identity, TokenKind
from flexcore.permissions.resources import ResourceRow
from flexcore.tokens import repository

CALLED = {TokenKind.LOGIN: "Login token", TokenKind.SESSION: "Session", TokenKind.KEY: "API key"}


async def revoke(con: Connection, actor: Actor | None, token: ResourceRow) -> None:
    """Revoke one token."""
    name = f" '{token.name}'" if token.kind == TokenKind.KEY else ""
    event = f"{CALLED[TokenKind(token.kind)]}{name} (ID {token.id}) of user {token.username} revoked"
    await repository.revoke(con, token.id)
    await record_change(con, actor, event, account_id=token.account_id, affected_user_id=token.user_id)


async def revoke_all(
    con: Connection, caller: Identity, user_id: int, account_id: int, username: str, kinds: Sequence[TokenKind]
) -> dict[str, int]:
    """Revoke all tokens of some kinds that a user has. Return how many of each kind were revoked."""
    revoked = await auth.revoke(con, user_id, kinds)
    if revoked:
        told = ", ".join(f"{number} of kind {kind}" for kind, number in sorted(revoked.items()))
        event = f"Logged user {username} out: revoked {told}"
        await record_change(
            con, caller, event, account_id=account_id, affected_user_id=user_id, details={"revoked": revoked}
        )
    return {kind.value: revoked.get(kind, 0) for kind in kinds}
