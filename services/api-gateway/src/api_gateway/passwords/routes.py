"""Routes to change a password, to request a link for a forgotten one, and the page of that link."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form
from fastapi.responses import HTMLResponse
from flexcore.permissions.identity import Identity
from flexcore.permissions.policy import Scope
from flexmodel.errors import Invalid
from flexserve.responses import OrjsonResponse
from starlette.background import BackgroundTask

from api_gateway.auth.access import Anyone, LoggedIn
from api_gateway.auth.client import Asking
from api_gateway.gateway import Gateway
from api_gateway.home import pages
from api_gateway.passwords import links, service
from api_gateway.passwords.schemas import MAILED, ForgottenPassword, Mailed, PasswordChange
from api_gateway.responses import all_sentences
from api_gateway.routing import EnvelopeRoute, ProblemDetailsRoute
from api_gateway.tokens.schemas import LISTED, Revoked

router = APIRouter(tags=["Passwords"], route_class=ProblemDetailsRoute)
page = APIRouter(route_class=EnvelopeRoute)

KEPT_NOWHERE = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
"""Headers of pages that hold the token of a link."""


@router.put(
    "/password",
    summary="Change your password, and log out everywhere else.",
    response_model=Revoked,
    responses={429: {}},
)
async def change_password(
    caller: Annotated[Identity, Depends(LoggedIn(Scope.LOGIN))], gateway: Gateway, client: Asking, body: PasswordChange
) -> OrjsonResponse:
    revoked = await service.change_password(
        gateway, caller, body.current_password, body.new_password, client, revoke_keys=body.revoke_keys
    )
    return OrjsonResponse({"revoked": {kind.value: revoked.get(kind, 0) for kind in LISTED}})


@router.post(
    "/password-reset",
    dependencies=[Anyone],
    status_code=202,
    response_model=Mailed,
    responses={429: {}},
    summary="Ask for a link to choose another password.",
)
async def ask_for_password_link(gateway: Gateway, client: Asking, body: ForgottenPassword) -> OrjsonResponse:
    await service.count_request(gateway, body.email, client)
    # In the background, so that the response takes the same time for unknown users.
    answer = OrjsonResponse({"message": MAILED}, 202)
    answer.background = BackgroundTask(links.mail_link, gateway, body.email)
    return answer


@page.get("/password", dependencies=[Anyone], response_class=HTMLResponse, include_in_schema=False)
async def password_page(gateway: Gateway, token: str = "") -> HTMLResponse:
    return HTMLResponse(pages.choose_password(token, gateway.settings.shortest_password), headers=KEPT_NOWHERE)


@page.post("/password", dependencies=[Anyone], response_class=HTMLResponse, include_in_schema=False)
async def choose_password(
    gateway: Gateway, token: Annotated[str, Form()], password: Annotated[str, Form()] = ""
) -> HTMLResponse:
    try:
        keys = await links.set_password(gateway, token, password)
    except Invalid as invalid:
        again = "" if "token" in invalid.fields else token
        problem = " ".join(all_sentences(invalid.fields))
        form = pages.choose_password(again, gateway.settings.shortest_password, problem)
        return HTMLResponse(form, 422, headers=KEPT_NOWHERE)
    said = f" Your API keys ({keys}) go on working: revoke those that somebody else may know." if keys else ""
    told = f"<h1>Done</h1><p>You can log in with your new password. You were logged out everywhere.{said}</p>"
    return HTMLResponse(pages.page("Password chosen", told))
