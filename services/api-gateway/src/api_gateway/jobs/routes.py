"""`GET /jobs/{uuid}` and the jobs of an asset."""

import hashlib
import json
from email.utils import format_datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from flexcore.permissions.policy import Action, ResourceType
from flexcore.permissions.resources import Found
from flexserve.responses import OrjsonResponse

from api_gateway.auth.access import Access, Caller, unknown_asset_in_path
from api_gateway.gateway import Gateway
from api_gateway.jobs import access, repository
from api_gateway.jobs.repository import AssetJobRow
from api_gateway.jobs.schemas import AssetJobs, JobAnswer
from api_gateway.jobs.wording import KINDS, STATUS_CODES, job_response
from api_gateway.responses import ApiError, forbidden
from api_gateway.routing import EnvelopeRoute

router = APIRouter(tags=["Jobs"], route_class=EnvelopeRoute)


@router.get(
    "/jobs/{uuid}",
    response_model=JobAnswer,
    summary="Get the status of a job.",
    responses={
        202: {"model": JobAnswer, "description": "It is not finished."},
        422: {"model": JobAnswer, "description": "It failed, or was stopped."},
    },
)
async def get_job(uuid: str, caller: Caller, gateway: Gateway) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        job = await access.find(con, uuid)
        if job is None:
            raise ApiError(404, {"message": f"Job {uuid} not found.", "status": "ERROR"})
        if not await access.may_see(con, caller, job):
            raise forbidden()
    job = await access.wait_for(gateway, job)
    status = STATUS_CODES[job.status]
    async with gateway.store.connection() as con:
        progress = await repository.progress_of(con, job.id) if status == 202 else None
    return OrjsonResponse(job_response(job) | ({"progress": progress} if progress else {}), status)


@router.get("/assets/{id}/jobs", response_model=AssetJobs, summary="Get all background jobs of an asset.")
async def list_asset_jobs(
    asset: Annotated[Found, Depends(Access(ResourceType.ASSET, Action.READ, unknown_asset_in_path))], gateway: Gateway
) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        rows = await repository.of_asset(con, asset.id)
    return OrjsonResponse(
        {"jobs": [asset_job_response(row) for row in rows], "redis_connection_err": None, "status": 200}
    )


def asset_job_response(row: AssetJobRow) -> dict[str, Any]:
    """Return a job as in the list of an asset."""
    kind = "asset" if row.sensor_id is None else "sensor"
    metadata = json.dumps(row.request, indent=4)
    return {
        "asset_or_sensor_type": kind,
        "enqueued_at": format_datetime(row.enqueued_at, usegmt=True),
        "entity": f"{kind}: {row.name} (Id: {row.entity_id})",
        "err": row.error,
        "job_id": str(row.id),
        "metadata": metadata,
        "metadata_hash": hashlib.sha256(metadata.encode()).hexdigest(),
        "queue": KINDS.get(row.queue, ("", row.queue))[1],
        "status": row.status.lower(),
    }
