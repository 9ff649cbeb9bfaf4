"""Requests and responses with accounts."""

from typing import Any

from pydantic import Field

from api_gateway.response_models import ResponseModel, example

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


class RoleOfAccount(ResponseModel):
    id: int
    name: str


class Account(ResponseModel):
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
