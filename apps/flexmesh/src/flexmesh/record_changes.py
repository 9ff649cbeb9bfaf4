"""Changes and deletions of records on the command line, with entries in the audit log and activities."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from flexcore.assets import repository as assets
from flexcore.assets import service as asset_service
from flexcore.audit.service import changes_between, record_change
from flexcore.permissions import resources
from flexcore.permissions.policy import ResourceType
from flexcore.sensors import service as sensor_service
from flexmodel.errors import Conflict, NotFound
from flexstore import retention, series
from flexstore.store import Connection
from flexwork import activities
from flexwork.activities import ActivityType

from flexmesh.record_creation import load_row

UPDATED = {"asset": ActivityType.ASSET_UPDATED, "sensor": ActivityType.SENSOR_UPDATED}


async def set_attribute(con: Connection, subjects: Mapping[str, Sequence[int]], name: str, value: object) -> None:
    if name == retention.ATTRIBUTE and value is not None:
        retention.parse_retention(value)
    for table, ids in subjects.items():
        for id in ids:
            found = await load_row(con, table, id, table)
            attributes = {**found["attributes"], name: value}
            await con.execute(f"update {table} set attributes = $2 where id = $1", id, attributes)  # noqa: S608 - put together from constants
            event = f"Set attribute '{name}' of {table} '{found['name']}': {id}"
            details = changes_between({name: found["attributes"].get(name)}, {name: value})
            account = (await resources.get(con, ResourceType(table), id)).account_id
            about: dict[str, dict[str, int | None]] = {
                "asset": {"asset_id": id},
                "sensor": {"asset_id": found.get("asset_id"), "sensor_id": id},
            }
            await record_change(con, None, event, account_id=account, details=details, **about.get(table, {}))
            if table in UPDATED:
                await activities.record(con, account, UPDATED[table], {table: id, "fields": ["attributes"]})


async def transfer_ownership(con: Connection, asset: int, account: int) -> int:
    """Move the asset with all its descendants to another account, and return the number of moved assets.

    The asset loses a parent that stays in another account: nobody may read or delete across accounts.
    """
    before = await load_row(con, "asset", asset, "asset")
    owner = await load_row(con, "account", account, "account")
    moved = await assets.load_assets_below(con, asset)
    await con.execute("update asset set account_id = $2 where id = any($1::int[])", moved, account)
    if before["account_id"] != account:
        await assets.update(con, asset, {"parent_asset_id": None})
    details = changes_between({"account_id": before["account_id"]}, {"account_id": account})
    event = f"Moved asset '{before['name']}': {asset} with all below it to account '{owner['name']}'"
    await record_change(con, None, event, account_id=before["account_id"], details=details)
    for id in moved:
        event = f"Moved asset {id} to account '{owner['name']}'"
        await record_change(con, None, event, account_id=account, asset_id=id, details=details)
        await activities.record(con, account, ActivityType.ASSET_UPDATED, {"asset": id, "fields": ["account_id"]})
    return len(moved)


async def transfer_parenthood(con: Connection, children: Sequence[int], parent: int | None) -> None:
    above = None if parent is None else await load_row(con, "asset", parent, "asset")
    for child in children:
        found = await load_row(con, "asset", child, "asset")
        if above is not None and above["account_id"] != found["account_id"]:
            raise Conflict(f"Asset {parent} belongs to another account than asset {child}.")
        if parent is not None and await assets.is_below(con, parent, child):
            raise Conflict(f"Asset {parent} is asset {child} or below it, so it cannot be its parent.")
        await assets.update(con, child, {"parent_asset_id": parent})
        event = f"Moved asset {child} below asset {parent}"
        details = changes_between({"parent_asset_id": found["parent_asset_id"]}, {"parent_asset_id": parent})
        await record_change(con, None, event, account_id=found["account_id"], asset_id=child, details=details)
        moved = {"asset": child, "fields": ["parent_asset_id"]}
        await activities.record(con, found["account_id"], ActivityType.ASSET_UPDATED, moved)


async def delete_account_role(con: Connection, name: str) -> None:
    if await con.fetchval("delete from account_role where name = $1 returning id", name) is None:
        raise NotFound(f"There is no account role named '{name}'.")


async def delete_account(con: Connection, account: int) -> str:
    found = await load_row(con, "account", account, "account")
    owned = await con.fetch("select id from asset where account_id = $1 order by id desc", account)
    for asset in owned:
        if await con.fetchval("select true from asset where id = $1", asset["id"]):
            await delete_asset(con, asset["id"])
    await con.execute("delete from account where id = $1", account)
    details = changes_between(found, None, ("name", "consultancy_account_id"))
    await record_change(con, None, f"Deleted account '{found['name']}': {account}", account_id=account, details=details)
    return str(found["name"])


async def delete_user(con: Connection, email: str) -> None:
    found = await con.fetchrow(
        "delete from users where lower(email) = lower($1) returning id, username, email, account_id", email
    )
    if found is None:
        raise NotFound(f"There is no user with the address {email}.")
    event = f"Deleted user {found['username']}"
    details = changes_between(dict(found), None, ("username", "email"))
    await record_change(con, None, event, account_id=found["account_id"], affected_user_id=found["id"], details=details)


async def delete_asset(con: Connection, asset: int) -> None:
    await load_row(con, "asset", asset, "asset")
    await asset_service.delete(con, None, asset)


async def delete_sensors(con: Connection, ids: Sequence[int]) -> None:
    for id in ids:
        await load_row(con, "sensor", id, "sensor")
        await sensor_service.delete(con, None, await resources.get(con, ResourceType.SENSOR, id))


async def sensors_of(con: Connection, chosen: Sequence[int], owners: Sequence[int], *, offspring: bool) -> list[int]:
    """Return the ids of the chosen sensors and of the sensors of the chosen assets."""
    found = {(await load_row(con, "sensor", id, "sensor"))["id"] for id in chosen}
    for asset in owners:
        await load_row(con, "asset", asset, "asset")
        if offspring:
            found |= set(await assets.load_sensors_below(con, asset))
        else:
            found |= {each["id"] for each in await con.fetch("select id from sensor where asset_id = $1", asset)}
    return sorted(found)


async def delete_beliefs(
    con: Connection, ids: Sequence[int], source: int | None, start: datetime | None, end: datetime | None
) -> int:
    total = 0
    for id in ids:
        number = await series.delete_beliefs(con, id, start, end, source)
        if number:
            account = (await resources.get(con, ResourceType.SENSOR, id)).account_id
            gone = {"sensor": id, "start": start, "end": end, "deleted": number}
            await activities.record(con, account, ActivityType.DATA_DELETED, gone)
        total += number
    return total
