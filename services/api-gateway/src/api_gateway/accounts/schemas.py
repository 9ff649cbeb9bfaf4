"""Accounts on the wire."""

from typing import Annotated, Literal

from pydantic import AliasChoices, Field

from api_gateway.fields import Color, Id, Input, JsonObject, Name, Text, absent
from api_gateway.paging import Page


class AccountPost(Input):
    name: Name
    consultancy_account_id: Id | None = None


class AccountPatch(Input):
    name: Name = absent()
    primary_color: Color | None = None
    secondary_color: Color | None = None
    logo_url: Annotated[Text, Field(max_length=255)] | None = None
    consultancy_account_id: Id | None = None
    plan_id: Id | None = None
    attributes: JsonObject = absent()
    account_roles: Annotated[list[Id], Field(max_length=100)] = absent()


class AccountQuery(Page):
    sort_by: Literal["id", "name", "assets", "users"] | None = Field(
        default=None, validation_alias=AliasChoices("sort_by", "sort-by")
    )
    role: Text | None = None
