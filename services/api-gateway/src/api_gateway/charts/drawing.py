"""Charts as Vega-Lite: lines over time, one graph above the other."""

from collections.abc import Mapping, Sequence
from typing import Any

from flexmodel.digits import parse_digits

from api_gateway.charts.graphs import Graph
from api_gateway.charts.repository import ChartSensorRow
from api_gateway.charts.schemas import Period

HEIGHT = 300
MAX_PIXELS = 100_000
CONFIG = {
    "autosize": {"type": "fit-x", "contains": "padding"},
    "axis": {"labelFontSize": 14, "titleFontSize": 14},
    "axisY": {"titleAngle": 0, "titleAlign": "left", "titleX": -40, "titleY": -15},
    "legend": {"orient": "bottom", "labelFontSize": 14, "titleFontSize": 14, "labelLimit": None},
    "title": {"fontSize": 18},
    "view": {"continuousWidth": 800, "continuousHeight": 150},
}
TRANSFORM = [
    {"calculate": "datum.source.name + ' (ID: ' + datum.source.id + ')'", "as": "source_name_and_id"},
    {"calculate": "timeFormat(datum.event_start, '%H:%M on %A %b %e, %Y')", "as": "full_date"},
]
DASHES = {"domain": ["forecaster", "scheduler", "other"], "range": [[2, 2], [4, 4], [1, 0]]}
"""The dashes of lines by the type of their source."""


def chart(
    graphs: Sequence[Graph],
    sensors: Mapping[int, ChartSensorRow],
    dataset: str,
    period: Period,
    *,
    height: str | None,
    width: str | None,
    combine_legend: bool,
    annotated: bool,
) -> dict[str, Any]:
    """Return the Vega-Lite specification of a chart, which refers to its data by the name of the dataset."""
    remarks = f"{dataset}_annotations" if annotated else None
    tall = parse_digits(height or "", MAX_PIXELS) or HEIGHT
    legends: dict[str, str] = {} if combine_legend else {"color": "independent"}
    return {
        "config": CONFIG,
        "transform": TRANSFORM,
        "height": tall,
        "width": parse_digits(width or "", MAX_PIXELS) or "container",
        "description": "A vertically concatenated chart showing sensor data.",
        "vconcat": [panel(graph, sensors, period, tall, remarks) for graph in graphs if known_sensors(graph, sensors)],
        "data": {"name": dataset},
        "resolve": {"scale": {"x": "shared", **legends}},
    }


def known_sensors(graph: Graph, sensors: Mapping[int, ChartSensorRow]) -> list[int]:
    return [sensor for sensor in graph.sensors if sensor in sensors]


def panel(
    graph: Graph, sensors: Mapping[int, ChartSensorRow], period: Period, height: int, remarks: str | None
) -> dict[str, Any]:
    """Return one graph: a line per sensor and source, above the annotations."""
    shown = known_sensors(graph, sensors)
    names = ", ".join(dict.fromkeys(sensors[sensor].name for sensor in shown))
    lines = values([sensors[sensor] for sensor in shown], period)
    lines["transform"] = [{"filter": {"field": "sensor.id", "oneOf": shown}}]
    return {
        "title": graph.title or names,
        "height": height,
        "width": "container",
        "layer": [*(annotations(remarks) if remarks else ()), lines],
    }


def values(sensors: Sequence[ChartSensorRow], period: Period) -> dict[str, Any]:
    """Return the layer with the lines."""
    units = ", ".join(dict.fromkeys(sensor.unit for sensor in sensors))
    stepped = any(sensor.event_resolution for sensor in sensors)
    return {
        "mark": {"type": "line", "interpolate": "step-after" if stepped else "linear", "tooltip": True, "clip": True},
        "encoding": {
            "x": {"field": "event_start", "type": "temporal", "title": None, **domain(period)},
            "y": {"field": "event_value", "type": "quantitative", "title": units},
            "color": {"field": "sensor.description", "type": "nominal", "title": "Sensor"},
            "strokeDash": {"field": "source.type", "type": "nominal", "title": "Source", "scale": DASHES},
            "detail": [{"field": "source.id", "type": "nominal"}],
            "tooltip": [
                {"field": "sensor.description", "title": "Sensor"},
                {"field": "event_value", "type": "quantitative", "title": units},
                {"field": "full_date", "title": "Time"},
                {"field": "source_name_and_id", "title": "Source"},
            ],
        },
    }


def domain(period: Period) -> dict[str, Any]:
    """Return the scale of the time axis: the whole period, even where there are no values."""
    if period.start is None or period.end is None:
        return {}
    return {"scale": {"domain": [round(period.start.timestamp() * 1000), round(period.end.timestamp() * 1000)]}}


def annotations(dataset: str) -> list[dict[str, Any]]:
    """Return the layer with the annotations, as a shade behind the lines."""
    times = {"x": {"field": "start", "type": "temporal"}, "x2": {"field": "end"}}
    words = {"tooltip": [{"field": "content", "title": "Annotation"}, {"field": "source", "title": "Source"}]}
    return [{"data": {"name": dataset}, "mark": {"type": "rect", "opacity": 0.15}, "encoding": times | words}]
