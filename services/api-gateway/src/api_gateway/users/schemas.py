"""Requests and responses with users."""

from typing import Any

from pydantic import Field

from api_gateway.accounts.schemas import EXAMPLE as ACCOUNT
from api_gateway.accounts.schemas import Account
from api_gateway.response_models import ResponseModel, example

EXAMPLE: dict[str, Any] = {
    "account_id": 1,
    "active": True,
    "email": "toy-user@flexmeasures.io",
    "id": 1,
    "last_login_at": "2026-11-21T10:36:00.815420",
    "last_seen_at": "2026-11-21T10:38:12.103377",
    "timezone": "Europe/Amsterdam",
    "username": "toy-user",
}


class PlainUser(ResponseModel):
    account_id: int
    active: bool
    email: str
    id: int
    last_login_at: str | None = Field(description="In UTC.")
    last_seen_at: str | None = Field(description="In UTC.")
    timezone: str
    username: str


class User(PlainUser):
    model_config = example(**EXAMPLE, flexmeasures_roles=[3])

    flexmeasures_roles: list[int] = Field(description="Roles by id.")


class UserAnswer(User):
    model_config = example(**EXAMPLE, flexmeasures_roles=[3], status=200)

    status: int


class UserInList(PlainUser):
    model_config = example(**EXAMPLE, flexmeasures_roles=["account-admin"], account=ACCOUNT)

    flexmeasures_roles: list[str] = Field(description="Roles by name.")
    account: Account
