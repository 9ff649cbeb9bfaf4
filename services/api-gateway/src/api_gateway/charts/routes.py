"""`/assets/{id}/chart…` and `/assets/{id}/kpis`."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query
from flexcore.annotations import repository as annotations
from flexcore.permissions.policy import Action, ResourceType
from flexcore.permissions.resources import Found
from flexcore.sources.repository import SourceRow
from flexserve.responses import OrjsonResponse
from flexstore import series
from flexstore.series import DailyStatistics, SeriesQuery
from flexstore.store import Connection

from api_gateway.auth.access import Access
from api_gateway.charts import drawing, graphs, repository, service
from api_gateway.charts.graphs import Graph
from api_gateway.charts.repository import ChartBelief, ChartSensorRow
from api_gateway.charts.schemas import (
    AnnotationsQuery,
    Belief,
    Chart,
    ChartAnnotation,
    ChartDataQuery,
    ChartQuery,
    CompressedBeliefs,
    KpiQuery,
    Kpis,
    Period,
)
from api_gateway.gateway import Gateway
from api_gateway.responses import fields_under
from api_gateway.routing import EnvelopeRoute

router = APIRouter(prefix="/assets/{id}", tags=["Charts"], route_class=EnvelopeRoute)

Readable = Annotated[Found, Depends(Access(ResourceType.ASSET, Action.READ))]
FUNCTIONS: dict[str, Callable[[DailyStatistics], Any]] = {
    "sum": lambda days: np.sum(days.total),
    "min": lambda days: np.min(days.minimum),
    "max": lambda days: np.max(days.maximum),
    "mean": lambda days: np.sum(days.total) / np.sum(days.count),
}


@router.get("/chart", response_model=Chart, summary="Get a chart of an asset, as a Vega-Lite specification.")
async def get_chart(asset: Readable, gateway: Gateway, query: Annotated[ChartQuery, Query()]) -> OrjsonResponse:
    name = query.dataset_name or f"asset_{asset.id}"
    annotated = query.include_asset_annotations or query.include_account_annotations
    with fields_under("query"):
        period = service.period_of(query.start, query.end, query.duration)
        async with gateway.store.connection() as con:
            found, sensors = await load_graphs(con, asset)
            datasets = {}
            if query.include_data:
                rows = await service.load_beliefs(con, sensors, period, query.prior)
                datasets[name] = service.beliefs_json(rows, sensors, await load_sources(con, rows))
                if annotated:
                    remarks = await annotations.load_about_asset(con, asset.id, period.start, period.end, query.prior)
                    datasets[f"{name}_annotations"] = service.annotations_json(remarks, period, clip=True)
    chart = drawing.chart(
        found,
        sensors,
        name,
        period,
        height=query.height,
        width=query.width,
        combine_legend=query.combine_legend,
        annotated=annotated,
    )
    return OrjsonResponse(chart | ({"datasets": datasets} if datasets else {}))


@router.get(
    "/chart_data",
    response_model=list[Belief] | CompressedBeliefs,
    summary="Get the data in the chart of an asset.",
)
async def get_chart_data(
    asset: Readable, gateway: Gateway, query: Annotated[ChartDataQuery, Query()]
) -> OrjsonResponse:
    with fields_under("query"):
        period = service.period_of(query.start, query.end, query.duration)
        async with gateway.store.connection() as con:
            _found, sensors = await load_graphs(con, asset)
            rows = await service.load_beliefs(
                con,
                sensors,
                period,
                query.prior,
                most_recent=query.most_recent,
                latest_version=query.latest_version,
            )
            sources = await load_sources(con, rows)
    show = service.compressed_beliefs_json if query.compress else service.beliefs_json
    return OrjsonResponse(show(rows, sensors, sources, most_recent=query.most_recent))


async def load_graphs(con: Connection, asset: Found) -> tuple[list[Graph], dict[int, ChartSensorRow]]:
    """Load the graphs of an asset, and those of their sensors that the caller may read."""
    found = await graphs.graphs_of(con, await repository.get_asset(con, asset.id))
    wanted = [sensor for graph in found for sensor in graph.sensors]
    return found, await service.load_readable_sensors(con, asset.caller, wanted)


async def load_sources(con: Connection, rows: Sequence[ChartBelief]) -> dict[int, SourceRow]:
    return await repository.sources(con, sorted({row.source_id for row in rows}))


@router.get(
    "/chart_annotations",
    response_model=list[ChartAnnotation],
    summary="Get the annotations in the chart of an asset.",
)
async def get_chart_annotations(
    asset: Readable, gateway: Gateway, query: Annotated[AnnotationsQuery, Query()]
) -> OrjsonResponse:
    with fields_under("query"):
        period = service.period_of(query.start, query.end, query.duration)
    async with gateway.store.connection() as con:
        rows = await annotations.load_about_asset(con, asset.id, period.start, period.end, query.prior)
    return OrjsonResponse(service.annotations_json(rows, period, clip=query.clip))


@router.get("/kpis", response_model=Kpis, summary="Get the figures chosen for an asset, over a period.")
async def get_kpis(asset: Readable, gateway: Gateway, query: Annotated[KpiQuery, Query()]) -> OrjsonResponse:
    with fields_under("query"):
        period = service.period_of(query.start, query.end)
    async with gateway.store.connection() as con:
        row = await repository.get_asset(con, asset.id)
        chosen = [kpi for kpi in row.sensors_to_show_as_kpis if isinstance(kpi, dict)]
        sensors = await service.load_readable_sensors(
            con, asset.caller, [sensor for kpi in chosen for sensor in graphs.named(kpi)]
        )
        figures = [await figure(con, kpi, sensors, period) for kpi in chosen]
    return OrjsonResponse({"data": [one for one in figures if one is not None]})


async def figure(
    con: Connection, kpi: dict[str, Any], sensors: dict[int, ChartSensorRow], period: Period
) -> dict[str, Any] | None:
    """Return one figure: the sum, mean, median, minimum or maximum of a sensor's values in the period."""
    sensor = sensors.get(next(graphs.named(kpi), 0))
    if sensor is None or period.start is None or period.end is None:
        return None
    asked = SeriesQuery(sensor.id, period.start, period.end, sensor.event_resolution)
    function = str(kpi.get("function"))
    if function == "median":
        [found] = await series.load_series(con, [asked])
        value = float(np.median(found.values)) if len(found) else None
    else:
        function = function if function in FUNCTIONS else "sum"
        days = await series.load_daily_statistics(con, asked.sensor_id, asked.earliest_event_start, asked.end)
        # Nothing adds up to zero, but it has no mean and no largest value.
        value = float(FUNCTIONS[function](days)) if len(days) or function == "sum" else None
    return {
        "title": kpi.get("title") or sensor.name,
        "unit": sensor.unit,
        "sensor": sensor.id,
        "downsample_function": function,
        "downsample_value": value,
    }
