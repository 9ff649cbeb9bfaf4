"""`/api/v1/tokens`: list and revoke tokens, one's own and those of users whom one administers."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from flexcore.permissions.identity import Identity
from flexcore.permissions.policy import Action, ResourceType
from flexcore.permissions.resources import Found
from flexcore.tokens import repository, service
from flexserve.responses import OrjsonResponse

from api_gateway.auth.access import Access, OnSelf
from api_gateway.gateway import Gateway
from api_gateway.responses import NoContentResponse
from api_gateway.routing import ProblemDetailsRoute
from api_gateway.tokens.schemas import Revoked, TokenQuery, Tokens, token_response

router = APIRouter(tags=["Tokens"], route_class=ProblemDetailsRoute)

Asked = Annotated[TokenQuery, Query()]


@router.get("/tokens", summary="List your login tokens, sessions and API keys.", response_model=Tokens)
async def list_tokens(
    caller: Annotated[Identity, Depends(OnSelf(Action.AUDIT))], gateway: Gateway, query: Asked
) -> OrjsonResponse:
    return await list_tokens_of(gateway, caller, caller.user_id, query)


@router.delete("/tokens", summary="Log out everywhere: revoke all of them, or all of a kind.", response_model=Revoked)
async def revoke_tokens(
    caller: Annotated[Identity, Depends(OnSelf(Action.UPDATE))], gateway: Gateway, query: Asked
) -> OrjsonResponse:
    async with gateway.transaction() as con:
        gone = await service.revoke_all(con, caller, caller.user_id, caller.account_id, caller.username, query.kinds)
    return OrjsonResponse({"revoked": gone})


@router.delete(
    "/tokens/{id}", status_code=204, response_class=NoContentResponse, summary="Revoke a token, session or API key."
)
async def revoke_token(
    token: Annotated[Found, Depends(Access(ResourceType.TOKEN, Action.DELETE))], gateway: Gateway
) -> NoContentResponse:
    async with gateway.transaction() as con:
        await service.revoke(con, token.caller, token.row)
    return NoContentResponse()


@router.get("/users/{id}/tokens", summary="List a user's login tokens, sessions and API keys.", response_model=Tokens)
async def list_user_tokens(
    user: Annotated[Found, Depends(Access(ResourceType.USER, Action.AUDIT))], gateway: Gateway, query: Asked
) -> OrjsonResponse:
    return await list_tokens_of(gateway, user.caller, user.id, query)


@router.delete("/users/{id}/tokens", summary="Log a user out everywhere.", response_model=Revoked)
async def revoke_user_tokens(
    user: Annotated[Found, Depends(Access(ResourceType.USER, Action.UPDATE))], gateway: Gateway, query: Asked
) -> OrjsonResponse:
    async with gateway.transaction() as con:
        gone = await service.revoke_all(con, user.caller, user.id, user.home_account_id, user.row.username, query.kinds)
    return OrjsonResponse({"revoked": gone})


async def list_tokens_of(gateway: Gateway, caller: Identity, user_id: int, query: TokenQuery) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        rows = await repository.load_of_user(con, user_id, query.kinds)
    return OrjsonResponse({"tokens": [token_response(row, caller) for row in rows]})
