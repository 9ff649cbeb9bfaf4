"""OpenAPI descriptions of series, which are written and parsed elsewhere than in FastAPI."""

from typing import Any

from api_gateway.series.batches import MOST_ITEMS
from api_gateway.series.schemas import Item

CSV = """sensor,event_start,event_value,unit
2,2026-11-22T00:00:00+01:00,2.15,kW
2,2026-11-22T00:15:00+01:00,3.0,kW
"""
BINARY = {"type": "string", "format": "binary"}
TABLES = {
    "text/csv": {"schema": {"type": "string"}, "example": CSV},
    "application/vnd.apache.parquet": {"schema": BINARY, "example": "PAR1…PAR1"},
    "application/vnd.apache.arrow.stream": {"schema": BINARY, "example": "…"},
}
WORDS = (
    "The series, in the format that `Accept` names: JSON, or a table with one row per known event (CSV, Parquet, "
    "Arrow) with the columns `sensor`, `event_start` and `event_value`, with `beliefs` also `belief_time`, `source` "
    "and `cumulative_probability`. The units are in the metadata of Parquet and Arrow, and in a column of CSV."
)


def series_responses() -> dict[int | str, dict[str, Any]]:
    return {
        200: {"description": WORDS, "content": dict(TABLES)},
        406: {"description": "None of the formats that `Accept` names is there; the message names those that are."},
    }


def batch_request_body() -> dict[str, Any]:
    items = Item.model_json_schema(ref_template="#/components/schemas/{model}")
    schema = {"type": "array", "items": items, "minItems": 1, "maxItems": MOST_ITEMS}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
