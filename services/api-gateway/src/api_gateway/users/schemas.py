"""Users on the wire."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, Field

from api_gateway.accounts.schemas import EXAMPLE as ACCOUNT
from api_gateway.accounts.schemas import Account
from api_gateway.fields import Email, Id, Input, Text, TimeZone, absent, one_line
from api_gateway.paging import Page
from api_gateway.passwords.rules import LONGEST
from api_gateway.response_models import Shape, example

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


class PlainUser(Shape):
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
