"""`/assets/{id}/chart…` and `/assets/{id}/kpis`."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from flexstore import series
from flexstore.series import SeriesQuery

from api_gateway.annotations import repository as annotations
from api_gateway.answers import Json, fields_under
from api_gateway.auth.access import Access, Found
from api_gateway.auth.policy import Action, Thing
from api_gateway.charts import drawing, graphs, repository, service
from api_gateway.charts.schemas import AnnotationsQuery, ChartDataQuery, ChartQuery, KpiQuery, Period
from api_gateway.gateway import Here
from api_gateway.routing import WireRoute

router = APIRouter(prefix="/assets/{id}", tags=["Charts"], route_class=WireRoute)

Readable = Annotated[Found, Depends(Access(Thing.ASSET, Action.READ))]
FUNCTIONS = {"sum": "sum", "min": "min", "max": "max", "mean": "mean"}


@router.get("/chart", summary="Get a chart of an asset, as a Vega-Lite specification.")
async def get_chart(asset: Readable, here: Here, query: Annotated[ChartQuery, Query()]) -> Json:
    with fields_under("query"):
        start, end = period = service.period_of(query.start, query.end, query.duration)
        async with here.store.connection() as con:
            found = await graphs.graphs_of(con, await repository.asset(con, asset["id"]))
            wanted = [sensor for graph in found for sensor in graph.sensors]
            sensors = await service.readable(con, asset.caller, wanted)
            values = None
            if query.include_data:
                rows = await service.data(con, sensors, period, query.prior)
                values = service.spelled_out(rows, sensors, await sources_in(con, rows))
    name = query.dataset_name or f"asset_{asset['id']}"
    window = (start.isoformat(), end.isoformat())
    return Json(drawing.chart(found, sensors, name, window, height=query.height, width=query.width, values=values))


@router.get("/chart_data", summary="Get the data in the chart of an asset.")
async def get_chart_data(asset: Readable, here: Here, query: Annotated[ChartDataQuery, Query()]) -> Json:
    with fields_under("query"):
        period = service.period_of(query.start, query.end, query.duration)
        async with here.store.connection() as con:
            found = await graphs.graphs_of(con, await repository.asset(con, asset["id"]))
            wanted = [sensor for graph in found for sensor in graph.sensors]
            sensors = await service.readable(con, asset.caller, wanted)
            rows = await service.data(
                con,
                sensors,
                period,
                query.prior,
                most_recent=query.most_recent,
                latest_version=query.latest_version,
            )
            sources = await sources_in(con, rows)
    return Json((service.compressed if query.compress else service.spelled_out)(rows, sensors, sources))


async def sources_in(con: Any, rows: list[Any]) -> dict[int, Any]:
    return await repository.sources(con, sorted({row["source_id"] for row in rows}))


@router.get("/chart_annotations", summary="Get the annotations in the chart of an asset.")
async def get_chart_annotations(asset: Readable, here: Here, query: Annotated[AnnotationsQuery, Query()]) -> Json:
    with fields_under("query"):
        start, end = service.period_of(query.start, query.end, query.duration)
    async with here.store.connection() as con:
        rows = await annotations.about_asset(con, asset["id"], start, end, query.prior)
    return Json(
        [
            {
                "start": service.milliseconds(max(row["start"], start) if query.clip else row["start"]),
                "end": service.milliseconds(min(row["end"], end) if query.clip else row["end"]),
                "belief_time": None if row["belief_time"] is None else service.milliseconds(row["belief_time"]),
                "source": row["source_name"],
                "type": row["type"],
                "content": row["content"],
            }
            for row in rows
        ]
    )


@router.get("/kpis", summary="Get the figures chosen for an asset, over a period.")
async def get_kpis(asset: Readable, here: Here, query: Annotated[KpiQuery, Query()]) -> Json:
    with fields_under("query"):
        period = service.period_of(query.start, query.end)
    async with here.store.connection() as con:
        row = await repository.asset(con, asset["id"])
        chosen = [kpi for kpi in row["sensors_to_show_as_kpis"] if isinstance(kpi, dict)]
        sensors = await service.readable(con, asset.caller, [sensor for kpi in chosen for sensor in graphs.named(kpi)])
        figures = [await figure(con, kpi, sensors, period) for kpi in chosen]
    return Json({"data": [one for one in figures if one is not None]})


async def figure(con: Any, kpi: dict[str, Any], sensors: dict[int, Any], period: Period) -> dict[str, Any] | None:
    """One figure: the sum, smallest, largest or mean of a sensor's values in the period."""
    sensor = sensors.get(next(graphs.named(kpi), 0))
    if sensor is None:
        return None
    [found] = await series.read(con, [SeriesQuery(sensor["id"], period[0], period[1], sensor["event_resolution"])])
    compute = getattr(found.values, FUNCTIONS.get(str(kpi.get("function")), "sum"))
    value = float(compute()) if len(found) else None
    return {"title": kpi.get("title") or sensor["name"], "unit": sensor["unit"], "downsample_value": value}
