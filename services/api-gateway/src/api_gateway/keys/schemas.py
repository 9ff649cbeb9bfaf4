"""API keys on the wire."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from api_gateway.auth.policy import Scope
from api_gateway.fields import Id, Input, Moment, Name, problem
from api_gateway.tokens.schemas import EXAMPLE

GIVEN = (Scope.READ, Scope.WRITE, Scope.SCHEDULE, Scope.ADMIN)
"""The scopes a key may have."""


def scopes(values: list[str]) -> list[Scope]:
    unknown = [value for value in values if value not in GIVEN]
    if unknown:
        raise problem(f"'{unknown[0]}' is not one of: {', '.join(GIVEN)}.")
    return sorted({Scope(value) for value in values}, key=GIVEN.index)


Scopes = Annotated[
    list[str],
    Field(min_length=1, max_length=20, examples=[["read"]], description=f"What it is good for: {', '.join(GIVEN)}."),
    AfterValidator(scopes),
]


class KeyPost(Input):
    name: Name
    scopes: Scopes
    expires_at: Moment | None = Field(None, description="When it ends; left out: when it is revoked.")
    only_account: Id | None = Field(None, description="The one account whose things it is good for.")


class KeyPatch(Input):
    name: Name


class KeyLimit(Input):
    limit: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(description="None: as the platform is set.")


CREATED: dict[str, Any] = {**EXAMPLE, "key": "fmk_3Xb9vWqP1y6mKc0ZtR4uLd8sJf2hNa7e"}
