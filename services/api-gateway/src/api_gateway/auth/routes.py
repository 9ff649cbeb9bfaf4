"""`POST /api/requestAuthToken`, and the page on which a mailed link lets people choose a password."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse
from flexmodel.errors import Invalid

from api_gateway.answers import Json
from api_gateway.auth import reset, service
from api_gateway.auth.access import Anyone
from api_gateway.auth.schemas import Credentials, Login
from api_gateway.gateway import Here
from api_gateway.home import pages
from api_gateway.routing import WireRoute

router = APIRouter(tags=["Auth"], route_class=WireRoute)


@router.post(
    "/api/requestAuthToken",
    dependencies=[Anyone],
    response_model=Login,
    responses={429: {}},
    summary="Obtain an authentication token.",
)
async def request_token(request: Request, here: Here, body: Credentials) -> Json:
    address = request.client.host if request.client else "unknown"
    login = await service.log_in(here, body.email, body.password, address)
    return Json({"auth_token": login.token, "status": 200, "user_id": login.user_id})


@router.get("/password", dependencies=[Anyone], response_class=HTMLResponse, include_in_schema=False)
async def password_page(token: str = "") -> HTMLResponse:
    return HTMLResponse(pages.choose_password(token), headers={"Referrer-Policy": "no-referrer"})


@router.post("/password", dependencies=[Anyone], response_class=HTMLResponse, include_in_schema=False)
async def choose_password(
    here: Here, token: Annotated[str, Form()], password: Annotated[str, Form()] = ""
) -> HTMLResponse:
    if not reset.SHORTEST_PASSWORD <= len(password) <= reset.LONGEST_PASSWORD:
        problem = f"A password has at least {reset.SHORTEST_PASSWORD} characters."
        return HTMLResponse(pages.choose_password(token, problem), 422)
    hashed = await here.passwords.hash(password)
    try:
        async with here.store.transaction() as con:
            await reset.choose(con, token, hashed)
    except Invalid as invalid:
        return HTMLResponse(pages.choose_password("", invalid.fields["token"][0]), 422)
    return HTMLResponse(pages.page("Password chosen", "<h1>Done</h1><p>You can log in with your new password.</p>"))
