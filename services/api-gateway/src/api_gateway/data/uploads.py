"""Uploads of files with values: streamed to the ingest service, and the results of those that it stores later."""

from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from flexcore.permissions.identity import Identity
from flexcore.permissions.policy import Action, Owner, ResourceType, Scope, may
from flexcore.permissions.resources import Found
from flexmodel.errors import Invalid, NotFound, Unavailable
from flexserve.responses import OrjsonResponse
from flexserve.service_client import ServiceResponse
from flexwork.contracts import FEEDABLE_HEADER, SENSOR_UPLOAD_PATH, UPLOAD_PATH, Queue
from starlette.responses import Response

from api_gateway.auth.access import Access, Caller, LoggedIn
from api_gateway.body_limits import takes_large_bodies
from api_gateway.data.upload_schemas import UPLOAD, AcceptedUpload, KeptUpload, StoredUpload, UploadReport
from api_gateway.gateway import Gateway
from api_gateway.jobs import access, wording
from api_gateway.jobs.repository import progress_of
from api_gateway.responses import ApiError, fields_under, forbidden, unprocessable_field
from api_gateway.routing import DEFAULT_PLACES, EnvelopeRoute, ProblemDetailsRoute, nest_errors_under

WHERE = "combined_sensor_data_upload"
PLACES: dict[str, str | None] = dict.fromkeys(DEFAULT_PLACES, WHERE)
KEPT = 202
"""The status of the ingest service for files that a job will store."""
QUEUE = Queue.UPLOAD

router = APIRouter(prefix="/sensors/{id}/data", tags=["Sensor data"], route_class=EnvelopeRoute)
many = APIRouter(prefix="/data/upload", tags=["Sensor data"], route_class=ProblemDetailsRoute)


def unknown_sensor(id: int) -> ApiError:
    return unprocessable_field(WHERE, "id", f"No sensor found with ID {id}.")


@router.post(
    "/upload",
    response_model=StoredUpload,
    summary="Upload sensor data by file.",
    responses={202: {"model": AcceptedUpload, "description": "The files are large: a job stores them."}},
    openapi_extra={"requestBody": UPLOAD},
)
@nest_errors_under(PLACES)
@takes_large_bodies
async def upload_sensor_data(
    sensor: Annotated[Found, Depends(Access(ResourceType.SENSOR, Action.FEED, unknown_sensor))],
    gateway: Gateway,
    request: Request,
) -> Response:
    with fields_under(WHERE):
        answer = await stream_to_ingest(gateway, request, sensor.caller, SENSOR_UPLOAD_PATH.format(id=sensor.id))
    if answer.status_code != KEPT:
        return Response(answer.content, media_type="application/json")
    job = answer.json()["job"]
    body = {
        "message": "Sensor data has been accepted for processing.",
        "status": "ACCEPTED",
        "job": job,
        "job-url": f"/api/v3_0/jobs/{job}",
    }
    return OrjsonResponse(body, KEPT)


@many.post(
    "",
    response_model=UploadReport,
    summary="Upload data of many sensors by file.",
    responses={202: {"model": KeptUpload, "description": "The files are large: a job stores them."}},
    openapi_extra={"requestBody": UPLOAD},
)
@takes_large_bodies
async def upload_data_of_many_sensors(
    caller: Annotated[Identity, Depends(LoggedIn(Scope.WRITE))], gateway: Gateway, request: Request
) -> Response:
    accounts = await feedable_accounts(gateway, caller)
    if not accounts:
        raise forbidden()
    answer = await stream_to_ingest(gateway, request, caller, UPLOAD_PATH, {FEEDABLE_HEADER: accounts})
    if answer.status_code != KEPT:
        return Response(answer.content, media_type="application/json")
    return pending_response(UUID(answer.json()["job"]), "QUEUED", wording.STATES["QUEUED"].format("Ingestion"))


@many.get(
    "/{job}",
    response_model=UploadReport,
    summary="Get what became of an upload that a job stores.",
    responses={202: {"model": KeptUpload, "description": "It is not stored yet."}},
)
async def get_upload(job: str, caller: Caller, gateway: Gateway) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        found = await access.find(con, job)
        if found is None or found.queue != QUEUE or not await access.may_see(con, caller, found):
            raise NotFound(f"There is no job {job} that stores an upload.")
        progress = await progress_of(con, found.id)
    if wording.STATUS_CODES[found.status] == 202:
        return pending_response(found.id, found.status, wording.message(found), progress)
    if found.result is None:
        raise Invalid({}, wording.message(found))
    return OrjsonResponse(found.result)


def pending_response(job: UUID, status: str, message: str, progress: dict[str, Any] | None = None) -> OrjsonResponse:
    where = f"/api/v1/data/upload/{job}"
    body = {"job": str(job), "job-url": where, "status": status, "message": message}
    return OrjsonResponse(body | ({"progress": progress} if progress else {}), KEPT, {"Location": where})


async def stream_to_ingest(
    gateway: Gateway, request: Request, caller: Identity, path: str, more: dict[str, str] | None = None
) -> ServiceResponse:
    """Stream the body to the ingest service, and return its response."""
    told = {name: request.headers[name] for name in ("Content-Type", "Content-Length") if name in request.headers}
    broken: list[Exception] = []

    async def pieces() -> AsyncIterator[bytes]:
        try:
            async for piece in request.stream():
                yield piece
        except Exception as error:
            broken.append(error)
            raise

    try:
        return await gateway.ingest.post(
            path,
            user=caller.user_id,
            account=caller.account_id,
            content=pieces(),
            headers=told | (more or {}),
        )
    except Unavailable:
        if broken:  # the request body failed, not the service: too large, or broken off
            raise broken[0] from None
        raise


async def feedable_accounts(gateway: Gateway, caller: Identity) -> str:
    """Return the accounts whose sensors the caller may feed, for the ingest service: ids, `public`, or `all`."""
    async with gateway.store.connection() as con:
        rows = await con.fetch("select id, consultancy_account_id from account order by id")
    owners = {str(row["id"]): Owner(row["id"], row["consultancy_account_id"]) for row in rows}
    owners["public"] = Owner(None)
    allowed = [name for name, owner in owners.items() if may(caller, Action.FEED, ResourceType.SENSOR, owner)]
    return "all" if len(allowed) == len(owners) else ",".join(allowed)
