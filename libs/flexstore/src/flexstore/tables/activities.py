"""What happened, and who is told."""

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

from flexstore.tables.columns import document, moment, now, numbers, reference

EVENT_POSITION = Sequence("event_position", metadata=SQLModel.metadata)


class Event(SQLModel, table=True):
    """Something that happened, for those who want to be told. Kept for a while, hence no foreign keys."""

    __table_args__ = (Index("event_waiting_idx", "id", postgresql_where=text("position is null")),)
    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True))
    position: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True, unique=True))
    """The number under which it is told, given out after the commit and in order: see docs/decisions."""
    account_id: int | None = None
    """Whom it concerns; nobody: it is about something public."""
    type: str = Field(sa_column=Column(Text, nullable=False))
    assets: list[int] = Field(sa_column=Column(ARRAY(Integer), nullable=False))
    """The asset that it is about, and all above that."""
    sensors: list[int] = Field(sa_column=Column(ARRAY(Integer), nullable=False))
    data: dict[str, Any] = Field(default_factory=dict, sa_column=document())
    headers: dict[str, Any] = Field(default_factory=dict, sa_column=document())
    """W3C trace headers: where in a trace it happened."""
    created_at: datetime = Field(default_factory=now, sa_column=moment(server_default=text("now()"), index=True))


class EventInterest(SQLModel, table=True):
    """An account whose data somebody follows: without any, stored data make no events."""

    __tablename__ = "event_interest"
    account_id: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    """0: somebody follows all accounts."""
    since: int = Field(sa_column=Column(BigInteger, nullable=False))
    """Events after this position are complete."""
    told_from: datetime = Field(sa_column=moment())
    """By then every writer knows."""
    until: datetime = Field(sa_column=moment())


class Webhook(SQLModel, table=True):
    """An address of an account that is told what happens, and the secret that signs what it is told."""

    id: int | None = Field(default=None, primary_key=True)
    account_id: int = Field(sa_column=reference("account.id"))
    url: str = Field(sa_column=Column(Text, nullable=False))
    secret: str = Field(sa_column=Column(Text, nullable=False))
    events: list[str] = Field(
        default_factory=list, sa_column=Column(ARRAY(Text), nullable=False, server_default=text("'{}'"))
    )
    """The types of events it hears of; none: of all."""
    assets: list[int] = Field(default_factory=list, sa_column=numbers())
    """The assets that it hears of, with all below them; none: of all."""
    sensors: list[int] = Field(default_factory=list, sa_column=numbers())
    description: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=text("''")))
    active: bool = Field(default=True, sa_column_kwargs={"server_default": text("true")})
    old_secret: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    """The secret before this one, which signs too for a while."""
    old_secret_until: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    failing_since: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    """When the first of the attempts that have failed since the last success was made."""
    disabled_reason: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    """Why it was switched off, if nobody of the account did."""
    created_at: datetime = Field(default_factory=now, sa_column=moment(server_default=text("now()")))


class WebhookDelivery(SQLModel, table=True):
    """One attempt to tell a webhook of an event, and how it ended."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (Index("webhook_delivery_webhook_idx", "webhook_id", text("attempted_at desc")),)
    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True))
    webhook_id: int = Field(sa_column=reference("webhook.id", index=False))
    message_id: str = Field(sa_column=Column(Text, nullable=False))
    """What the receiver sees as `webhook-id`: the same in all attempts."""
    type: str = Field(sa_column=Column(Text, nullable=False))
    attempt: int = Field(sa_column=Column(Integer, nullable=False))
    status: int | None = None
    """The HTTP status it answered with, if it did."""
    error: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    """Why the attempt failed; empty if it did not."""
    seconds: float = Field(sa_column=Column(REAL, nullable=False))
    attempted_at: datetime = Field(default_factory=now, sa_column=moment(server_default=text("now()"), index=True))
