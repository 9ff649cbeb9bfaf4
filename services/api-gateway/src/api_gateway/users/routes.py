"""`/users`: list, read, create and change users."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from flexcore.accounts.repository import AccountRow
from flexcore.listing import paged
from flexcore.permissions import resources
from flexcore.permissions.identity import Identity
from flexcore.permissions.policy import Action, Owner, ResourceType, Scope, may
from flexcore.permissions.resources import Found, visible_accounts
from flexcore.users import repository, service
from flexcore.users.inputs import UserPatch, UserPost, UserQuery
from flexcore.users.repository import UserRow
from flexmodel.errors import Forbidden, Invalid
from flexserve.responses import OrjsonResponse

from api_gateway.accounts.routes import to_response as account_response
from api_gateway.auth.access import Access, Caller, LoggedIn
from api_gateway.auth.client import Asking
from api_gateway.gateway import Gateway
from api_gateway.passwords.links import invite, new_link
from api_gateway.passwords.service import check_password
from api_gateway.response_models import MessageResponse, PageResponse
from api_gateway.responses import fields_under, forbidden, not_found, unprocessable_field
from api_gateway.routing import EnvelopeRoute
from api_gateway.times import naive
from api_gateway.users.schemas import User, UserAnswer, UserInList

router = APIRouter(prefix="/users", tags=["Users"], route_class=EnvelopeRoute)


def user_response(row: UserRow) -> dict[str, Any]:
    """Return a user as JSON, with the ids of their roles."""
    return {
        "account_id": row.account_id,
        "active": row.active,
        "email": row.email,
        "flexmeasures_roles": row.role_ids,
        "id": row.id,
        "last_login_at": naive(row.last_login_at),
        "last_seen_at": naive(row.last_seen_at),
        "timezone": row.timezone,
        "username": row.username,
    }


def listed_user_response(row: UserRow, account: AccountRow) -> dict[str, Any]:
    """Return a user as JSON for lists: with the account, and the names of their roles."""
    return user_response(row) | {"flexmeasures_roles": row.role_names, "account": account_response(account)}


@router.get(
    "", response_model=list[UserInList] | PageResponse[UserInList], summary="List users accessible to the current user."
)
async def list_users(caller: Caller, gateway: Gateway, query: Annotated[UserQuery, Query()]) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        within = await visible_accounts(con, caller)
        if query.account_id is not None:
            account = await resources.find(con, ResourceType.ACCOUNT, query.account_id)
            if account is None:
                raise not_found(f"Account {query.account_id} not found")
            if not may(caller, Action.READ, ResourceType.ACCOUNT, resources.owner_of(account)):
                raise forbidden()
            within = [query.account_id]
        order = repository.SORT.get(query.sort_by or "", "id")
        rows, filtered = await repository.fetch_page(con, within, query, order, include_inactive=query.include_inactive)
        owners = await repository.load_accounts(con, [row.account_id for row in rows])
        total = await repository.count(con, within, include_inactive=query.include_inactive)
    users = [listed_user_response(row, owners[row.account_id]) for row in rows]
    return OrjsonResponse(users if query.page is None else paged(users, total, filtered))


@router.post("", status_code=201, response_model=User, summary="Create a user.")
async def create_user(
    caller: Annotated[Identity, Depends(LoggedIn(Scope.ADMIN))], gateway: Gateway, body: UserPost
) -> OrjsonResponse:
    password = await gateway.passwords.hash(service.unusable_password())
    account_id = caller.works_for if body.account_id is None else body.account_id
    with fields_under("json"):
        async with gateway.transaction() as con:
            account = await resources.find(con, ResourceType.ACCOUNT, account_id)
            if account is None:
                raise unprocessable_field("json", "account_id", f"Account with Id {account_id} doesn't exist.")
            if not may(caller, Action.CREATE, ResourceType.ACCOUNT, resources.owner_of(account)):
                raise forbidden()
            user_id = await service.create(con, caller, account_id, body.email, body.username, password)
            await invite(con, gateway, body.email, await new_link(con, gateway, user_id))
            row = await repository.get(con, user_id)
    return OrjsonResponse(user_response(row), 201)


@router.get("/{id}", response_model=UserAnswer, summary="Fetch a given user.")
async def get_user(
    user: Annotated[Found, Depends(Access(ResourceType.USER, Action.READ))], gateway: Gateway
) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        row = await repository.get(con, user.id)
    return OrjsonResponse(user_response(row) | {"status": 200})


@router.patch("/{id}", response_model=UserAnswer, summary="Update a user.")
async def update_user(
    user: Annotated[Found, Depends(Access(ResourceType.USER, Action.UPDATE))],
    gateway: Gateway,
    client: Asking,
    body: UserPatch,
) -> OrjsonResponse:
    changes = body.sent()
    password = changes.pop("current_password", None)
    account = Owner(user.account_id, user.row.consultancy_account_id)
    manages = may(user.caller, Action.UPDATE, ResourceType.ACCOUNT, account)
    try:
        with fields_under("json"):
            if user.id == user.caller.user_id and changes.get("email", user.row.email) != user.row.email:
                if password is None:
                    raise Invalid({"current_password": [service.SAY_PASSWORD]})
                await check_password(gateway, user.caller, password, client)
            async with gateway.transaction() as con:
                await service.update(con, user.caller, user.id, changes, manages=manages)
                row = await repository.get(con, user.id)
    except Forbidden as refused:
        raise forbidden(refused.message) from refused
    return OrjsonResponse(user_response(row) | {"status": 200})


@router.patch(
    "/{id}/password-reset",
    response_model=MessageResponse,
    summary="Reset a user's password and mail them how to choose another.",
)
async def reset_user_password(
    user: Annotated[Found, Depends(Access(ResourceType.USER, Action.UPDATE))], gateway: Gateway
) -> OrjsonResponse:
    password = await gateway.passwords.hash(service.unusable_password())
    async with gateway.transaction() as con:
        await service.reset_password(con, user.caller, user.id, user.home_account_id, user.row.username, password)
        await invite(con, gateway, user.row.email, await new_link(con, gateway, user.id))
    return OrjsonResponse({"message": f"A password reset was mailed to {user.row.email}.", "status": 200})
