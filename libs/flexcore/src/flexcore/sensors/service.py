"""Creating, changing and deleting sensors."""

from collections.abc import Mapping
from typing import Any

import asyncpg
from flexmodel.errors import Forbidden, Invalid
from flexmodel.time import format_duration
from flexserve import tracing
from flexstore.series import delete_all_beliefs
from flexstore.store import Connection
from flexwork import activities
from flexwork.activities import ActivityType

from flexcore.audit.service import Actor, changes_between, describe_changes, record_change
from flexcore.permissions import resources
from flexcore.permissions.identity import Identity
from flexcore.permissions.policy import Action, ResourceType, may
from flexcore.permissions.resources import ResourceRow
from flexcore.sensors import repository
from flexcore.sensors.repository import SensorRow


async def create(con: Connection, actor: Actor | None, values: Mapping[str, Any]) -> int:
    """Create a sensor from fields of the API, and return its id."""
    asset_id = values["generic_asset_id"]
    asset = await resources.find(con, ResourceType.ASSET, asset_id)
    if asset is None:
        raise Invalid({"generic_asset_id": [f"Generic asset with id {asset_id} doesn't exist."]})
    if actor is not None and not may(actor, Action.CREATE, ResourceType.ASSET, resources.owner_of(asset)):
        raise Forbidden("User is not allowed to create sensors on this asset.")
    if await repository.find_by_name(con, values["name"], asset_id) is not None:
        raise Invalid({"name": [name_taken_message(values["name"], asset_id)]})
    try:
        sensor_id = await repository.insert(con, values)
    except asyncpg.UniqueViolationError as error:
        raise Invalid({"name": [name_taken_message(values["name"], asset_id)]}) from error
    event = f"Created sensor '{values['name']}': {sensor_id}"
    details = changes_between(None, audited_fields(await repository.get(con, sensor_id)))
    account_id = asset["account_id"]
    await record_change(
        con, actor, event, account_id=account_id, asset_id=asset_id, sensor_id=sensor_id, details=details
    )
    told_of = {"asset": asset_id, "sensor": sensor_id}
    await activities.record(con, asset["account_id"], ActivityType.SENSOR_CREATED, told_of, tracing.carrier())
    return sensor_id


def name_taken_message(name: str, asset_id: int) -> str:
    return f"A sensor with the name '{name}' already exists on asset {asset_id}."


async def update(con: Connection, caller: Identity, sensor: ResourceRow, changes: Mapping[str, Any]) -> None:
    """Apply the changes."""
    sensor_id, asset_id = sensor.id, sensor.asset_id
    before = await repository.get(con, sensor_id)
    if "name" in changes and await repository.find_by_name(con, changes["name"], asset_id) not in (None, sensor_id):
        raise Invalid({"name": [name_taken_message(changes["name"], asset_id)]})
    try:
        await repository.update(con, sensor_id, changes)
    except asyncpg.UniqueViolationError as error:
        raise Invalid({"name": [name_taken_message(changes["name"], asset_id)]}) from error
    details = changes_between(audited_fields(before), audited_fields(await repository.get(con, sensor_id)))
    if details:
        event = f"Updated sensor '{before['name']}': {sensor_id}. {describe_changes(details)}"
        account_id = sensor.account_id
        await record_change(
            con, caller, event, account_id=account_id, asset_id=asset_id, sensor_id=sensor_id, details=details
        )
        told_of = {"asset": asset_id, "sensor": sensor_id, "fields": list(details)}
        await activities.record(con, account_id, ActivityType.SENSOR_UPDATED, told_of, tracing.carrier())


def audited_fields(row: SensorRow) -> dict[str, Any]:
    return dict(row) | {"event_resolution": format_duration(row.event_resolution, days=True)}


async def delete(con: Connection, actor: Actor | None, sensor: ResourceRow) -> None:
    """Delete the sensor and its data."""
    sensor_id, asset_id, account_id = sensor.id, sensor.asset_id, sensor.account_id
    details = changes_between(audited_fields(await repository.get(con, sensor_id)), None)
    await delete_all_beliefs(con, [sensor_id])
    await repository.delete(con, sensor_id)
    event = f"Deleted sensor '{sensor.name}': {sensor_id}"
    await record_change(
        con, actor, event, account_id=account_id, asset_id=asset_id, sensor_id=sensor_id, details=details
    )
    told_of = {"asset": asset_id, "sensor": sensor_id}
    await activities.record(con, account_id, ActivityType.SENSOR_DELETED, told_of, tracing.carrier())
