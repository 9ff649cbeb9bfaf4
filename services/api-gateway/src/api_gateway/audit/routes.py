"""`…/auditlog`: the changes of an account, a user or an asset."""

from email.utils import format_datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from flexcore.audit import repository
from flexcore.audit.repository import AuditRow
from flexcore.listing import paged
from flexcore.permissions.policy import Action, ResourceType
from flexcore.permissions.resources import Found
from flexserve.responses import OrjsonResponse

from api_gateway.audit.schemas import AccountEvent, AssetLogQuery, Event, UserLogQuery
from api_gateway.auth.access import Access, unknown_asset_in_path
from api_gateway.gateway import Gateway
from api_gateway.response_models import PageResponse
from api_gateway.routing import EnvelopeRoute
from api_gateway.times import naive

router = APIRouter(tags=["Audit log"], route_class=EnvelopeRoute)


def log_entry_response(row: AuditRow) -> dict[str, Any]:
    return {
        "active_user_id": row.active_user_id,
        "active_user_name": row.active_user_name,
        "event": row.event,
        "event_datetime": naive(row.event_datetime),
    }


@router.get(
    "/accounts/{id}/auditlog",
    response_model=list[AccountEvent],
    summary="Get the history of actions for a specific account.",
)
async def get_account_log(
    account: Annotated[Found, Depends(Access(ResourceType.ACCOUNT, Action.AUDIT))], gateway: Gateway
) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        rows = await repository.load_of_account(con, account.id)
    return OrjsonResponse(
        [
            {
                "active_user_id": row.active_user_id,
                "event": row.event,
                "event_datetime": format_datetime(row.event_datetime, usegmt=True),
            }
            for row in rows
        ]
    )


@router.get(
    "/users/{id}/auditlog",
    response_model=list[Event] | PageResponse[Event],
    summary="Get the history of actions for a specific user.",
)
async def get_user_log(
    user: Annotated[Found, Depends(Access(ResourceType.USER, Action.AUDIT))],
    gateway: Gateway,
    query: Annotated[UserLogQuery, Query()],
) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        rows, filtered = await repository.fetch_page_of_user(con, user.id, query, "event_datetime")
        if query.page is None:
            return OrjsonResponse([log_entry_response(row) for row in rows])
        total = await repository.count_of_user(con, user.id)
    return OrjsonResponse(paged([log_entry_response(row) for row in rows], total, filtered))


@router.get(
    "/assets/{id}/auditlog",
    response_model=PageResponse[Event],
    summary="Get the history of actions for a specific asset.",
)
async def get_asset_log(
    asset: Annotated[Found, Depends(Access(ResourceType.ASSET, Action.AUDIT, unknown_asset_in_path))],
    gateway: Gateway,
    query: Annotated[AssetLogQuery, Query()],
) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        rows, filtered = await repository.fetch_page_of_asset(con, asset.id, query, "event_datetime")
        total = await repository.count_of_asset(con, asset.id)
    return OrjsonResponse(paged([log_entry_response(row) for row in rows], total, filtered))
