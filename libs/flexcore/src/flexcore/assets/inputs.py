"""Inputs about assets: what may be set, and how lists of assets are queried."""

from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, Field, field_validator

from flexcore.assets.displays import validate_figures, validate_graphs
from flexcore.fields import Id, Input, JsonList, JsonObject, Name, Text, absent, example, not_boolean, problem
from flexcore.listing import Page, Query

FIELDS = (
    "account_id", "attributes", "child_assets", "description", "external_id", "flex_context", "flex_model",
    "generic_asset_type", "generic_asset_type_id", "id", "latitude", "longitude", "name", "owner", "parent_asset_id",
    "sensors", "sensors_to_show", "sensors_to_show_as_kpis",
)  # fmt: skip


VIEWS = Literal["Audit Log", "Context", "Graphs", "Properties", "Status"]


def within(name: str, degrees: float) -> AfterValidator:
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
    sensors_to_show: Annotated[JsonList, AfterValidator(validate_graphs)] = absent()
    sensors_to_show_as_kpis: Annotated[JsonList, AfterValidator(validate_figures)] = absent()


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
