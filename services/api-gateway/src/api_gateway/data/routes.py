"""`/sensors/{id}/data`: values, statistics and status of a sensor."""

import json
from datetime import timedelta
from functools import lru_cache
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request, Response
from flexcore.audit.service import record_change
from flexcore.permissions.policy import Action, ResourceType
from flexcore.permissions.resources import Found
from flexcore.sources.filters import check_exist
from flexmodel.errors import Invalid
from flexserve import tracing
from flexserve.direct_routes import direct
from flexserve.responses import OrjsonResponse
from flexstore import series
from flexstore.series import SourceStatistics
from flexwork import activities
from flexwork.activities import ActivityType
from flexwork.contracts import SENSOR_DATA_PATH, SENSOR_HEADER

from api_gateway.auth.access import Access, unknown_data_sensor
from api_gateway.body_limits import takes_large_bodies
from api_gateway.data import repository, window
from api_gateway.data.schemas import (
    DataDeletion,
    DataPost,
    DataQuery,
    Figures,
    SensorStatuses,
    StatsQuery,
    Stored,
    Values,
)
from api_gateway.data.status import sensor_status, utc_now
from api_gateway.gateway import Gateway
from api_gateway.openapi.request_schemas import query_parameters_schema, request_body_schema
from api_gateway.responses import PROCESSED, NoContentResponse, fields_under
from api_gateway.routing import COMBINED, EnvelopeRoute, QueryParser, nest_errors_under
from api_gateway.times import clock_duration

router = APIRouter(prefix="/sensors/{id}", tags=["Sensor data"], route_class=EnvelopeRoute)

WHERE = "combined_sensor_data_description"
Readable = Annotated[Found, Depends(Access(ResourceType.SENSOR, Action.READ))]
ReadableData = Annotated[Found, Depends(Access(ResourceType.SENSOR, Action.READ, unknown_data_sensor))]
Feedable = Annotated[Found, Depends(Access(ResourceType.SENSOR, Action.FEED, unknown_data_sensor))]


@router.get(
    "/data",
    response_model=Values,
    summary="Get sensor data.",
    openapi_extra=query_parameters_schema(DataQuery),
)
@nest_errors_under(COMBINED)
@direct
async def get_sensor_data(
    sensor: ReadableData, gateway: Gateway, query: Annotated[DataQuery, Depends(QueryParser(DataQuery))]
) -> OrjsonResponse:
    with fields_under(WHERE):
        asked = window.parse_window(sensor.row, query, gateway.settings.most_values)
        async with gateway.store.connection() as con:
            await check_exist(con, query.source, query.source_account)
            values = await window.load_values(con, sensor.row, asked, query.unit)
    return OrjsonResponse(
        PROCESSED
        | {
            "duration": clock_duration(asked.length),
            "resolution": clock_duration(asked.stated_resolution),
            "start": query.start.isoformat(),
            "unit": query.unit,
            "values": values,
        }
    )


@router.post("/data", response_model=Stored, summary="Post sensor data.", openapi_extra=request_body_schema(DataPost))
@nest_errors_under(COMBINED)
@takes_large_bodies
@direct
async def post_sensor_data(sensor: Feedable, gateway: Gateway, request: Request) -> Response:
    return await forward_to_ingest(sensor, gateway, request, SENSOR_DATA_PATH.format(id=sensor.id))


async def forward_to_ingest(sensor: Found, gateway: Gateway, request: Request, path: str) -> Response:
    """Pass the body on to the ingest service, and return its response."""
    with fields_under(WHERE):
        answer = await gateway.ingest.post(
            path,
            user=sensor.caller.user_id,
            account=sensor.caller.account_id,
            content=await request.body(),
            headers={"Content-Type": request.headers.get("content-type", ""), SENSOR_HEADER: sensor_header(sensor)},
        )
    return Response(answer.content, answer.status_code, media_type="application/json")


def sensor_header(sensor: Found) -> str:
    """Return the header that describes the sensor to the ingest service."""
    row = sensor.row
    return _encode_sensor(row.name, row.unit, row.event_resolution, row.timezone, row.account_id)


@lru_cache(maxsize=2_000)
def _encode_sensor(name: str, unit: str, resolution: timedelta, timezone: str, account: int | None) -> str:
    """Return JSON in ASCII, as headers need it. Cached, because meters post again and again."""
    seconds = resolution.total_seconds()
    return json.dumps({"name": name, "unit": unit, "resolution": seconds, "timezone": timezone, "account": account})


@router.delete("/data", status_code=204, response_class=NoContentResponse, summary="Delete sensor data.")
async def delete_sensor_data(
    sensor: Annotated[Found, Depends(Access(ResourceType.SENSOR, Action.DELETE))],
    gateway: Gateway,
    body: DataDeletion | None = None,
) -> NoContentResponse:
    which = body or DataDeletion()
    with fields_under("json"):
        async with gateway.transaction() as con:
            if which.source is not None and not await repository.source_exists(con, which.source):
                raise Invalid({"source": [f"No data source found with id {which.source}."]})
            number = await series.delete_beliefs(con, sensor.id, which.start, which.until, which.source)
            await record_change(
                con,
                sensor.caller,
                f"Deleted {number} values of sensor '{sensor.row.name}': {sensor.id}",
                account_id=sensor.account_id,
                asset_id=sensor.row.asset_id,
                sensor_id=sensor.id,
                details={name: str(value) for name, value in which.sent().items()},
            )
            if number:
                gone = {"sensor": sensor.id, "start": which.start, "end": which.until, "deleted": number}
                await activities.record(con, sensor.account_id, ActivityType.DATA_DELETED, gone, tracing.carrier())
    return NoContentResponse()


@router.get("/stats", response_model=Figures, summary="Get sensor statistics per data source.")
async def get_sensor_stats(sensor: Readable, gateway: Gateway, query: Annotated[StatsQuery, Query()]) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        found = await series.load_source_statistics(con, sensor.id, query.event_start_time, query.event_end_time)
    answer: dict[str, Any] = {"status": 200}
    for stats in found:
        figures = stats_response(stats, sensor.row.timezone)
        answer[f"{stats.source_name} (ID: {stats.source_id})"] = figures if query.sort else list(figures.items())
    return OrjsonResponse(answer)


def stats_response(stats: SourceStatistics, timezone: str) -> dict[str, Any]:
    zone = ZoneInfo(timezone)
    return {
        "First event start": stats.first_event_start.astimezone(zone).isoformat(),
        "Last event end": stats.last_event_end.astimezone(zone).isoformat(),
        "Last recorded": stats.last_recorded.astimezone(zone).isoformat(),
        "Min value": stats.minimum,
        "Max value": stats.maximum,
        "Mean value": stats.mean,
        "Sum over values": stats.total,
        "Number of values": stats.count,
    }


@router.get("/status", response_model=SensorStatuses, summary="Get how recent the data of a sensor are.")
async def get_sensor_status(sensor: Readable, gateway: Gateway) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        found = await series.load_staleness(con, sensor.id)
    now = utc_now()
    lines = [sensor_status(sensor.row, one, now) for one in found] or [sensor_status(sensor.row, None, now)]
    return OrjsonResponse({"sensors_data": lines, "status": 200})
