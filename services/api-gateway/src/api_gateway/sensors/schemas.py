"""Requests and responses with sensors."""

from typing import Any

from pydantic import Field

from api_gateway.response_models import ResponseModel, example

EXAMPLE: dict[str, Any] = {
    "attributes": "{}",
    "entity_address": "ea1.2026-12.localhost:fm1.2",
    "event_resolution": "PT15M",
    "generic_asset_id": 3,
    "id": 2,
    "name": "discharging",
    "timezone": "Europe/Amsterdam",
    "unit": "kW",
}


class Sensor(ResponseModel):
    model_config = example(**EXAMPLE)

    attributes: str = Field(description="JSON, as text.")
    entity_address: str
    event_resolution: str
    generic_asset_id: int
    id: int
    name: str
    timezone: str
    unit: str


class SensorAnswer(Sensor):
    model_config = example(**EXAMPLE, status=200)

    status: int
