"""Responses about the session and its user."""

from typing import Literal

from pydantic import Field

from api_gateway.response_models import ResponseModel, example


class Myself(ResponseModel):
    id: int
    username: str
    email: str
    account: int
    roles: list[str]


class WhoAmI(ResponseModel):
    model_config = example(
        user={
            "id": 1,
            "username": "toy-user",
            "email": "toy-user@flexmeasures.io",
            "account": 1,
            "roles": ["account-admin"],
        },
        kind="session",
        scopes=[],
        only_account=None,
        csrf_token="Yn3Rk0bO1rNcG1s8Ta0eYI8Q2m2XhVtq2xR6Bc0X5mE",  # noqa: S106 - an example
    )

    user: Myself
    kind: Literal["login", "session", "key"]
    scopes: list[str] = Field(description="What the API key is good for; empty: for everything.")
    only_account: int | None = Field(description="The one account whose things the API key is good for.")
    csrf_token: str | None = Field(
        None, description="With a session: what goes into the header X-CSRF-Token of requests that change something."
    )
