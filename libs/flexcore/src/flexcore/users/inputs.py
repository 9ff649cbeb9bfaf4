"""Inputs about users."""

from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, Field

from flexcore.credentials.password_rules import LONGEST
from flexcore.fields import Email, Id, Input, Text, TimeZone, absent, example, one_line
from flexcore.listing import Page

Username = Annotated[Text, Field(min_length=1, max_length=255), AfterValidator(one_line)]


class UserPost(Input):
    model_config = example(email="somebody@example.com", username="somebody")

    email: Email
    username: Username
    account_id: Id | None = None


class UserPatch(Input):
    model_config = example(timezone="Europe/Amsterdam", flexmeasures_roles=["account-admin"])

    email: Email = absent()
    username: Username = absent()
    active: bool = absent()
    timezone: TimeZone = absent()
    flexmeasures_roles: Annotated[list[int | str], Field(max_length=20)] = absent()
    """Roles by id, or by name."""
    current_password: Annotated[
        Text, Field(max_length=LONGEST, description="Of who changes their own email address.")
    ] = absent()


class UserQuery(Page):
    sort_by: Literal["username", "email", "lastLogin", "lastSeen"] | None = Field(
        default=None, validation_alias=AliasChoices("sort_by", "sort-by")
    )
    account_id: Id | None = Field(default=None, validation_alias=AliasChoices("account_id", "account"))
    include_inactive: bool = False
