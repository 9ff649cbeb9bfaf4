"""Inputs about webhooks."""

from datetime import timedelta
from typing import Annotated

from flexmodel.errors import Invalid
from flexwork.activities import ActivityType
from pydantic import AfterValidator, Field

from flexcore.fields import Id, Input, Text, absent, problem
from flexcore.listing import AlwaysPaged, Query
from flexcore.webhooks import subscriptions

TEST = "webhook.test"
"""The type of the message with which a webhook is tried."""
MOST = 100


"""Values of one filter."""


def address(url: str) -> str:
    try:
        return subscriptions.checked(url)
    except Invalid as invalid:
        raise problem(invalid.fields["url"][0]) from invalid


Url = Annotated[
    Text,
    Field(max_length=2000, examples=["https://example.com/flexmesh"], description="Where messages are posted to."),
    AfterValidator(address),
]


Types = Annotated[
    list[ActivityType],
    Field(max_length=MOST, examples=[["schedule.finished"]], description="The types it hears of; none: of all."),
]


Assets = Annotated[
    list[Id], Field(max_length=MOST, description="The assets it hears of, with all below them; none: of all.")
]


Sensors = Annotated[list[Id], Field(max_length=MOST, description="The sensors it hears of; none: of all.")]


Description = Annotated[Text, Field(max_length=255)]


class WebhookPost(Input):
    url: Url
    events: Types = Field(default_factory=list)
    assets: Assets = Field(default_factory=list)
    sensors: Sensors = Field(default_factory=list)
    description: Description = ""
    account: Id | None = Field(None, description="Whose it is; left out: your own account.")


class WebhookPatch(Input):
    url: Url = absent()
    events: Types = absent()
    assets: Assets = absent()
    sensors: Sensors = absent()
    description: Description = absent()
    active: bool = absent()


class SecretPost(Input):
    """The request for a new secret."""

    keep_old_hours: Annotated[float, Field(ge=0, le=720)] = Field(
        24.0, description="For how long messages are signed with the old secret too.", examples=[24]
    )

    @property
    def keep_old(self) -> timedelta:
        return timedelta(hours=self.keep_old_hours)


class WebhookQuery(Query):
    account: Id | None = Field(None, description="Whose webhooks; left out: those of your own account.")


class DeliveryQuery(AlwaysPaged):
    failed: bool | None = Field(None, description="Only attempts that failed, or only those that did not.")
