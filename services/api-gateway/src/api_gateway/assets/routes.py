"""`/assets`: list, read, create, change, copy and delete assets."""

from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query
from flexcore.assets import copying, repository, service
from flexcore.assets.inputs import AssetPatch, AssetPost, AssetQuery, CopyQuery, DefaultView, FieldsQuery, LegendPlace
from flexcore.assets.repository import AssetRow
from flexcore.listing import paged
from flexcore.permissions import resources
from flexcore.permissions.identity import Identity
from flexcore.permissions.policy import Action, ResourceType, Scope, may
from flexcore.permissions.resources import Found, visible_accounts
from flexcore.users import service as users
from flexmodel.errors import Forbidden
from flexserve.responses import OrjsonResponse
from flexstore.store import Connection

from api_gateway.assets.schemas import Asset, AssetAnswer, AssetType, Copied, NewAsset
from api_gateway.auth.access import Access, Caller, LoggedIn, OnSelf
from api_gateway.gateway import Gateway
from api_gateway.response_models import MessageResponse, PageResponse
from api_gateway.responses import NoContentResponse, fields_under, forbidden, unprocessable, unprocessable_field
from api_gateway.routing import EnvelopeRoute

router = APIRouter(prefix="/assets", tags=["Assets"], route_class=EnvelopeRoute)


def asset_response(row: AssetRow, fields: Sequence[str] | None = None) -> dict[str, Any]:
    """Return an asset as JSON, all of it or only some fields. Documents are text, as existing clients expect."""
    owner = None if row.account_id is None else {"id": row.account_id, "name": row.owner_name}
    asset = {
        "account_id": row.account_id,
        "attributes": row.attributes,
        "child_assets": orjson.Fragment(row.child_assets),
        "description": row.description,
        "external_id": row.external_id,
        "flex_context": row.flex_context,
        "flex_model": row.flex_model,
        "generic_asset_type": {"id": row.type_id, "name": row.type_name},
        "generic_asset_type_id": row.type_id,
        "id": row.id,
        "latitude": row.latitude,
        "longitude": row.longitude,
        "name": row.name,
        "owner": owner,
        "parent_asset_id": row.parent_asset_id,
        "sensors": orjson.Fragment(row.sensors),
        "sensors_to_show": row.sensors_to_show,
        "sensors_to_show_as_kpis": row.sensors_to_show_as_kpis,
    }
    return asset if fields is None else {field: asset[field] for field in fields}


@router.get("", response_model=list[Asset] | PageResponse[Asset], summary="List assets accessible by the user.")
async def list_assets(caller: Caller, gateway: Gateway, query: Annotated[AssetQuery, Query()]) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        if query.asset_type is not None and not await repository.type_exists(con, query.asset_type):
            raise unprocessable_field("query", "asset_type", service.unknown_type_message(query.asset_type))
        within = await listed_accounts(con, caller, query)
        public = query.all_accessible or query.include_public or query.root is not None
        order = repository.SORT[query.sort_by or "id"]
        rows, filtered = await repository.fetch_page(con, within, query, public=public, order=order)
        assets = [asset_response(row, query.chosen) for row in rows]
        if query.page is None:
            return OrjsonResponse(assets)
        total = await repository.count(con, within, query, public=public)
    return OrjsonResponse(paged(assets, total, filtered))


async def listed_accounts(con: Connection, caller: Identity, query: AssetQuery) -> list[int] | None:
    """Return the accounts whose assets are listed; None means all."""
    if query.account_id is not None:
        account = await resources.find(con, ResourceType.ACCOUNT, query.account_id)
        if account is None:
            raise unprocessable_field("query", "account_id", f"Account with Id {query.account_id} doesn't exist.")
        if not may(caller, Action.READ, ResourceType.ACCOUNT, resources.owner_of(account)):
            raise forbidden()
        return [query.account_id]
    if query.root is not None and await resources.find(con, ResourceType.ASSET, query.root) is None:
        raise unprocessable_field("query", "root", f"No asset found with ID {query.root}.")
    if query.all_accessible or query.root is not None or caller.only_account is not None:
        return await visible_accounts(con, caller)
    return [caller.account_id]


@router.post("", status_code=201, response_model=NewAsset, summary="Create an asset.")
async def create_asset(
    caller: Annotated[Identity, Depends(LoggedIn(Scope.ADMIN))], gateway: Gateway, body: AssetPost
) -> OrjsonResponse:
    values = body.sent()
    try:
        with fields_under("json"):
            async with gateway.transaction() as con:
                if "account_id" not in values:
                    values["account_id"] = await service.default_account(con, caller, values)
                asset_id = await service.create(con, caller, values)
                row = await repository.get(con, asset_id)
    except Forbidden as refused:
        raise forbidden() from refused
    return OrjsonResponse(asset_response(row), 201)


@router.get("/types", response_model=list[AssetType], summary="List asset types.")
async def list_asset_types(_caller: Caller, gateway: Gateway) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        rows = await repository.load_types(con)
    return OrjsonResponse([{"description": row.description, "id": row.id, "name": row.name} for row in rows])


@router.get("/public", response_model=list[Asset], summary="List all public assets.")
async def list_public_assets(
    _caller: Caller, gateway: Gateway, query: Annotated[FieldsQuery, Query()]
) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        rows = await repository.load_public(con)
    return OrjsonResponse([asset_response(row, query.chosen) for row in rows])


@router.post("/default_asset_view", response_model=MessageResponse, summary="Choose the page that opens for assets.")
async def choose_default_view(
    caller: Annotated[Identity, Depends(OnSelf(Action.UPDATE))], gateway: Gateway, body: DefaultView
) -> OrjsonResponse:
    view = body.default_asset_view if body.use_as_default else None
    async with gateway.transaction() as con:
        await users.set_preference(con, caller, "default_asset_view", view)
    return OrjsonResponse({"message": "Default asset view updated successfully.", "status": 200})


@router.post(
    "/keep_legends_below_graphs", response_model=MessageResponse, summary="Choose where the legends of graphs stand."
)
async def choose_legend_place(
    caller: Annotated[Identity, Depends(OnSelf(Action.UPDATE))], gateway: Gateway, body: LegendPlace
) -> OrjsonResponse:
    async with gateway.transaction() as con:
        await users.set_preference(con, caller, "keep_legends_below_graphs", body.keep_legends_below_graphs)
    return OrjsonResponse({"message": "Default legend position updated successfully.", "status": 200})


@router.get("/{id}", response_model=AssetAnswer, summary="Get an asset.")
async def get_asset(
    asset: Annotated[Found, Depends(Access(ResourceType.ASSET, Action.READ))], gateway: Gateway
) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        row = await repository.get(con, asset.id)
    return OrjsonResponse(asset_response(row) | {"status": 200})


@router.patch("/{id}", response_model=AssetAnswer, summary="Update an asset.")
async def update_asset(
    asset: Annotated[Found, Depends(Access(ResourceType.ASSET, Action.UPDATE))], gateway: Gateway, body: AssetPatch
) -> OrjsonResponse:
    if not body.sent():
        raise unprocessable({"json": "There is nothing to change."})
    try:
        with fields_under("json"):
            async with gateway.transaction() as con:
                await service.update(con, asset.caller, asset.id, body.sent())
                row = await repository.get(con, asset.id)
    except Forbidden as refused:
        raise forbidden() from refused
    return OrjsonResponse(asset_response(row) | {"status": 200})


@router.delete(
    "/{id}", status_code=204, response_class=NoContentResponse, summary="Delete an asset and everything below it."
)
async def delete_asset(
    asset: Annotated[Found, Depends(Access(ResourceType.ASSET, Action.DELETE))], gateway: Gateway
) -> NoContentResponse:
    async with gateway.transaction() as con:
        await service.delete(con, asset.caller, asset.id)
    return NoContentResponse()


@router.post(
    "/{id}/copy",
    status_code=201,
    response_model=Copied,
    summary="Copy an asset with everything below it, without data.",
)
async def copy_asset(
    asset: Annotated[Found, Depends(Access(ResourceType.ASSET, Action.COPY))],
    gateway: Gateway,
    query: Annotated[CopyQuery, Query()],
) -> OrjsonResponse:
    try:
        with fields_under("query"):
            async with gateway.transaction() as con:
                copy = await copying.copy(con, asset.caller, asset.id, **query.model_dump(exclude_unset=True))
    except Forbidden as refused:
        raise forbidden() from refused
    return OrjsonResponse({"asset": copy, "message": copying.copied_message(asset.id, query), "status": 201}, 201)
