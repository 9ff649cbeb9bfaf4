"""Assets on the wire."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, Field, field_validator

from api_gateway.assets.shown import figures, graphs
from api_gateway.fields import Id, Input, JsonList, JsonObject, Name, Text, absent, not_boolean, problem
from api_gateway.paging import Page, Query
from api_gateway.response_models import Shape, example

FIELDS = (
    "account_id", "attributes", "child_assets", "description", "external_id", "flex_context", "flex_model",
    "generic_asset_type", "generic_asset_type_id", "id", "latitude", "longitude", "name", "owner", "parent_asset_id",
    "sensors", "sensors_to_show", "sensors_to_show_as_kpis",
)  # fmt: skip
VIEWS = Literal["Audit Log", "Context", "Graphs", "Properties", "Status"]


def within(name: str, degrees: float) -> Any:
    def check(value: float) -> float:
        if value > degrees:
            raise problem(f"{name} {value} exceeds the maximum {name.lower()} of {degrees:g} degrees.")
        if value < -degrees:
            raise problem(f"{name} {value} exceeds the minimum {name.lower()} of -{degrees:g} degrees.")
        return value

    return AfterValidator(check)


Latitude = Annotated[float, not_boolean("number"), Field(allow_inf_nan=False), within("Latitude", 90)]
Longitude = Annotated[float, not_boolean("number"), Field(allow_inf_nan=False), within("Longitude", 180)]
Description = Annotated[Text, Field(max_length=10_000)]
ExternalId = Annotated[Text, Field(max_length=255)]


class AssetPatch(Input):
    model_config = example(name="battery", flex_model={"soc-max": "450 kWh", "power-capacity": "500 kVA"})

    name: Name = absent()
    description: Description | None = None
    generic_asset_type_id: Id = absent()
    account_id: Id | None = None
    """The account it belongs to, with everything below it. Null: a public asset, which only administrators make."""
    parent_asset_id: Id | None = None
    latitude: Latitude | None = None
    longitude: Longitude | None = None
    external_id: ExternalId | None = None
    attributes: JsonObject = absent()
    flex_model: JsonObject = absent()
    flex_context: JsonObject = absent()
    sensors_to_show: Annotated[JsonList, AfterValidator(graphs)] = absent()
    sensors_to_show_as_kpis: Annotated[JsonList, AfterValidator(figures)] = absent()


class AssetPost(AssetPatch):
    model_config = example(name="battery", generic_asset_type_id=5, latitude=52.374, longitude=4.88969)

    name: Name
    generic_asset_type_id: Id
    account_id: Id | None = None
    """Left out: that of the parent, else that of the caller. Null: a public asset, which only administrators make."""


class FieldsQuery(Query):
    fields: Text | None = Field(default=None, description="Answer these fields only, separated by `|`.")

    @field_validator("fields")
    @classmethod
    def known(cls, value: str | None) -> str | None:
        for name in (value or "").split("|") if value else ():
            if name not in FIELDS:
                raise problem(f"Parameter '{name}' is not a valid asset field.")
        return value

    @property
    def chosen(self) -> tuple[str, ...] | None:
        return tuple(self.fields.split("|")) if self.fields else None


class AssetQuery(FieldsQuery, Page):
    sort_by: Literal["id", "name", "owner"] | None = Field(
        default=None, validation_alias=AliasChoices("sort_by", "sort-by")
    )
    account_id: Id | None = Field(default=None, validation_alias=AliasChoices("account_id", "account"))
    root: Id | None = Field(default=None, description="Answer this asset and everything below it.")
    depth: int | None = Field(default=None, ge=0, le=100, description="How many levels below the root to answer.")
    all_accessible: bool = Field(default=False, description="Everything the caller may read, of all accounts.")
    include_public: bool = Field(default=False, description="Public assets as well.")
    asset_type: Id | None = None


class CopyQuery(Query):
    account_id: Id | None = Field(default=None, validation_alias=AliasChoices("account", "account_id"))
    parent_asset_id: Id | None = Field(default=None, validation_alias=AliasChoices("parent", "parent_asset_id"))


class DefaultView(Input):
    model_config = example(default_asset_view="Graphs", use_as_default=True)

    default_asset_view: VIEWS
    use_as_default: bool = True


class LegendPlace(Input):
    model_config = example(keep_legends_below_graphs=True)

    keep_legends_below_graphs: bool


class AssetType(Shape):
    model_config = example(id=5, name="battery", description="stationary battery")

    id: int
    name: str
    description: str | None


class TypeOfAsset(Shape):
    id: int
    name: str


class Owner(Shape):
    id: int
    name: str


class ChildAsset(Shape):
    account_id: int | None
    generic_asset_type: TypeOfAsset
    id: int
    name: str


class SensorOfAsset(Shape):
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


class Asset(Shape):
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


class Copied(Shape):
    model_config = example(asset=7, message="Successfully copied asset 3.", status=201)

    asset: int = Field(description="The id of the copy.")
    message: str
    status: int
