"""Creating and changing accounts."""

from collections.abc import Mapping
from typing import Any

from flexmodel.errors import Forbidden, Invalid
from flexstore.store import Connection

from flexcore.accounts import repository
from flexcore.audit.service import Actor, changes_between, describe_changes, record_change
from flexcore.permissions.identity import Identity
from flexcore.permissions.policy import Action, Owner, ResourceType, may

FOR_ADMINISTRATORS = ("consultancy_account_id", "plan_id", "account_roles")


async def create(con: Connection, actor: Actor | None, name: str, consultancy_account_id: int | None = None) -> int:
    """Create an account, and return its id."""
    if await repository.find_by_name(con, name) is not None:
        raise Invalid({"name": [f"An account with the name '{name}' already exists."]})
    if consultancy_account_id is not None and await repository.find(con, consultancy_account_id) is None:
        raise Invalid({"consultancy_account_id": [f"Account with Id {consultancy_account_id} doesn't exist."]})
    account = await repository.insert(con, name, consultancy_account_id)
    details = changes_between(None, {"name": name, "consultancy_account_id": consultancy_account_id})
    await record_change(con, actor, f"Account {name} created", account_id=account, details=details)
    return account


async def update(con: Connection, caller: Identity, account_id: int, changes: Mapping[str, Any]) -> None:
    """Apply the changes, if the caller may make all of them."""
    before = await repository.get(con, account_id)
    for field in FOR_ADMINISTRATORS:
        if field in changes and not may(caller, Action.ENTRUST, ResourceType.ACCOUNT, Owner(account_id)):
            raise Forbidden(f"Only administrators may change {field}.")
    await check_changes(con, account_id, changes)
    await repository.update(con, account_id, changes)
    if "account_roles" in changes:
        await repository.set_roles(con, account_id, changes["account_roles"])
    after = await repository.get(con, account_id)
    details = changes_between(before, after)
    if details:
        event = f"Account {after['name']} Updated. {describe_changes(details)}"
        await record_change(con, caller, event, account_id=account_id, details=details)


async def check_changes(con: Connection, account_id: int, changes: Mapping[str, Any]) -> None:
    """Refuse changes that contradict what is stored."""
    if "name" in changes and await repository.find_by_name(con, changes["name"]) not in (None, account_id):
        raise Invalid({"name": [f"An account with the name '{changes['name']}' already exists."]})
    consultancy = changes.get("consultancy_account_id")
    if consultancy == account_id:
        raise Invalid({"consultancy_account_id": ["An account cannot be its own consultancy."]})
    if consultancy is not None and await repository.find(con, consultancy) is None:
        raise Invalid({"consultancy_account_id": [f"Account with Id {consultancy} doesn't exist."]})
    unknown = await repository.unknown_roles(con, changes.get("account_roles") or [])
    if unknown:
        raise Invalid({"account_roles": [f"No account role found with ID {unknown[0]}."]})
