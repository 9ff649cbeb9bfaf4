"""Inputs about accounts."""

from typing import Annotated, Literal

from pydantic import AliasChoices, Field

from flexcore.fields import Color, Id, Input, KeepingAttributes, Link, Name, Text, absent, example
from flexcore.listing import Page


class AccountPost(Input):
    model_config = example(name="Toy Account", consultancy_account_id=None)

    name: Name
    consultancy_account_id: Id | None = None


class AccountPatch(Input):
    model_config = example(name="Toy Account", primary_color="#1a3443", attributes={"region": "north"})

    name: Name = absent()
    primary_color: Color | None = None
    secondary_color: Color | None = None
    logo_url: Link | None = None
    consultancy_account_id: Id | None = None
    plan_id: Id | None = None
    attributes: KeepingAttributes = absent()
    account_roles: Annotated[list[Id], Field(max_length=100)] = absent()


class AccountQuery(Page):
    sort_by: Literal["id", "name", "assets", "users"] | None = Field(
        default=None, validation_alias=AliasChoices("sort_by", "sort-by")
    )
    role: Text | None = None
