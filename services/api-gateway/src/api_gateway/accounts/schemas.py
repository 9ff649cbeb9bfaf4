"""Accounts on the wire."""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field

from api_gateway.fields import Color, Id, Input, KeepingAttributes, Link, Name, Text, absent
from api_gateway.paging import Page
from api_gateway.response_models import Shape, example


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


EXAMPLE: dict[str, Any] = {
    "account_roles": [{"id": 1, "name": "MDC"}],
    "attributes": "{}",
    "consultancy_account_id": None,
    "id": 1,
    "logo_url": None,
    "name": "Toy Account",
    "plan_id": None,
    "primary_color": "#1a3443",
    "secondary_color": None,
}


class RoleOfAccount(Shape):
    id: int
    name: str


class Account(Shape):
    model_config = example(**EXAMPLE)

    account_roles: list[RoleOfAccount]
    attributes: str = Field(description="JSON, as text.")
    consultancy_account_id: int | None
    id: int
    logo_url: str | None
    name: str
    plan_id: int | None
    primary_color: str | None
    secondary_color: str | None


class AccountAnswer(Account):
    model_config = example(**EXAMPLE, status=200)

    status: int


class AccountWithCounts(Account):
    model_config = example(**EXAMPLE, asset_count=3, user_count=1)

    asset_count: int
    user_count: int
