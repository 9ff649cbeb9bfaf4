"""`POST /api/requestAuthToken`."""

from fastapi import APIRouter
from flexserve.responses import OrjsonResponse

from api_gateway.auth import service
from api_gateway.auth.access import Anyone
from api_gateway.auth.client import Asking
from api_gateway.auth.schemas import Credentials, Login
from api_gateway.gateway import Gateway
from api_gateway.routing import EnvelopeRoute

router = APIRouter(tags=["Auth"], route_class=EnvelopeRoute)


@router.post(
    "/api/requestAuthToken",
    dependencies=[Anyone],
    response_model=Login,
    responses={401: {}, 429: {}},
    summary="Obtain an authentication token.",
)
async def request_token(gateway: Gateway, client: Asking, body: Credentials) -> OrjsonResponse:
    login = await service.log_in(gateway, body.email, body.password, client)
    return OrjsonResponse({"auth_token": login.token, "status": 200, "user_id": login.user_id})
