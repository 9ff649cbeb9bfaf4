"""Requests and responses with audit logs."""

from typing import Literal

from flexcore.listing import AlwaysPaged, Page
from pydantic import AliasChoices, Field

from api_gateway.response_models import ResponseModel, example


class AssetLogQuery(AlwaysPaged):
    sort_by: Literal["event_datetime"] | None = Field(default=None, validation_alias=AliasChoices("sort_by", "sort-by"))


class UserLogQuery(Page):
    sort_by: Literal["username", "email", "event_datetime", "lastLogin", "lastSeen"] | None = Field(
        default=None, validation_alias=AliasChoices("sort_by", "sort-by")
    )


class AccountEvent(ResponseModel):
    model_config = example(
        active_user_id=1, event="User toy-user created", event_datetime="Sat, 21 Nov 2026 07:45:00 GMT"
    )

    active_user_id: int | None
    event: str
    event_datetime: str


class Event(ResponseModel):
    model_config = example(
        active_user_id=1,
        active_user_name="toy-user",
        event="Created asset 'toy-battery': 3",
        event_datetime="2026-11-21T10:35:24.332840",
    )

    active_user_id: int | None
    active_user_name: str | None
    event: str
    event_datetime: str
