"""What is remembered of requests: how many, what was answered, what they changed."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Text,
    text,
)
from sqlmodel import Field, SQLModel

from flexstore.tables.columns import document, moment, now, reference


class AuditLog(SQLModel, table=True):
    """Who changed what. Kept when its subject is deleted, hence no foreign keys to it."""

    __tablename__ = "audit_log"
    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True))
    event_datetime: datetime = Field(default_factory=now, sa_column=moment(server_default=text("now()")))
    event: str = Field(sa_column=Column(Text, nullable=False))
    active_user_id: int | None = None
    active_user_name: str | None = None
    token_id: int | None = None
    """The login token, session, API key or mailed link with which they asked."""
    token_kind: str | None = Field(default=None, sa_column=Column(Text))
    account_id: int | None = Field(default=None, index=True)
    affected_user_id: int | None = Field(default=None, index=True)
    asset_id: int | None = Field(default=None, index=True)
    sensor_id: int | None = Field(default=None, index=True)
    details: dict[str, Any] = Field(default_factory=dict, sa_column=document())


class RateLimit(SQLModel, table=True):
    """How often something was asked in the current window. Unlogged: losing it in a crash only forgives."""

    __tablename__ = "rate_limit"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)
    key: str = Field(sa_column=Column(Text, primary_key=True))
    window_start: datetime = Field(sa_column=moment())
    hits: int = Field(sa_column=Column(Integer, nullable=False))


class IdempotencyKey(SQLModel, table=True):
    """The answer once given to a request that carried an Idempotency-Key, kept for a day."""

    __tablename__ = "idempotency_key"
    __table_args__ = (PrimaryKeyConstraint("user_id", "key"),)
    user_id: int = Field(sa_column=reference("users.id", index=False))
    key: str = Field(sa_column=Column(Text, nullable=False))
    request_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    status: int | None = None
    """Empty while the first request is still being answered."""
    body: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    location: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    """The header of that name."""
    created_at: datetime = Field(default_factory=now, sa_column=moment(server_default=text("now()"), index=True))
