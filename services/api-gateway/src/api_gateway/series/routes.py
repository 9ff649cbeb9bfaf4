"""`/api/v1/…/data`: series of one sensor or of many, read in several formats, and posted together."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from flexcore.permissions.policy import Action, ResourceType
from flexcore.permissions.resources import Found, ResourceRow
from flexserve.responses import OrjsonResponse
from starlette.responses import Response

from api_gateway.auth.access import Access, unknown_data_sensor
from api_gateway.auth.several import OnSensors, SensorAuthorizer
from api_gateway.body_limits import takes_large_bodies
from api_gateway.gateway import Gateway
from api_gateway.routing import ProblemDetailsRoute
from api_gateway.series import batches, latest
from api_gateway.series.openapi import batch_request_body, series_responses
from api_gateway.series.request import check_sources, parse_request
from api_gateway.series.responses import FORMATS, choose_media_type, series_response
from api_gateway.series.schemas import (
    BatchStored,
    Latest,
    LatestQuery,
    ManyLatest,
    ManyLatestQuery,
    ManySeries,
    ManySeriesQuery,
    Series,
    SeriesQuery,
)
from api_gateway.strict_json import json_body

router = APIRouter(tags=["Sensor data"], route_class=ProblemDetailsRoute)

Readable = Annotated[Found, Depends(Access(ResourceType.SENSOR, Action.READ, unknown_data_sensor))]
Readers = Annotated[SensorAuthorizer, Depends(OnSensors(Action.READ))]
Feeders = Annotated[SensorAuthorizer, Depends(OnSensors(Action.FEED))]


@router.get(
    "/sensors/{id}/data", response_model=Series, summary="Read the series of a sensor.", responses=series_responses()
)
async def get_series(
    sensor: Readable, gateway: Gateway, request: Request, query: Annotated[SeriesQuery, Query()]
) -> Response:
    return await read_series(gateway, request, [sensor.row], query, several=False)


@router.get(
    "/data", response_model=ManySeries, summary="Read the series of many sensors.", responses=series_responses()
)
async def get_series_of_many_sensors(
    readers: Readers, gateway: Gateway, request: Request, query: Annotated[ManySeriesQuery, Query()]
) -> Response:
    sensors = await readers.find(query.sensor)
    return await read_series(gateway, request, sensors.all(query.sensor), query, several=True)


async def read_series(
    gateway: Gateway, request: Request, rows: Sequence[ResourceRow], query: SeriesQuery, *, several: bool
) -> Response:
    format = FORMATS[choose_media_type(request.headers.get("accept", ""), list(FORMATS))]
    limit = gateway.settings.most_values_streamed
    series_request = parse_request(rows, query, several=several, table=format.is_table, most_values=limit)
    async with gateway.store.connection() as con:
        await check_sources(con, query)
    return await series_response(gateway.store, series_request, format)


@router.get("/sensors/{id}/data/latest", response_model=Latest, summary="Read the latest value of a sensor.")
async def get_latest(sensor: Readable, gateway: Gateway, query: Annotated[LatestQuery, Query()]) -> OrjsonResponse:
    [found] = await latest.load_latest(gateway.store, [sensor.row], query)
    return OrjsonResponse(found)


@router.get("/data/latest", response_model=ManyLatest, summary="Read the latest values of many sensors.")
async def get_latest_of_many_sensors(
    readers: Readers, gateway: Gateway, query: Annotated[ManyLatestQuery, Query()]
) -> OrjsonResponse:
    sensors = await readers.find(query.sensor)
    return OrjsonResponse({"latest": await latest.load_latest(gateway.store, sensors.all(query.sensor), query)})


@router.post(
    "/data", response_model=BatchStored, summary="Post series of many sensors.", openapi_extra=batch_request_body()
)
@takes_large_bodies
async def post_data_of_many_sensors(
    feeders: Feeders,
    gateway: Gateway,
    request: Request,
    partial: Annotated[bool, Query(description="Store what can be stored, and say why the rest cannot.")] = False,
) -> OrjsonResponse:
    return OrjsonResponse(await batches.store_batch(gateway, feeders, await json_body(request), partial=partial))
