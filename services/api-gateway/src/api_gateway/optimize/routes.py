"""`/api/v1/optimize`: solve a self-contained problem. Only jobs of long computations are stored."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from flexcore.permissions.identity import Identity
from flexcore.permissions.policy import Action
from flexmodel.errors import Invalid, NotFound
from flexserve.responses import OrjsonResponse
from starlette.responses import Response

from api_gateway.auth.access import Caller, InOwnAccount
from api_gateway.body_limits import takes_large_bodies
from api_gateway.gateway import Gateway
from api_gateway.jobs import access, wording
from api_gateway.optimize import service
from api_gateway.optimize.schemas import ACCEPTED, ANSWER, problem_schema
from api_gateway.routing import ProblemDetailsRoute
from api_gateway.strict_json import JsonBody

router = APIRouter(prefix="/optimize", tags=["Optimize"], route_class=ProblemDetailsRoute)

RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The answer.", "content": {"application/json": {"example": ANSWER}}},
    202: {"description": "It takes long: the job.", "content": {"application/json": {"example": ACCEPTED}}},
}


@router.post(
    "",
    summary="Solve a problem that brings everything along.",
    responses=RESPONSES | {429: {}},
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": problem_schema()}}}},
)
@takes_large_bodies
async def optimize(
    caller: Annotated[Identity, Depends(InOwnAccount(Action.SCHEDULE))],
    request: Request,
    gateway: Gateway,
    message: JsonBody,
) -> Response:
    await gateway.limiter.count_trigger(caller.account_id, gateway.settings.triggers_per_minute)
    answer = await service.solve(gateway, caller, await request.body())
    if answer.status_code != service.LONG:
        return Response(answer.content, media_type="application/json")
    job = await service.create_job(gateway, caller, message)
    return pending_problem_response(job, "QUEUED", wording.STATES["QUEUED"].format("Scheduling"))


@router.get("/{job}", summary="Get the answer to a problem that took long.", responses=RESPONSES)
async def get_optimized(job: str, caller: Caller, gateway: Gateway) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        found = await access.find(con, job)
        if found is None or not service.is_problem(found) or not await access.may_see(con, caller, found):
            raise NotFound(f"There is no job {job} that solves a problem.")
    if wording.STATUS_CODES[found.status] == 202:
        return pending_problem_response(found.id, found.status, wording.message(found))
    if found.result is None:
        raise Invalid({}, wording.message(found))
    return OrjsonResponse(found.result)


def pending_problem_response(job: UUID, status: str, message: str) -> OrjsonResponse:
    where = f"/api/v1/optimize/{job}"
    body = {"job": str(job), "job-url": where, "status": status, "message": message}
    return OrjsonResponse(body, 202, {"Location": where})
