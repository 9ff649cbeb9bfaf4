"""Descriptions of self-contained problems and their results. The scheduler parses them."""

from typing import Any

from flexmodel.flex_context import FlexContext
from flexmodel.flex_model import FlexModelEntry

PLACES = ("sensor", "asset", "consumption", "production")
OUTPUTS = ("aggregate-power", "aggregate-consumption", "aggregate-production")
DEPRECATED = ("consumption-price-sensor", "production-price-sensor", "inflexible-device-sensors")

EXAMPLE = {
    "start": "2026-01-13T00:00:00+01:00",
    "duration": "PT4H",
    "resolution": "PT1H",
    "flex-model": [
        {
            "name": "battery",
            "soc-at-start": "10 kWh",
            "soc-min": "10 kWh",
            "soc-max": "50 kWh",
            "power-capacity": "10 kW",
        }
    ],
    "flex-context": {"consumption-price": {"sensor": "price"}},
    "series": {
        "price": {
            "unit": "EUR/MWh",
            "resolution": "PT1H",
            "start": "2026-01-13T00:00:00+01:00",
            "values": [10, 20, 30, 40],
        }
    },
}
ANSWER = {
    "status": "optimal",
    "window": {
        "start": "2026-01-13T00:00:00+01:00",
        "end": "2026-01-13T04:00:00+01:00",
        "resolution": "PT1H",
        "steps": 4,
    },
    "currency": "EUR",
    "schedules": {"battery": {"unit": "MW", "values": [0.01, 0.01, -0.01, -0.01]}},
    "state-of-charge": {"battery": {"unit": "MWh", "values": [0.01, 0.02, 0.03, 0.02, 0.01]}},
    "costs": {"electricity net energy": -0.4},
    "total": -0.4,
    "gap": 0.0,
    "warnings": [],
    "explanation": {"format": "explanation/1", "sentences": ["The schedule earns 0.4 EUR."]},
}
ACCEPTED = {
    "job": "6f9619ff-8b86-d011-b42d-00c04fc964ff",
    "job-url": "/api/v1/optimize/6f9619ff-8b86-d011-b42d-00c04fc964ff",
    "status": "QUEUED",
    "message": "Scheduling job waiting to be processed.",
}

MOMENT = {"type": "string", "format": "date-time"}
SPAN = {"type": "string", "format": "duration"}


def problem_schema() -> dict[str, Any]:
    """Return the JSON Schema of a problem: the configurations of a trigger, with names of series for ids of sensors."""
    # Beside the schemas of triggers, which have ids, these need names of their own.
    template = "#/components/schemas/Named{model}"
    entry, context = (_named(model.model_json_schema(ref_template=template)) for model in (FlexModelEntry, FlexContext))
    inner = {**entry.pop("$defs", {}), **context.pop("$defs", {})}
    for unstored in PLACES:
        entry["properties"].pop(unstored, None)
    for unstored in (*OUTPUTS, *DEPRECATED):
        context["properties"].pop(unstored, None)
    name = {"type": "string", "description": "What the entry is called in the answer; default: `device 0` and so on."}
    entry |= {"title": "NamedEntry", "properties": {"name": name, **entry["properties"]}}
    return {
        "title": "OptimizeProblem",
        "type": "object",
        "required": ["start", "flex-model"],
        "additionalProperties": False,
        "properties": {
            "start": MOMENT,
            "duration": SPAN | {"description": "How long to plan for. Give this or `end`."},
            "end": MOMENT,
            "resolution": SPAN | {"default": "PT15M"},
            "timezone": {"type": "string", "description": "Where days begin, and in which to answer."},
            "flex-model": {"type": "array", "items": entry, "description": "One entry per device."},
            "flex-context": context | {"description": "Prices and limits around the devices."},
            "series": {"type": "object", "additionalProperties": SERIES, "description": "Values over time, by name."},
        },
        "examples": [EXAMPLE],
        "$defs": {f"Named{name}": definition | {"title": f"Named{name}"} for name, definition in inner.items()},
    }


SERIES = {
    "type": "object",
    "required": ["unit", "resolution", "start", "values"],
    "additionalProperties": False,
    "properties": {
        "unit": {"type": "string"},
        "resolution": SPAN | {"description": "How long each value lasts; `PT0S` for a single moment."},
        "start": MOMENT,
        "values": {"type": "array", "items": {"type": ["number", "null"]}},
    },
}


def _named(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema in which sensors, and the assets that stand for groups, are names."""
    found = {
        key: _named_inside(value)
        for key, value in schema.items()
        if key not in ("source-types", "exclude-source-types")
    }
    for key in ("sensor", "asset"):
        if found.get(key) == {"type": "integer"}:
            found[key] = {"type": "string"}
    for filters in ("sources", "source-account"):
        found.pop(filters, None)
    return found


def _named_inside(node: object) -> object:
    if isinstance(node, list):
        return [_named_inside(item) for item in node]
    return _named(node) if isinstance(node, dict) else node
