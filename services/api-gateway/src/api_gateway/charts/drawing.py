"""Charts as Vega-Lite: lines over time, one graph above the other."""

from collections.abc import Mapping, Sequence
from typing import Any

from api_gateway.charts.graphs import Graph

HEIGHT = 300
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


def chart(
    graphs: Sequence[Graph],
    sensors: Mapping[int, Any],
    dataset: str,
    period: tuple[str, str],
    *,
    height: str | None,
    width: str | None,
    values: Sequence[Any] | None,
) -> dict[str, Any]:
    """The specification of a chart. Its data are to be put in under the name of the dataset, unless given here."""
    tall = int(height) if height and height.isdigit() else HEIGHT
    return {
        "config": CONFIG,
        "transform": TRANSFORM,
        "height": tall,
        "width": int(width) if width and width.isdigit() else "container",
        "description": "A vertically concatenated chart showing sensor data.",
        "vconcat": [panel(graph, sensors, period, tall) for graph in graphs if known(graph, sensors)],
        "data": {"name": dataset} if values is None else {"name": dataset, "values": list(values)},
        "resolve": {"scale": {"x": "shared"}},
    }


def known(graph: Graph, sensors: Mapping[int, Any]) -> list[int]:
    return [sensor for sensor in graph.sensors if sensor in sensors]


def panel(graph: Graph, sensors: Mapping[int, Any], period: tuple[str, str], height: int) -> dict[str, Any]:
    """One graph: a line per sensor and source."""
    shown = known(graph, sensors)
    units = ", ".join(dict.fromkeys(sensors[sensor]["unit"] for sensor in shown))
    names = ", ".join(dict.fromkeys(sensors[sensor]["name"] for sensor in shown))
    stepped = any(sensors[sensor]["event_resolution"] for sensor in shown)
    return {
        "title": graph.title or names,
        "height": height,
        "width": "container",
        "transform": [{"filter": {"field": "sensor.id", "oneOf": shown}}],
        "mark": {"type": "line", "interpolate": "step-after" if stepped else "linear", "tooltip": True, "clip": True},
        "encoding": {
            "x": {"field": "event_start", "type": "temporal", "title": None, "scale": {"domain": list(period)}},
            "y": {"field": "event_value", "type": "quantitative", "title": units},
            "color": {"field": "sensor.description", "type": "nominal", "title": None},
            "strokeDash": {"field": "belief_horizon", "type": "quantitative", "legend": None, "bin": {"step": 1e15}},
            "detail": [{"field": "source_name_and_id"}],
            "tooltip": [
                {"field": "sensor.description", "title": "Sensor"},
                {"field": "event_value", "type": "quantitative", "title": units},
                {"field": "full_date", "title": "Time"},
                {"field": "source_name_and_id", "title": "Source"},
            ],
        },
    }
