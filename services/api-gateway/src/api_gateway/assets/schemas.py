"""Requests and responses with assets."""

from typing import Any

from flexcore.fields import absent
from pydantic import Field

from api_gateway.response_models import ResponseModel, example


class AssetType(ResponseModel):
    model_config = example(id=5, name="battery", description="stationary battery")

    id: int
    name: str
    description: str | None


class TypeOfAsset(ResponseModel):
    id: int
    name: str


class Owner(ResponseModel):
    id: int
    name: str


class ChildAsset(ResponseModel):
    account_id: int | None
    generic_asset_type: TypeOfAsset
    id: int
    name: str


class SensorOfAsset(ResponseModel):
    id: int
    name: str


EXAMPLE: dict[str, Any] = {
    "account_id": 1,
    "attributes": "{}",
    "child_assets": [],
    "description": None,
    "external_id": None,
    "flex_context": "{}",
    "flex_model": '{"soc-max": "450 kWh", "power-capacity": "500 kVA"}',
    "generic_asset_type": {"id": 5, "name": "battery"},
    "generic_asset_type_id": 5,
    "id": 3,
    "latitude": 52.374,
    "longitude": 4.88969,
    "name": "toy-battery",
    "owner": {"id": 1, "name": "Toy Account"},
    "parent_asset_id": 2,
    "sensors": [{"id": 2, "name": "discharging"}],
    "sensors_to_show": "[]",
    "sensors_to_show_as_kpis": "[]",
}


class Asset(ResponseModel):
    """An asset, all of it or the fields asked for. Documents are JSON, as text."""

    model_config = example(**EXAMPLE)

    account_id: int | None = absent()
    attributes: str = absent()
    child_assets: list[ChildAsset] = absent()
    description: str | None = absent()
    external_id: str | None = absent()
    flex_context: str = absent()
    flex_model: str = absent()
    generic_asset_type: TypeOfAsset = absent()
    generic_asset_type_id: int = absent()
    id: int = absent()
    latitude: float | None = absent()
    longitude: float | None = absent()
    name: str = absent()
    owner: Owner | None = absent()
    parent_asset_id: int | None = absent()
    sensors: list[SensorOfAsset] = absent()
    sensors_to_show: str = absent()
    sensors_to_show_as_kpis: str = absent()


class AssetAnswer(Asset):
    model_config = example(**EXAMPLE, status=200)

    id: int
    status: int


class NewAsset(Asset):
    id: int


class Copied(ResponseModel):
    model_config = example(asset=7, message="Successfully copied asset 3.", status=201)

    asset: int = Field(description="The id of the copy.")
    message: str
    status: int
