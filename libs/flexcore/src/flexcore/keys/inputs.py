"""Inputs about API keys."""

from typing import Annotated

from pydantic import AfterValidator, Field

from flexcore.fields import Id, Input, Moment, Name, example, problem
from flexcore.permissions.policy import Scope

GIVEN = (Scope.READ, Scope.WRITE, Scope.SCHEDULE, Scope.ADMIN)


"""The scopes a key may have."""


def scopes(values: list[str]) -> list[Scope]:
    if not values:
        raise problem(f"Name at least one of: {', '.join(GIVEN)}.")
    unknown = [value for value in values if value not in GIVEN]
    if unknown:
        raise problem(f"'{unknown[0]}' is not one of: {', '.join(GIVEN)}.")
    return sorted({Scope(value) for value in values}, key=GIVEN.index)


Scopes = Annotated[
    list[str],
    Field(max_length=20, examples=[["read"]], description=f"What it is good for: {', '.join(GIVEN)}."),
    AfterValidator(scopes),
]


class KeyPost(Input):
    model_config = example(name="dashboard", scopes=["read"], expires_at="2027-11-22T00:00:00+01:00")

    name: Name
    scopes: Scopes
    expires_at: Moment | None = Field(None, description="When it ends; left out: when it is revoked.")
    only_account: Id | None = Field(None, description="The one account whose things it is good for.")
    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None, description="The most requests that may be made with it; left out: any number."
    )


class KeyPatch(Input):
    model_config = example(name="dashboard")

    name: Name


class KeyLimit(Input):
    model_config = example(limit=100)

    limit: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(description="None: as the platform is set.")
