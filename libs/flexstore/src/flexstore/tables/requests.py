"""The audit log, rate limits and idempotency keys."""

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

from flexstore.tables.columns import foreign_key_column, json_column, now, timestamp_column


class AuditLogTable(SQLModel, table=True):
    """An entry of the audit log: who changed what. Entries outlive their subjects, so there are no foreign keys."""

    __tablename__ = "audit_log"
    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True))
    event_datetime: datetime = Field(default_factory=now, sa_column=timestamp_column(server_default=text("now()")))
    event: str = Field(sa_column=Column(Text, nullable=False))
    active_user_id: int | None = None
    active_user_name: str | None = None
    token_id: int | None = None
    """The login token, session, API key or mailed link that authenticated the request."""
    token_kind: str | None = Field(default=None, sa_column=Column(Text))
    account_id: int | None = Field(default=None, index=True)
    affected_user_id: int | None = Field(default=None, index=True)
    asset_id: int | None = Field(default=None, index=True)
    sensor_id: int | None = Field(default=None, index=True)
    details: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())


class RateLimitTable(SQLModel, table=True):
    """The number of requests in the current window of a rate limit. Unlogged: a crash only resets the counts."""

    __tablename__ = "rate_limit"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)
    key: str = Field(sa_column=Column(Text, primary_key=True))
    window_start: datetime = Field(sa_column=timestamp_column())
    hits: int = Field(sa_column=Column(Integer, nullable=False))


class IdempotencyKeyTable(SQLModel, table=True):
    """The response to a request that had an Idempotency-Key header, kept for a day."""

    __tablename__ = "idempotency_key"
    __table_args__ = (PrimaryKeyConstraint("user_id", "key"),)
    user_id: int = Field(sa_column=foreign_key_column("users.id", index=False))
    key: str = Field(sa_column=Column(Text, nullable=False))
    request_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    status: int | None = None
    """NULL while the first request is still being processed."""
    body: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    location: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    """The `Location` header of the response."""
    created_at: datetime = Field(
        default_factory=now, sa_column=timestamp_column(server_default=text("now()"), index=True)
    )
