"""Copying an asset with everything below it: assets, sensors and configuration, without data."""

# ruff: noqa: S608  SQL is put together from constants here; values always travel beside it.

import re
from collections.abc import Mapping

from flexmodel.errors import Forbidden, Invalid
from flexmodel.references import LISTS_OF_IDS, SINGLE_IDS
from flexserve import tracing
from flexstore.store import Connection
from flexwork import activities
from flexwork.activities import ActivityType

from flexcore.assets import repository, service
from flexcore.assets.inputs import CopyQuery
from flexcore.assets.repository import AssetRow
from flexcore.audit.service import record_change
from flexcore.permissions import resources
from flexcore.permissions.identity import Identity
from flexcore.permissions.policy import Action, ResourceType, may

COPY_ASSET = """
insert into asset (name, account_id, parent_asset_id, asset_type_id, latitude, longitude, description, external_id,
                   attributes, flex_model, flex_context, sensors_to_show, sensors_to_show_as_kpis)
select $2, $3, $4, asset_type_id, latitude, longitude, description, external_id,
       attributes, flex_model, flex_context, sensors_to_show, sensors_to_show_as_kpis
from asset where id = $1 returning id
"""
COPY_SENSOR = """
insert into sensor (asset_id, name, unit, event_resolution, timezone, attributes)
select $2, name, unit, event_resolution, timezone, attributes from sensor where id = $1 returning id
"""
DOCUMENTS = ("flex_model", "flex_context", "sensors_to_show", "sensors_to_show_as_kpis")
SENSOR_KEYS = frozenset(LISTS_OF_IDS + SINGLE_IDS)


async def copy(con: Connection, caller: Identity, asset_id: int, **target: int | None) -> int:
    """Copy an asset, and return the id of the copy.

    By default it lies beside the original; the copy of a public asset belongs to the caller's account.
    """
    original = await repository.get(con, asset_id)
    account_id, parent_id = await destination(con, caller, original, target)
    if parent_id is not None and await repository.is_below(con, parent_id, asset_id):
        raise Invalid({"parent": ["An asset cannot be copied into itself, or into what is below it."]})
    await check_allowed(con, caller, account_id, parent_id)
    name = await free_name(con, original.name, parent_id, account_id)
    await service.check_owner(con, caller, {"account_id": account_id, "parent_asset_id": parent_id})
    assets: dict[int, int] = {}
    sensors: dict[int, int] = {}
    for source_id in await repository.load_assets_below(con, asset_id):
        source = await repository.get(con, source_id)
        is_root = source_id == asset_id
        parent = parent_id if is_root else assets[source.parent_asset_id or 0]
        assets[source_id] = await con.fetchval(
            COPY_ASSET, source_id, name if is_root else source.name, account_id, parent
        )
        for row in await con.fetch("select id from sensor where asset_id = $1 order by id", source_id):
            sensors[row["id"]] = await con.fetchval(COPY_SENSOR, row["id"], assets[source_id])
    for copied in assets.values():
        await redirect_references(con, copied, sensors, assets)
    event = f"Copied asset '{original.name}': {asset_id} to '{name}': {assets[asset_id]}"
    await record_change(con, caller, event, account_id=account_id, asset_id=assets[asset_id])
    await activities.record(con, account_id, ActivityType.ASSET_CREATED, {"asset": assets[asset_id]}, tracing.carrier())
    return assets[asset_id]


def copied_message(asset_id: int, query: CopyQuery) -> str:
    """Return the message that confirms a copy, with its destination if one was requested."""
    to_parent = "" if query.parent_asset_id is None else f" to parent asset {query.parent_asset_id}"
    to_account = "" if query.account_id is None or to_parent else f" to account {query.account_id}"
    return f"Successfully copied asset {asset_id}{to_account}{to_parent}."


async def destination(
    con: Connection, caller: Identity, original: AssetRow, target: Mapping[str, int | None]
) -> tuple[int | None, int | None]:
    """Return the account and the parent of the copy. In a requested account it has no parent."""
    parent_id = target.get("parent_asset_id")
    if parent_id is not None:
        parent = await repository.find(con, parent_id)
        if parent is None:
            raise Invalid({"parent": [f"No asset found with ID {parent_id}."]})
        return target.get("account_id", parent.account_id), parent_id
    if target.get("account_id") is not None:
        return target["account_id"], None
    if original.account_id is None:
        return caller.works_for, None
    return original.account_id, original.parent_asset_id


async def check_allowed(con: Connection, caller: Identity, account_id: int | None, parent_id: int | None) -> None:
    """Refuse a destination where the caller may not create assets."""
    for thing, number in ((ResourceType.ACCOUNT, account_id), (ResourceType.ASSET, parent_id)):
        row = None if number is None else await resources.find(con, thing, number)
        is_own = thing is ResourceType.ACCOUNT and number == caller.account_id
        if row and not is_own and not may(caller, Action.CREATE, thing, resources.owner_of(row)):
            raise Forbidden(service.NOT_ALLOWED)


async def free_name(con: Connection, name: str, parent_id: int | None, account_id: int | None) -> str:
    """Return the name if it is free there, else the name with `(Copy)`, `(Copy 2)`, … appended."""
    stem = re.sub(r" \(Copy(?: \d+)?\)$", "", name)
    candidate, number = name, 0
    while await repository.find_by_name(con, candidate, parent_id, account_id) is not None:
        number += 1
        candidate = f"{stem} (Copy)" if number == 1 else f"{stem} (Copy {number})"
    return candidate


async def redirect_references(
    con: Connection, asset_id: int, sensors: Mapping[int, int], assets: Mapping[int, int]
) -> None:
    """Make the configuration of a copy refer to the copied sensors and assets instead of the originals."""
    columns = ", ".join(DOCUMENTS)
    row = await con.fetchrow(f"select {columns} from asset where id = $1", asset_id)
    if row is None:
        return
    await con.execute(
        "update asset set flex_model = $2, flex_context = $3, sensors_to_show = $4, sensors_to_show_as_kpis = $5"
        " where id = $1",
        asset_id,
        *(renumber(row[column], sensors, assets) for column in DOCUMENTS),
    )


def renumber(value: object, sensors: Mapping[int, int], assets: Mapping[int, int], key: str = "sensors") -> object:
    """Return a document with the ids of sensors and assets replaced. Bare numbers in graphs are sensors too."""
    if isinstance(value, dict):
        return {name: renumber(item, sensors, assets, name) for name, item in value.items()}
    if isinstance(value, list):
        return [renumber(item, sensors, assets, key) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        if key in SENSOR_KEYS:
            return sensors.get(value, value)
        if key == "asset":
            return assets.get(value, value)
    return value
