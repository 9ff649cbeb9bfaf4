"""Creating and changing users."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from flexmodel.digits import parse_digits
from flexmodel.errors import Forbidden, Invalid
from flexstore.store import Connection
from flexwork import outbox
from flexwork.contracts import MailMessage, Topic

from flexcore.audit.service import Actor, changes_between, describe_changes, record_change
from flexcore.credentials import repository as tokens
from flexcore.permissions.identity import BY_PASSWORD, Identity, Role, TokenKind
from flexcore.permissions.policy import Action, Owner, ResourceType, may
from flexcore.users import repository
from flexcore.users.repository import UserRow

AUDITED = (*repository.CHANGEABLE, "role_names")
SAY_PASSWORD = "Say your password: your own email address is not changed without."  # noqa: S105 - a sentence
PLATFORM_ROLES = frozenset({Role.ADMIN.value, Role.ADMIN_READER.value})


async def create(
    con: Connection,
    actor: Actor | None,
    account_id: int,
    email: str,
    username: str,
    password_hash: str,
    *,
    roles: Sequence[str] = (),
    timezone: str = "UTC",
) -> int:
    """Create a user, and return their id."""
    await check_unique(con, None, {"email": email, "username": username})
    user = await repository.insert(con, account_id, email, username, password_hash, timezone)
    await repository.set_roles(con, user, [await repository.ensure_role(con, role) for role in roles])
    details = changes_between(None, await repository.get(con, user), AUDITED)
    event = f"User {username} created"
    await record_change(con, actor, event, account_id=account_id, affected_user_id=user, details=details)
    return user


async def update(con: Connection, caller: Identity, user_id: int, changes: Mapping[str, Any], *, manages: bool) -> None:
    """Apply the changes. Only managers of the account change state and roles, and never their own.

    Else the only administrator of an account could lock everybody out of it by mistake.
    """
    if changes.keys() & {"active", "flexmeasures_roles"}:
        if not manages:
            raise Forbidden("Only administrators may activate users and change their roles.")
        if user_id == caller.user_id:
            raise Forbidden("Nobody may change their own roles, or activate or deactivate themselves.")
    await check_unique(con, user_id, changes)
    before = await repository.get(con, user_id)
    if "flexmeasures_roles" in changes:
        await repository.set_roles(
            con, user_id, await resolve_roles(con, caller, before, changes["flexmeasures_roles"])
        )
    await repository.update(con, user_id, changes)
    after = await repository.get(con, user_id)
    if not after.active:
        await tokens.revoke(con, user_id, tuple(TokenKind))
    if after.email.lower() != before.email.lower():
        await announce_new_email(con, caller, before, after)
    details = changes_between(before, after, AUDITED)
    if details:
        event = f"Updated user {after.username}. {describe_changes(details)}"
        await record_change(con, caller, event, account_id=after.account_id, affected_user_id=user_id, details=details)


async def announce_new_email(con: Connection, caller: Identity, before: UserRow, after: UserRow) -> None:
    """Revoke links that were mailed to the old address, and tell it of the change."""
    await tokens.revoke(con, after.id, (TokenKind.RESET,))
    text = (
        f"The email address of user {after.username} was changed from {before.email} to {after.email}, "
        f"by user {caller.username}.\n\nIf that was not you or in your name, tell who administers your account.\n"
    )
    mail = MailMessage(to=before.email, subject="Your email address was changed", text=text)
    await outbox.put(con, Topic.MAIL, mail.to_payload())


async def set_preference(con: Connection, caller: Identity, name: str, value: object) -> None:
    """Store a preference of the caller; None removes it."""
    before = await repository.set_preference(con, caller.user_id, name, value)
    details = changes_between({name: before}, {name: value})
    if details:
        event = f"Updated preferences of user {caller.username}. {describe_changes(details)}"
        await record_change(
            con, caller, event, account_id=caller.account_id, affected_user_id=caller.user_id, details=details
        )


async def resolve_roles(con: Connection, caller: Identity, user: UserRow, wanted: Sequence[int | str]) -> list[int]:
    """Return the ids of roles given by id or name. Refuse roles that the caller may not give or take."""
    known = await repository.load_roles(con)
    by_name = {name: role for role, name in known.items()}
    chosen = []
    for role in wanted:
        number = by_name.get(str(role)) or parse_digits(str(role))
        if number not in known:
            raise Invalid({"flexmeasures_roles": [f"No role found with ID or name {role}."]})
        chosen.append(number)
    moved = {known[role] for role in set(chosen) ^ set(user.role_ids)}
    if moved & PLATFORM_ROLES and not may(caller, Action.ENTRUST, ResourceType.PLATFORM, Owner(None)):
        raise Forbidden("Only administrators may give and take the roles admin and admin-reader.")
    return chosen


async def check_unique(con: Connection, user_id: int | None, changes: Mapping[str, Any]) -> None:
    if "email" in changes and await repository.find_by_email(con, changes["email"]) not in (None, user_id):
        raise Invalid({"email": [f"A user with the email address '{changes['email']}' already exists."]})
    if "username" in changes and await repository.find_by_name(con, changes["username"]) not in (None, user_id):
        raise Invalid({"username": [f"A user with the name '{changes['username']}' already exists."]})


async def reset_password(
    con: Connection, caller: Identity, user_id: int, account_id: int, username: str, password_hash: str
) -> None:
    """Replace a password that others may know, and log the user out everywhere."""
    await tokens.replace_password(con, user_id, password_hash)
    await tokens.revoke(con, user_id, BY_PASSWORD)
    await record_change(
        con, caller, f"Password of user {username} reset", account_id=account_id, affected_user_id=user_id
    )


def unusable_password() -> str:
    """Return a password that nobody knows, for users who still have to choose theirs."""
    return secrets.token_urlsafe(48)
