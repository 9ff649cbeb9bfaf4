"""Creating, changing and deleting assets."""

from collections.abc import Mapping
from typing import Any

import asyncpg
from flexmodel.errors import Forbidden, Invalid
from flexserve import tracing
from flexstore.series import delete_all_beliefs
from flexstore.store import Connection
from flexwork import activities
from flexwork.activities import ActivityType

from flexcore.assets import configuration, repository
from flexcore.assets.repository import AssetRow
from flexcore.audit.service import Actor, changes_between, describe_changes, record_change
from flexcore.permissions import resources
from flexcore.permissions.identity import Identity
from flexcore.permissions.policy import Action, Owner, ResourceType, may
from flexcore.permissions.resources import ResourceRow

TREES_LOCK = 7_204_311
"""Held while an asset moves in its tree, so that two moves cannot close a circle."""
NOT_ALLOWED = "User is not allowed to create assets for this account."


async def create(con: Connection, actor: Actor | None, values: Mapping[str, Any]) -> int:
    """Create an asset from fields of the API, and return its id. Without an actor no permission is checked."""
    parent = await find_parent(con, values)
    if actor and parent and not may(actor, Action.CREATE, ResourceType.ASSET, resources.owner_of(parent)):
        raise Forbidden(NOT_ALLOWED)
    await check_owner(con, actor, values)
    await check_values(con, actor, values)
    try:
        asset_id = await repository.insert(con, values)
    except asyncpg.UniqueViolationError as error:
        raise Invalid({"name": [name_taken_message(values)]}) from error
    event = f"Created asset '{values['name']}': {asset_id}"
    details = changes_between(None, audited_fields(await repository.get(con, asset_id)))
    await record_change(con, actor, event, account_id=values["account_id"], asset_id=asset_id, details=details)
    await activities.record(
        con, values["account_id"], ActivityType.ASSET_CREATED, {"asset": asset_id}, tracing.carrier()
    )
    return asset_id


async def find_parent(con: Connection, values: Mapping[str, Any]) -> ResourceRow | None:
    """Return the parent of a new asset with its owner, or None."""
    parent_id = values.get("parent_asset_id")
    return None if parent_id is None else await resources.find(con, ResourceType.ASSET, parent_id)


async def default_account(con: Connection, caller: Identity, values: Mapping[str, Any]) -> int | None:
    """Return the account of a new asset that names none: that of its parent, else the caller's."""
    parent = await find_parent(con, values)
    return caller.works_for if parent is None else parent["account_id"]


async def check_owner(con: Connection, actor: Actor | None, values: Mapping[str, Any]) -> None:
    """Refuse an account or a parent that does not exist, does not fit, or where the actor may not create assets."""
    account_id, parent_id = values["account_id"], values.get("parent_asset_id")
    account = None if account_id is None else await resources.find(con, ResourceType.ACCOUNT, account_id)
    if account_id is not None and account is None:
        raise Invalid({"account_id": [f"Account with Id {account_id} doesn't exist."]})
    owner = Owner(None) if account is None else resources.owner_of(account)
    if (
        actor is not None
        and account_id != actor.account_id
        and not may(actor, Action.CREATE, ResourceType.ACCOUNT, owner)
    ):
        raise Invalid({"account_id": [NOT_ALLOWED]})
    if parent_id is None:
        if actor is not None and not may(actor, Action.CREATE, ResourceType.ACCOUNT, owner):
            raise Forbidden(NOT_ALLOWED)
        return
    parent = await resources.find(con, ResourceType.ASSET, parent_id)
    if parent is None or (actor and not may(actor, Action.READ, ResourceType.ASSET, resources.owner_of(parent))):
        raise Invalid({"parent_asset_id": [f"No asset found with ID {parent_id}."]})
    if parent["account_id"] != account_id:
        raise Invalid({"parent_asset_id": [f"Asset {parent_id} belongs to another account."]})
    if actor is not None and not may(actor, Action.CREATE, ResourceType.ASSET, resources.owner_of(parent)):
        raise Forbidden(NOT_ALLOWED)


async def check_values(
    con: Connection, actor: Actor | None, values: Mapping[str, Any], asset_id: int | None = None
) -> None:
    """Refuse values that contradict what is stored. `values` hold the name, the parent and the account."""
    type_id = values.get("generic_asset_type_id")
    if type_id is not None and not await repository.type_exists(con, type_id):
        raise Invalid({"generic_asset_type_id": [unknown_type_message(type_id)]})
    same = await repository.find_by_name(con, values["name"], values.get("parent_asset_id"), values["account_id"])
    if same not in (None, asset_id):
        raise Invalid({"name": [name_taken_message(values)]})
    await configuration.check(con, actor, values)


def unknown_type_message(type_id: int) -> str:
    return f"GenericAssetType with id {type_id} doesn't exist."


def audited_fields(row: AssetRow) -> dict[str, Any]:
    """Return the fields that users can change, for the audit log."""
    columns = repository.STORED | {"generic_asset_type_id": "type_id"}
    return {field: row[column] for field, column in columns.items()}


def name_taken_message(values: Mapping[str, Any]) -> str:
    parent, account = values.get("parent_asset_id"), values["account_id"]
    if parent is not None:
        place = f"under parent asset {parent}"
    else:
        place = "as a public top-level asset" if account is None else f"as a top-level asset in account {account}"
    return f"An asset with the name '{values['name']}' already exists {place}"


async def update(con: Connection, caller: Identity, asset_id: int, changes: Mapping[str, Any]) -> None:
    """Apply the changes. Descendants move with an asset to another parent or account."""
    before = await repository.get(con, asset_id)
    after = {name: before[name] for name in ("name", "parent_asset_id", "account_id")} | dict(changes)
    goes = after["account_id"] != before.account_id
    if goes or after["parent_asset_id"] != before.parent_asset_id:
        await con.execute("select pg_advisory_xact_lock($1)", TREES_LOCK)
        await check_owner(con, caller, after)
        asset = await resources.get(con, ResourceType.ASSET, asset_id)
        if goes and not may(caller, Action.DELETE, ResourceType.ASSET, resources.owner_of(asset)):
            raise Forbidden("Who may not delete an asset may not give it away either.")
        if after["parent_asset_id"] and await repository.is_below(con, after["parent_asset_id"], asset_id):
            raise Invalid({"parent_asset_id": ["An asset cannot be below itself."]})
    await check_values(con, caller, after, asset_id)
    try:
        await repository.update(con, asset_id, changes)
        if goes:
            await repository.transfer(con, asset_id, after["account_id"])
    except asyncpg.UniqueViolationError as error:
        raise Invalid({"name": [name_taken_message(after)]}) from error
    now = await repository.get(con, asset_id)
    details = changes_between(audited_fields(before), audited_fields(now))
    if details:
        event = f"Updated asset '{now.name}': {asset_id}. {describe_changes(details)}"
        data = {"asset": asset_id, "fields": list(details)}
        await record_change(con, caller, event, account_id=now.account_id, asset_id=asset_id, details=details)
        if now.account_id != before.account_id:  # to whom it belonged: there it is no asset any more
            await record_change(con, caller, event, account_id=before.account_id, details=details)
        for account_id in {before.account_id, now.account_id}:
            await activities.record(con, account_id, ActivityType.ASSET_UPDATED, data, tracing.carrier())


async def delete(con: Connection, actor: Actor | None, asset_id: int) -> None:
    """Delete the asset with its descendants, their sensors and their data."""
    asset = await repository.get(con, asset_id)
    sensors = await repository.load_sensors_below(con, asset_id)
    gone = {"asset": asset_id, "sensors": sensors}
    await activities.record(con, asset.account_id, ActivityType.ASSET_DELETED, gone, tracing.carrier())
    await delete_all_beliefs(con, sensors)
    await repository.delete(con, asset_id)
    event = f"Deleted asset '{asset.name}': {asset_id}"
    details = changes_between(audited_fields(asset), None) | {"sensors": {"before": sensors, "after": None}}
    await record_change(con, actor, event, account_id=asset.account_id, asset_id=asset_id, details=details)
