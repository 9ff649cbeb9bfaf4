"""`…/forecasts`: trigger a forecast for a sensor, and read it."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from flexcore.listing import Query as Parameters
from flexcore.permissions.policy import Action, ResourceType
from flexcore.permissions.resources import Found, load_sensor_owners, visible_accounts
from flexcore.schedules import repository
from flexmodel.errors import Invalid
from flexserve import tracing
from flexserve.responses import OrjsonResponse
from flexstore.store import Connection
from flexwork import jobs
from flexwork.contracts import Queue

from api_gateway.auth.access import Access, unknown_forecast_sensor
from api_gateway.forecasts.schemas import Forecast, ForecastAccepted, ForecastConfig, ForecastPost
from api_gateway.gateway import Gateway
from api_gateway.jobs import access, wording
from api_gateway.response_models import PendingResponse
from api_gateway.responses import bare_error, fields_under, forbidden, unprocessable
from api_gateway.routing import COMBINED, EnvelopeRoute, nest_errors_under
from api_gateway.schedules import reading
from api_gateway.schedules.routes import ACCEPTED
from api_gateway.schedules.schemas import ScheduleQuery
from api_gateway.times import calendar_duration

router = APIRouter(prefix="/sensors/{id}/forecasts", tags=["Forecasts"], route_class=EnvelopeRoute)

QUEUE = Queue.FORECAST


@router.post(
    "/trigger",
    status_code=202,
    response_model=ForecastAccepted,
    summary="Trigger a forecast for a sensor.",
    responses={429: {}},
)
@nest_errors_under(COMBINED)
async def trigger_forecast(
    sensor: Annotated[Found, Depends(Access(ResourceType.SENSOR, Action.SCHEDULE, unknown_forecast_sensor))],
    gateway: Gateway,
    request: Request,
    body: ForecastPost,
) -> OrjsonResponse:
    caller = sensor.caller
    limit = await gateway.limiter.count_trigger(caller.account_id, gateway.settings.triggers_per_minute)
    with fields_under("combined_sensor_data_description"):
        async with gateway.transaction() as con:
            await check_regressors(con, sensor, body.config)
            if not gateway.settings.forecasts:
                raise bare_error(503, "This platform computes no forecasts. Nothing was taken on.")
            job = await jobs.create(
                con,
                queue=QUEUE,
                request={"sensor": sensor.id, **(await request.json())},
                account_id=sensor.account_id or caller.account_id,
                user_id=caller.user_id,
                asset_id=sensor.row.asset_id,
                sensor_id=sensor.id,
                trace_context=tracing.carrier(),
            )
    answer = {
        "forecast": str(job),
        "job": str(job),
        "job-url": f"/api/v3_0/jobs/{job}",
        "results-url": f"/api/v3_0/sensors/{sensor.id}/forecasts/{job}",
    }
    return OrjsonResponse(ACCEPTED | answer, 202, limit.headers)


def regressors_of(config: ForecastConfig) -> Iterator[int]:
    """Yield the sensors from which the forecast is to be computed."""
    for regressor in (*config.future_regressors, *config.past_regressors, *config.regressors):
        yield regressor if isinstance(regressor, int) else regressor.sensor


async def check_regressors(con: Connection, sensor: Found, config: ForecastConfig) -> None:
    """Check that all regressors exist and that the caller may read them."""
    wanted = list(regressors_of(config))
    owners = await load_sensor_owners(con, wanted)
    visible = await visible_accounts(con, sensor.caller)
    for id in wanted:
        if id not in owners:
            raise Invalid({"config": {"regressors": [f"No sensor found with ID {id}."]}})
        account = owners[id]["account_id"]
        if visible is not None and account is not None and account not in visible:
            raise forbidden()


@router.get(
    "/{uuid}",
    response_model=Forecast,
    summary="Get a forecast for a sensor.",
    responses={202: {"model": PendingResponse, "description": "The forecast is not finished."}},
)
@nest_errors_under(COMBINED)
async def get_forecast(
    uuid: str,
    sensor: Annotated[Found, Depends(Access(ResourceType.SENSOR, Action.READ))],
    gateway: Gateway,
    _query: Annotated[Parameters, Query()],
) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        job = await access.find(con, uuid)
        if job is None or job.queue != QUEUE or not await access.may_see(con, sensor.caller, job):
            raise unprocessable({"json": f"Job {uuid} not found."})
    job = await access.wait_for(gateway, job)
    if job.status in access.UNFINISHED:
        return OrjsonResponse({"message": wording.message(job), "status": job.status}, 202)
    async with gateway.store.connection() as con:
        row = await repository.find(con, job.id, sensor.id)
    if row is None:
        raise unprocessable({"json": wording.message(job)})
    length = len(row["event_values"]) * row["resolution"]
    part = reading.part_of(row, sensor.row, ScheduleQuery(), length)
    return OrjsonResponse(
        {
            "duration": calendar_duration(length),
            "start": part.start.isoformat(),
            "unit": part.unit,
            "values": part.values,
        }
    )
