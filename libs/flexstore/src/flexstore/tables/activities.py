"""Activities, their followers, and webhooks with a log of their deliveries."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    REAL,
    BigInteger,
    Column,
    Index,
    Integer,
    Sequence,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from flexstore.tables.columns import foreign_key_column, integers_column, json_column, now, timestamp_column

EVENT_POSITION = Sequence("event_position", metadata=SQLModel.metadata)


class ActivityTable(SQLModel, table=True):
    """An activity: something that happened, for the activity stream and webhooks. On the wire it is called an event.

    Rows outlive their subjects for a while, so there are no foreign keys.
    """

    __tablename__ = "event"
    __table_args__ = (Index("event_waiting_idx", "id", postgresql_where=text("position is null")),)
    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True))
    position: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True, unique=True))
    """The position in the activity log, assigned in order after the commit: see docs/decisions."""
    account_id: int | None = None
    """The account that it concerns. NULL: its subject is public."""
    type: str = Field(sa_column=Column(Text, nullable=False))
    assets: list[int] = Field(sa_column=Column(ARRAY(Integer), nullable=False))
    """The asset that it is about, and all ancestors of that asset."""
    sensors: list[int] = Field(sa_column=Column(ARRAY(Integer), nullable=False))
    data: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())
    headers: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())
    """W3C trace headers of the request or job that caused it."""
    created_at: datetime = Field(
        default_factory=now, sa_column=timestamp_column(server_default=text("now()"), index=True)
    )


class ActivityInterestTable(SQLModel, table=True):
    """An account whose data are followed. Without a follower, storing data records no activity."""

    __tablename__ = "event_interest"
    account_id: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    """0: all accounts are followed."""
    since: int = Field(sa_column=Column(BigInteger, nullable=False))
    """The activity log is complete after this position."""
    told_from: datetime = Field(sa_column=timestamp_column())
    """The time by which every writer has noticed the follower."""
    until: datetime = Field(sa_column=timestamp_column())


class WebhookTable(SQLModel, table=True):
    """A webhook of an account: the URL to notify, and the secret that signs the notifications."""

    __tablename__ = "webhook"
    id: int | None = Field(default=None, primary_key=True)
    account_id: int = Field(sa_column=foreign_key_column("account.id"))
    url: str = Field(sa_column=Column(Text, nullable=False))
    secret: str = Field(sa_column=Column(Text, nullable=False))
    events: list[str] = Field(
        default_factory=list, sa_column=Column(ARRAY(Text), nullable=False, server_default=text("'{}'"))
    )
    """The activity types to notify of. Empty: all."""
    assets: list[int] = Field(default_factory=list, sa_column=integers_column())
    """The assets to notify of, including their descendants. Empty: all."""
    sensors: list[int] = Field(default_factory=list, sa_column=integers_column())
    description: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=text("''")))
    active: bool = Field(default=True, sa_column_kwargs={"server_default": text("true")})
    old_secret: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    """The previous secret, which signs as well until `old_secret_until`."""
    old_secret_until: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    failing_since: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    """The time of the first failed attempt since the last success."""
    disabled_reason: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    """The reason why the platform disabled it. NULL if it did not."""
    created_at: datetime = Field(default_factory=now, sa_column=timestamp_column(server_default=text("now()")))


class WebhookDeliveryTable(SQLModel, table=True):
    """One attempt to deliver a notification to a webhook, and its result."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (Index("webhook_delivery_webhook_idx", "webhook_id", text("attempted_at desc")),)
    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True))
    webhook_id: int = Field(sa_column=foreign_key_column("webhook.id", index=False))
    message_id: str = Field(sa_column=Column(Text, nullable=False))
    """The `webhook-id` header: the same in all attempts."""
    type: str = Field(sa_column=Column(Text, nullable=False))
    attempt: int = Field(sa_column=Column(Integer, nullable=False))
    status: int | None = None
    """The HTTP status of the response, if there was one."""
    error: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    """The reason why the attempt failed. NULL if it succeeded."""
    seconds: float = Field(sa_column=Column(REAL, nullable=False))
    attempted_at: datetime = Field(
        default_factory=now, sa_column=timestamp_column(server_default=text("now()"), index=True)
    )
