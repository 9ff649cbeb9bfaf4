"""`/sensors`: list, read, create, change and delete sensors."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from flexcore.listing import paged
from flexcore.permissions import resources
from flexcore.permissions.identity import Identity
from flexcore.permissions.policy import Action, ResourceType, Scope, may
from flexcore.permissions.resources import Found, visible_accounts
from flexcore.sensors import repository, service
from flexcore.sensors.inputs import SensorListQuery, SensorPatch, SensorPost, SensorQuery
from flexcore.sensors.repository import SensorRow
from flexmodel.errors import Forbidden
from flexserve.responses import OrjsonResponse
from flexstore.store import Connection

from api_gateway.auth.access import Access, Caller, LoggedIn, unknown_asset_in_path
from api_gateway.gateway import Gateway
from api_gateway.response_models import PageResponse
from api_gateway.responses import NoContentResponse, fields_under, forbidden, unprocessable_field
from api_gateway.routing import EnvelopeRoute
from api_gateway.sensors.schemas import Sensor, SensorAnswer
from api_gateway.settings import GatewaySettings
from api_gateway.times import calendar_duration

router = APIRouter(tags=["Sensors"], route_class=EnvelopeRoute)


def sensor_response(row: SensorRow, settings: GatewaySettings) -> dict[str, Any]:
    """Return a sensor as JSON."""
    return {
        "attributes": row.attributes,
        "entity_address": f"ea1.{settings.naming_authority}:fm1.{row.id}",
        "event_resolution": calendar_duration(row.event_resolution),
        "generic_asset_id": row.asset_id,
        "id": row.id,
        "name": row.name,
        "timezone": row.timezone,
        "unit": row.unit,
    }


@router.get("/sensors", response_model=list[Sensor] | PageResponse[Sensor], summary="Get a list of sensors.")
async def list_sensors(caller: Caller, gateway: Gateway, query: Annotated[SensorListQuery, Query()]) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        within, public = await listed_accounts(con, caller, query)
        order = repository.SORT[query.sort_by or "id"]
        rows, filtered, total = await repository.fetch_page(
            con, query, within, public=public, below=query.asset_id, unit=query.unit, order=order
        )
    sensors = [sensor_response(row, gateway.settings) for row in rows]
    return OrjsonResponse(sensors if query.page is None else paged(sensors, total, filtered))


async def listed_accounts(con: Connection, caller: Identity, query: SensorListQuery) -> tuple[list[int] | None, bool]:
    """Return the accounts whose sensors are listed (None: all), and whether public ones are listed too."""
    public = query.include_public_assets
    if query.account_id is not None:
        account = await resources.find(con, ResourceType.ACCOUNT, query.account_id)
        if account is None:
            raise unprocessable_field("query", "account_id", f"Account with Id {query.account_id} doesn't exist.")
        if not may(caller, Action.READ, ResourceType.ACCOUNT, resources.owner_of(account)):
            raise forbidden()
        return [query.account_id], public
    if query.asset_id is not None:
        asset = await resources.find(con, ResourceType.ASSET, query.asset_id)
        if asset is None:
            raise unprocessable_field("query", "asset_id", f"No asset found with ID {query.asset_id}.")
        if not may(caller, Action.READ, ResourceType.ASSET, resources.owner_of(asset)):
            raise forbidden()
        return await visible_accounts(con, caller), True
    if query.include_consultancy_clients or caller.only_account is not None:
        return await visible_accounts(con, caller), public
    return [caller.account_id], public


@router.post("/sensors", status_code=201, response_model=Sensor, summary="Create a sensor.")
async def create_sensor(
    caller: Annotated[Identity, Depends(LoggedIn(Scope.ADMIN))], gateway: Gateway, body: SensorPost
) -> OrjsonResponse:
    values = {"timezone": gateway.settings.timezone} | body.sent()
    try:
        with fields_under("json"):
            async with gateway.transaction() as con:
                sensor_id = await service.create(con, caller, values)
                row = await repository.get(con, sensor_id)
    except Forbidden as refused:
        raise forbidden() from refused
    return OrjsonResponse(sensor_response(row, gateway.settings), 201)


@router.get("/sensors/{id}", response_model=SensorAnswer, summary="Get a sensor.")
async def get_sensor(
    sensor: Annotated[Found, Depends(Access(ResourceType.SENSOR, Action.READ))], gateway: Gateway
) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        row = await repository.get(con, sensor.id)
    return OrjsonResponse(sensor_response(row, gateway.settings) | {"status": 200})


@router.patch("/sensors/{id}", response_model=SensorAnswer, summary="Update a sensor.")
async def update_sensor(
    sensor: Annotated[Found, Depends(Access(ResourceType.SENSOR, Action.UPDATE))], gateway: Gateway, body: SensorPatch
) -> OrjsonResponse:
    with fields_under("json"):
        async with gateway.transaction() as con:
            await service.update(con, sensor.caller, sensor.row, body.sent())
            row = await repository.get(con, sensor.id)
    return OrjsonResponse(sensor_response(row, gateway.settings) | {"status": 200})


@router.delete(
    "/sensors/{id}", status_code=204, response_class=NoContentResponse, summary="Delete a sensor and its data."
)
async def delete_sensor(
    sensor: Annotated[Found, Depends(Access(ResourceType.SENSOR, Action.DELETE))], gateway: Gateway
) -> NoContentResponse:
    async with gateway.transaction() as con:
        await service.delete(con, sensor.caller, sensor.row)
    return NoContentResponse()


@router.get("/assets/{id}/sensors", response_model=PageResponse[Sensor], summary="Get the sensors of an asset.")
async def list_asset_sensors(
    asset: Annotated[Found, Depends(Access(ResourceType.ASSET, Action.READ, unknown_asset_in_path))],
    gateway: Gateway,
    query: Annotated[SensorQuery, Query()],
) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        order = repository.SORT[query.sort_by or "id"]
        rows, filtered, total = await repository.fetch_page_of_asset(con, asset.id, query, order)
    return OrjsonResponse(paged([sensor_response(row, gateway.settings) for row in rows], total, filtered))
