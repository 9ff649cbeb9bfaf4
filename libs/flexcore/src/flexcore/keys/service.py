"""Creating and changing API keys."""

from dataclasses import dataclass
from datetime import UTC, datetime

from flexmodel.errors import Conflict, Forbidden, Invalid
from flexstore.store import Connection

from flexcore.audit.service import Actor, changes_between, record_change
from flexcore.credentials.secrets import digest, new_token
from flexcore.keys import repository
from flexcore.keys.inputs import KeyPost
from flexcore.permissions import resources
from flexcore.permissions.identity import Identity, TokenKind
from flexcore.permissions.policy import Action, ResourceType, may
from flexcore.permissions.resources import Found
from flexcore.tokens import repository as tokens
from flexcore.tokens.repository import TokenRow

PREFIX = "fmk_"
"""By it people, and programs that look for leaked secrets, know an API key when they see one."""
HINT_LENGTH = 8
AUDITED = ("name", "scopes", "only_account", "requests_per_minute", "expires_at")


@dataclass(frozen=True, slots=True)
class Holder:
    """The user who gets a key."""

    user_id: int
    account_id: int
    username: str


async def create(
    con: Connection, actor: Actor | None, holder: Holder, wanted: KeyPost, most: int
) -> tuple[str, TokenRow]:
    """Create a key. Return it with its row. Without an actor no permission is checked."""
    if actor is not None:
        await check_no_escalation(con, actor, wanted)
    if wanted.expires_at is not None and wanted.expires_at <= datetime.now(UTC):
        raise Invalid({"expires_at": [f"{wanted.expires_at.isoformat()} has passed already."]})
    own_limit = await repository.lock_limit(con, holder.account_id)
    limit = most if own_limit is None else own_limit
    if await repository.count(con, holder.account_id) >= limit:
        raise Conflict(
            f"Account {holder.account_id} has as many API keys as it may have ({limit}). "
            "Revoke one that is not needed, or ask an administrator of the platform for more."
        )
    key = PREFIX + new_token()
    asked = wanted.model_dump()
    key_id = await repository.insert(con, holder.user_id, digest(key), hint=key[:HINT_LENGTH], **asked)
    event = f"API key '{wanted.name}' (ID {key_id}) of user {holder.username} created"
    details = changes_between(None, {name: to_audit_value(asked[name]) for name in AUDITED})
    await record_change(
        con, actor, event, account_id=holder.account_id, affected_user_id=holder.user_id, details=details
    )
    return key, await tokens.get(con, key_id)


def to_audit_value(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


async def check_no_escalation(con: Connection, actor: Identity, wanted: KeyPost) -> None:
    """Refuse a key that may do more than its creator. A key cannot create a key that may do more than itself."""
    only = wanted.only_account
    if only is not None:
        account = await resources.find(con, ResourceType.ACCOUNT, only)
        if account is None or not may(actor, Action.READ, ResourceType.ACCOUNT, resources.owner_of(account)):
            raise Invalid({"only_account": [f"There is no account with ID {only} whose things you may see."]})
    if actor.kind != TokenKind.KEY:
        return
    beyond = [scope for scope in wanted.scopes if scope not in actor.scopes]
    if beyond:
        raise Forbidden(f"A key cannot create a key with the scope '{beyond[0]}', which it does not have itself.")
    if only != actor.only_account and actor.only_account is not None:
        raise Forbidden(f"A key that is limited to account {actor.only_account} can only create such keys.")
    most, asked = actor.requests_per_minute, wanted.requests_per_minute
    if most is not None and (asked is None or asked > most):
        raise Forbidden(f"A key cannot create a key that is good for more: set requests_per_minute to {most} or less.")
    ends = await repository.load_expiry(con, actor.token_id)
    if ends is not None and (wanted.expires_at is None or wanted.expires_at > ends):
        raise Forbidden(f"A key cannot create a key that outlives it: set expires_at to {ends.isoformat()} or before.")


async def rename(con: Connection, key: Found, name: str) -> TokenRow:
    """Rename the key."""
    await repository.rename(con, key.id, name)
    details = changes_between({"name": key.row.name}, {"name": name})
    if details:
        event = f"API key '{key.row.name}' (ID {key.id}) of user {key.row.username} renamed to '{name}'"
        await record_change(
            con, key.caller, event, account_id=key.account_id, affected_user_id=key.row.user_id, details=details
        )
    return await tokens.get(con, key.id)


async def set_limit(con: Connection, account: Found, most: int | None) -> None:
    """Set how many keys the users of an account may have."""
    before = await repository.lock_limit(con, account.id)
    await repository.set_limit(con, account.id, most)
    details = changes_between({"key_limit": before}, {"key_limit": most})
    if details:
        event = f"Limit of API keys of account {account.row.name} set to {'the default' if most is None else most}"
        await record_change(con, account.caller, event, account_id=account.id, details=details)
