"""`/api/v1/session`: log a browser in and out, and get the identity of the caller."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from flexcore.permissions.identity import Identity, TokenKind
from flexcore.permissions.policy import Scope
from flexserve.responses import OrjsonResponse
from starlette.responses import Response

from api_gateway.auth import credentials, service
from api_gateway.auth.access import Anyone, LoggedIn
from api_gateway.auth.client import Asking
from api_gateway.auth.schemas import Credentials
from api_gateway.gateway import Gateway
from api_gateway.responses import NoContentResponse
from api_gateway.routing import ProblemDetailsRoute
from api_gateway.sessions import service as sessions
from api_gateway.sessions.schemas import WhoAmI

router = APIRouter(prefix="/session", tags=["Auth"], route_class=ProblemDetailsRoute)


@router.post(
    "",
    dependencies=[Anyone],
    response_model=WhoAmI,
    responses={401: {}, 403: {}, 429: {}},
    summary="Log in with a cookie, as browsers do.",
)
async def log_in(request: Request, gateway: Gateway, client: Asking, body: Credentials) -> OrjsonResponse:
    credentials.refuse_other_sites(request)
    user = await service.verify_user(gateway, body.email, body.password, client)
    session, caller = await sessions.begin_session(gateway, user, client, before=credentials.session_in(request))
    answer = OrjsonResponse(identity_response(caller, session))
    set_cookie(answer, request, session, round(gateway.settings.session_lifetime.total_seconds()))
    return answer


@router.get("", summary="Get who you are, and the CSRF token of your session.", response_model=WhoAmI)
async def who_am_i(request: Request, caller: Annotated[Identity, Depends(LoggedIn(None))]) -> OrjsonResponse:
    return OrjsonResponse(
        identity_response(caller, credentials.session_in(request) if caller.kind == TokenKind.SESSION else None)
    )


@router.delete("", status_code=204, response_class=NoContentResponse, summary="Log out.")
async def log_out(
    request: Request, caller: Annotated[Identity, Depends(LoggedIn(Scope.LOGIN))], gateway: Gateway
) -> Response:
    """Ends the session, or the login token, with which it is asked."""
    await sessions.end_session(gateway, caller)
    answer = NoContentResponse()
    if caller.kind == TokenKind.SESSION:
        set_cookie(answer, request, "", 0)
    return answer


def set_cookie(answer: Response, request: Request, value: str, seconds: int) -> None:
    answer.set_cookie(
        credentials.cookie_name(request),
        value,
        max_age=seconds,
        httponly=True,
        samesite="lax",
        secure=credentials.is_cookie_secure(request),
    )


def identity_response(caller: Identity, session: str | None) -> dict[str, Any]:
    user = {
        "id": caller.user_id,
        "username": caller.username,
        "email": caller.email,
        "account": caller.account_id,
        "roles": sorted(caller.roles),
    }
    who = {"user": user, "kind": caller.kind, "scopes": sorted(caller.scopes), "only_account": caller.only_account}
    return who if session is None else who | {"csrf_token": credentials.csrf_token(session)}
