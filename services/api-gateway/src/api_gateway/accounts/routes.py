"""`/accounts`: list, read, create and change accounts."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query
from flexcore.accounts import repository, service
from flexcore.accounts.inputs import AccountPatch, AccountPost, AccountQuery
from flexcore.accounts.repository import AccountRow, CountedAccountRow
from flexcore.listing import paged
from flexcore.permissions.identity import Identity
from flexcore.permissions.policy import Action, ResourceType
from flexcore.permissions.resources import Found, visible_accounts
from flexserve.responses import OrjsonResponse

from api_gateway.accounts.schemas import Account, AccountAnswer, AccountWithCounts
from api_gateway.auth.access import Access, Caller, OnPlatform
from api_gateway.gateway import Gateway
from api_gateway.response_models import PageResponse
from api_gateway.responses import fields_under
from api_gateway.routing import EnvelopeRoute

router = APIRouter(prefix="/accounts", tags=["Accounts"], route_class=EnvelopeRoute)


def to_response(row: AccountRow) -> dict[str, Any]:
    """Return an account as the API shows it."""
    return {
        "account_roles": orjson.Fragment(row.account_roles),
        "attributes": row.attributes,
        "consultancy_account_id": row.consultancy_account_id,
        "id": row.id,
        "logo_url": row.logo_url,
        "name": row.name,
        "plan_id": row.plan_id,
        "primary_color": row.primary_color,
        "secondary_color": row.secondary_color,
    }


def to_counted_response(row: CountedAccountRow) -> dict[str, Any]:
    """Return an account of a page, with the numbers of its assets and users."""
    return to_response(row) | {"asset_count": row.asset_count, "user_count": row.user_count}


@router.get(
    "",
    response_model=list[Account] | PageResponse[AccountWithCounts],
    summary="List all accounts accessible to the current user.",
)
async def list_accounts(caller: Caller, gateway: Gateway, query: Annotated[AccountQuery, Query()]) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        accounts = await visible_accounts(con, caller)
        order = repository.SORT[query.sort_by or "id"]
        rows, filtered = await repository.fetch_page(con, accounts, query, query.role, order)
        if query.page is None:
            return OrjsonResponse([to_response(row) for row in rows])
        total = await repository.count(con, accounts)
    return OrjsonResponse(paged([to_counted_response(row) for row in rows], total, filtered))


@router.post("", status_code=201, response_model=AccountAnswer, summary="Create an account.")
async def create_account(
    caller: Annotated[Identity, Depends(OnPlatform(Action.CREATE))], gateway: Gateway, body: AccountPost
) -> OrjsonResponse:
    with fields_under("json"):
        async with gateway.transaction() as con:
            account_id = await service.create(con, caller, body.name, body.consultancy_account_id)
            row = await repository.get(con, account_id)
    return OrjsonResponse(to_response(row) | {"status": 201}, 201)


@router.get("/{id}", response_model=AccountAnswer, summary="Fetch a given account.")
async def get_account(
    account: Annotated[Found, Depends(Access(ResourceType.ACCOUNT, Action.READ))], gateway: Gateway
) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        row = await repository.get(con, account.id)
    return OrjsonResponse(to_response(row) | {"status": 200})


@router.patch("/{id}", response_model=AccountAnswer, summary="Update an account.")
async def update_account(
    account: Annotated[Found, Depends(Access(ResourceType.ACCOUNT, Action.UPDATE))],
    gateway: Gateway,
    body: AccountPatch,
) -> OrjsonResponse:
    with fields_under("json"):
        async with gateway.transaction() as con:
            await service.update(con, account.caller, account.id, body.sent())
            row = await repository.get(con, account.id)
    return OrjsonResponse(to_response(row) | {"status": 200})
