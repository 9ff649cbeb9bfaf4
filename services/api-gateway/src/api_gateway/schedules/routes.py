"""`…/schedules`: trigger schedules for a sensor or an asset, and read them."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from flexcore.permissions.identity import Identity
from flexcore.permissions.policy import Action, ResourceType
from flexcore.permissions.resources import Found
from flexcore.schedules import repository, triggers
from flexcore.schedules.triggers import FORCE, ScheduleRequest
from flexmodel.errors import Forbidden, Invalid
from flexserve.responses import OrjsonResponse

from api_gateway.auth.access import Access, unknown_asset, unknown_sensor
from api_gateway.body_limits import takes_large_bodies
from api_gateway.gateway import Gateway
from api_gateway.jobs import access, wording
from api_gateway.openapi.request_schemas import query_parameters_schema, request_body_schema
from api_gateway.response_models import PendingResponse
from api_gateway.responses import PROCESSED, ApiError, configuration_error, fields_under, forbidden
from api_gateway.routing import FLAT, EnvelopeRoute, QueryParser, nest_errors_under
from api_gateway.schedules import reading
from api_gateway.schedules.schemas import (
    Accepted,
    AcceptedForSensor,
    AssetTrigger,
    Schedule,
    ScheduleQuery,
    SensorTrigger,
)
from api_gateway.strict_json import JsonBody
from api_gateway.times import clock_duration

router = APIRouter(tags=["Schedules"], route_class=EnvelopeRoute)

OLD_FORCE = "force_new_job_creation"
"""The spelling of the key for a new job that older clients use when they trigger a sensor."""
ACCEPTED = {"message": "Request has been accepted for processing.", "status": "ACCEPTED"}


@router.post(
    "/sensors/{id}/schedules/trigger",
    status_code=202,
    response_model=AcceptedForSensor,
    responses={429: {}},
    summary="Trigger a schedule for one device.",
    openapi_extra=request_body_schema(SensorTrigger),
)
@takes_large_bodies
async def trigger_sensor_schedule(
    sensor: Annotated[Found, Depends(Access(ResourceType.SENSOR, Action.SCHEDULE))], gateway: Gateway, message: JsonBody
) -> OrjsonResponse:
    limit = await gateway.limiter.count_trigger(sensor.caller.account_id, gateway.settings.triggers_per_minute)
    message = with_current_force_key(message)
    request = ScheduleRequest(sensor.row.asset_id, sensor.account_id, message, sensor.id)
    job = await submit(gateway, sensor.caller, request)
    results = f"/api/v3_0/sensors/{sensor.id}/schedules/{job}"
    return OrjsonResponse(accepted(job) | {"results-url": results}, 202, limit.headers)


@router.post(
    "/assets/{id}/schedules/trigger",
    status_code=202,
    response_model=Accepted,
    responses={429: {}},
    summary="Trigger a schedule for one or more devices.",
    openapi_extra=request_body_schema(AssetTrigger),
)
@nest_errors_under(FLAT)
@takes_large_bodies
async def trigger_asset_schedule(
    asset: Annotated[Found, Depends(Access(ResourceType.ASSET, Action.SCHEDULE, unknown_asset))],
    gateway: Gateway,
    message: JsonBody,
) -> OrjsonResponse:
    limit = await gateway.limiter.count_trigger(asset.caller.account_id, gateway.settings.triggers_per_minute)
    job = await submit(gateway, asset.caller, ScheduleRequest(asset.id, asset.account_id, message))
    return OrjsonResponse(accepted(job), 202, limit.headers)


async def submit(gateway: Gateway, caller: Identity, request: ScheduleRequest) -> UUID:
    """Return the id of the job for the trigger."""
    try:
        async with gateway.store.connection() as con:
            request_hash = await triggers.validate(con, request, caller)
    except Invalid as invalid:
        raise configuration_error(invalid) from invalid
    except Forbidden as refused:
        raise forbidden() from refused
    async with gateway.transaction() as con:
        return await triggers.submit(con, request, request_hash, caller)


def with_current_force_key[Message](message: Message) -> Message | dict[str, Any]:
    """Return the trigger of a sensor with the key for a new job as it is spelled today."""
    if not isinstance(message, dict) or OLD_FORCE not in message:
        return message
    return {FORCE if key == OLD_FORCE else key: value for key, value in message.items()}


def accepted(job: UUID) -> dict[str, Any]:
    return ACCEPTED | {"job": str(job), "job-url": f"/api/v3_0/jobs/{job}", "schedule": str(job)}


@router.get(
    "/sensors/{id}/schedules/{uuid}",
    response_model=Schedule,
    summary="Get a schedule for one device.",
    responses={
        202: {"model": PendingResponse, "description": "The schedule is not finished."},
        400: {"description": "There is no such schedule; the message says why."},
    },
    openapi_extra=query_parameters_schema(ScheduleQuery),
)
@nest_errors_under(FLAT)
async def get_schedule(
    uuid: str,
    sensor: Annotated[Found, Depends(Access(ResourceType.SENSOR, Action.READ, unknown_sensor))],
    gateway: Gateway,
    query: Annotated[ScheduleQuery, Depends(QueryParser(ScheduleQuery))],
) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        job = await access.find(con, uuid)
        if job is None or job.queue != triggers.QUEUE or not await access.may_see(con, sensor.caller, job):
            raise unknown_job(uuid)
    job = await access.wait_for(gateway, job)
    if job.status in access.UNFINISHED:
        return OrjsonResponse({"message": wording.message(job), "status": job.status}, 202)
    if job.status != "FINISHED":
        raise unknown_schedule(wording.message(job))
    async with gateway.store.connection() as con:
        row = await repository.find(con, job.id, sensor.id)
    if row is None:
        raise unknown_schedule(f"Job {job.id} scheduled nothing for sensor {sensor.id}.")
    with fields_under(None):
        part = reading.part_of(row, sensor.row, query)
    info = job.info.get("scheduler_info", {})
    return OrjsonResponse(
        {
            "message": f"{PROCESSED['message']} {info.get('scheduler', 'The scheduler')} was used.",
            "status": PROCESSED["status"],
            "scheduler_info": info,
            "values": part.values,
            "start": part.start.isoformat(),
            "duration": clock_duration(part.duration),
            "unit": part.unit,
        }
    )


def unknown_job(uuid: str) -> ApiError:
    text = f"The requested UDI event (id = {uuid}, type = job) is not known."
    return ApiError(400, {"message": text, "result": "Rejected", "status": "UNRECOGNIZED_UDI_EVENT"})


def unknown_schedule(reason: str) -> ApiError:
    text = f"No known schedule for this time period. {reason}"
    return ApiError(400, {"message": text, "result": "Rejected", "status": "UNKNOWN_SCHEDULE"})
