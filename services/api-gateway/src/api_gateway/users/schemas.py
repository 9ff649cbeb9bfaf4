"""Users on the wire."""

from typing import Annotated, Literal

from pydantic import AliasChoices, Field

from api_gateway.fields import Email, Id, Input, Text, TimeZone, absent
from api_gateway.paging import Page

Username = Annotated[Text, Field(min_length=1, max_length=255)]


class UserPost(Input):
    email: Email
    username: Username
    account_id: Id | None = None


class UserPatch(Input):
    email: Email = absent()
    username: Username = absent()
    active: bool = absent()
    timezone: TimeZone = absent()
    flexmeasures_roles: Annotated[list[int | str], Field(max_length=20)] = absent()
    """Roles by id, or by name."""


class UserQuery(Page):
    sort_by: Literal["username", "email", "lastLogin", "lastSeen"] | None = Field(
        default=None, validation_alias=AliasChoices("sort_by", "sort-by")
    )
    account_id: Id | None = Field(default=None, validation_alias=AliasChoices("account_id", "account"))
    include_inactive: bool = False
