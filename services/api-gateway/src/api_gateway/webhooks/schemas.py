"""Requests and responses with webhooks."""

from datetime import datetime
from typing import Any

from flexcore.fields import absent
from flexcore.webhooks.repository import DeliveryRow, WebhookRow
from pydantic import Field

from api_gateway.events.activity_descriptions import AT
from api_gateway.response_models import ResponseModel, example
from api_gateway.times import instant

EXAMPLE: dict[str, Any] = {
    "id": 3,
    "account": 1,
    "url": "https://example.com/flexmesh",
    "events": ["schedule.finished", "schedule.failed"],
    "assets": [5],
    "sensors": [],
    "description": "The building management system",
    "active": True,
    "disabled_reason": None,
    "failing_since": None,
    "created_at": AT,
}


SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="  # noqa: S105 - an example


class Webhook(ResponseModel):
    """A webhook, without its secret."""

    model_config = example(**EXAMPLE)

    id: int
    account: int
    url: str
    events: list[str] = Field(description="The types it hears of; none: of all.")
    assets: list[int] = Field(description="The assets it hears of, with all below them; none: of all.")
    sensors: list[int] = Field(description="The sensors it hears of; none: of all.")
    description: str
    active: bool
    disabled_reason: str | None = Field(description="Why it was switched off, if nobody of the account did.")
    failing_since: datetime | None = Field(description="Since when nothing could be delivered, if that is so.")
    created_at: datetime


class NewWebhook(Webhook):
    """A webhook with its secret, which is shown this once: not when the same request is answered again."""

    model_config = example(**EXAMPLE, secret=SECRET)

    secret: str = absent()


class Webhooks(ResponseModel):
    webhooks: list[Webhook]


class Secret(ResponseModel):
    """The secret of a webhook, which is shown this once: not when the same request is answered again."""

    model_config = example(secret=SECRET)

    secret: str = absent()


class OnItsWay(ResponseModel):
    """A message that is about to be delivered; how that went is in the list of deliveries."""

    model_config = example(message_id="evt_1042")

    message_id: str


class Delivery(ResponseModel):
    """An attempt to deliver a message, and how it ended."""

    model_config = example(
        id=71,
        message_id="evt_1042",
        type="schedule.finished",
        attempt=1,
        status=503,
        error="It answered 503 Service Unavailable.",
        seconds=0.21,
        attempted_at=AT,
    )

    id: int
    message_id: str = Field(description="What the receiver sees as `webhook-id`: the same in all attempts.")
    type: str
    attempt: int
    status: int | None = Field(description="The HTTP status that the receiver answered with, if it did.")
    error: str | None = Field(description="Why the attempt failed; null if it did not.")
    seconds: float
    attempted_at: datetime


def webhook_response(row: WebhookRow) -> dict[str, Any]:
    plain = ("id", "url", "events", "assets", "sensors", "description", "active", "disabled_reason")
    return {
        **{name: row[name] for name in plain},
        "account": row["account_id"],
        "failing_since": instant(row["failing_since"]),
        "created_at": instant(row["created_at"]),
    }


def delivery_response(row: DeliveryRow) -> dict[str, Any]:
    plain = ("id", "message_id", "type", "attempt", "status", "error", "seconds")
    return {**{name: row[name] for name in plain}, "attempted_at": instant(row["attempted_at"])}
