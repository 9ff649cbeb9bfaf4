"""`/api/v1/keys`: create, list, rename and revoke API keys; and how many the users of an account have and may have."""

from typing import Annotated

from fastapi import APIRouter, Depends
from flexcore.keys import repository, service
from flexcore.keys.inputs import KeyLimit, KeyPatch, KeyPost
from flexcore.keys.service import Holder
from flexcore.permissions.identity import Identity, TokenKind
from flexcore.permissions.policy import Action, ResourceType
from flexcore.permissions.resources import Found
from flexcore.tokens import repository as tokens
from flexcore.tokens import service as revoking
from flexserve.responses import OrjsonResponse
from starlette.responses import Response

from api_gateway.auth.access import Access, OnSelf
from api_gateway.gateway import Gateway
from api_gateway.keys.schemas import Keys, KeysOfAccount, NewKey
from api_gateway.responses import NoContentResponse, SecretOnceResponse
from api_gateway.routing import ProblemDetailsRoute
from api_gateway.tokens.schemas import Token, token_response

router = APIRouter(tags=["API keys"], route_class=ProblemDetailsRoute)


@router.post(
    "/keys",
    status_code=201,
    summary="Create an API key; it is shown this once.",
    response_model=NewKey,
    responses={409: {"description": "The account has as many keys as it may have."}},
)
async def create_key(
    caller: Annotated[Identity, Depends(OnSelf(Action.UPDATE))], gateway: Gateway, body: KeyPost
) -> Response:
    holder = Holder(caller.user_id, caller.account_id, caller.username)
    async with gateway.transaction() as con:
        key, row = await service.create(con, caller, holder, body, gateway.settings.keys_per_account)
    return SecretOnceResponse(token_response(row, caller), {"key": key}, 201)


@router.get("/keys", summary="List your API keys.", response_model=Keys)
async def list_keys(caller: Annotated[Identity, Depends(OnSelf(Action.AUDIT))], gateway: Gateway) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        rows = await tokens.load_of_user(con, caller.user_id, (TokenKind.KEY,))
    return OrjsonResponse({"keys": [token_response(row, caller) for row in rows]})


@router.patch("/keys/{id}", summary="Rename an API key.", response_model=Token)
async def rename_key(
    key: Annotated[Found, Depends(Access(ResourceType.KEY, Action.UPDATE))], gateway: Gateway, body: KeyPatch
) -> OrjsonResponse:
    async with gateway.transaction() as con:
        row = await service.rename(con, key, body.name)
    return OrjsonResponse(token_response(row, key.caller))


@router.delete("/keys/{id}", status_code=204, response_class=NoContentResponse, summary="Revoke an API key.")
async def revoke_key(
    key: Annotated[Found, Depends(Access(ResourceType.KEY, Action.DELETE))], gateway: Gateway
) -> NoContentResponse:
    async with gateway.transaction() as con:
        await revoking.revoke(con, key.caller, key.row)
    return NoContentResponse()


@router.get("/accounts/{id}/keys", summary="List the API keys of an account's users.", response_model=KeysOfAccount)
async def list_account_keys(
    account: Annotated[Found, Depends(Access(ResourceType.ACCOUNT, Action.AUDIT))], gateway: Gateway
) -> OrjsonResponse:
    return await shown_of_account(gateway, account)


@router.patch("/accounts/{id}/keys", summary="Set how many API keys an account may have.", response_model=KeysOfAccount)
async def limit_account_keys(
    account: Annotated[Found, Depends(Access(ResourceType.ACCOUNT, Action.LIMIT))], gateway: Gateway, body: KeyLimit
) -> OrjsonResponse:
    async with gateway.transaction() as con:
        await service.set_limit(con, account, body.limit)
    return await shown_of_account(gateway, account)


async def shown_of_account(gateway: Gateway, account: Found) -> OrjsonResponse:
    async with gateway.transaction() as con:
        limit = await repository.lock_limit(con, account.id)
        rows = await repository.load_of_account(con, account.id)
    most = gateway.settings.keys_per_account if limit is None else limit
    return OrjsonResponse({"limit": most, "keys": [token_response(row, account.caller) for row in rows]})
