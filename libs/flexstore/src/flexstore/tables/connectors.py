"""Connectors, and device readings that are not yet converted to events."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    Interval,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

from flexstore.tables.columns import foreign_key_column, json_column, now, timestamp_column


class ConnectorTable(SQLModel, table=True):
    """A connector: it fetches values for sensors from an external system. Includes the result of its last run."""

    __tablename__ = "connector"
    __table_args__ = (
        UniqueConstraint("name", "account_id", name="connector_name_key", postgresql_nulls_not_distinct=True),
        Index("connector_due_idx", "next_run_at", postgresql_where=text("enabled")),
    )
    id: int | None = Field(default=None, primary_key=True)
    account_id: int | None = Field(default=None, sa_column=foreign_key_column("account.id", nullable=True))
    """The account that owns it. NULL: it fills sensors of public assets."""
    kind: str = Field(sa_column=Column(Text, nullable=False))
    name: str = Field(sa_column=Column(Text, nullable=False))
    config: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())
    secrets: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())
    """Tokens and passwords. Only the connector's worker reads them; no response contains them."""
    every: timedelta = Field(sa_column=Column(Interval, nullable=False))
    """The interval between two runs."""
    enabled: bool = Field(default=True, sa_column_kwargs={"server_default": text("true")})
    next_run_at: datetime = Field(default_factory=now, sa_column=timestamp_column(server_default=text("now()")))
    sent_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    """The time at which its task was last sent. NULL once it has run."""
    claim: UUID | None = None
    """The claim token of the current run. Only its holder may record the result."""
    claimed_until: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    last_run_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    last_success_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    last_error: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    """The reason why the last run failed, as a sentence. NULL if it succeeded."""
    failures: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    """The number of failed runs since the last success."""
    data_until: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    """The end of the last known event, of the series that ends first."""
    created_at: datetime = Field(default_factory=now, sa_column=timestamp_column(server_default=text("now()")))


class ConnectorSensorTable(SQLModel, table=True):
    """The sensor that a connector fills with one of its series."""

    __tablename__ = "connector_sensor"
    connector_id: int = Field(
        sa_column=Column(Integer, ForeignKey("connector.id", ondelete="CASCADE"), primary_key=True)
    )
    series: str = Field(sa_column=Column(Text, primary_key=True))
    sensor_id: int = Field(sa_column=foreign_key_column("sensor.id"))


class ReadingTable(SQLModel, table=True):
    """A value measured by a device, in the sensor's unit. Kept until all events that need it are computed."""

    __tablename__ = "reading"
    __table_args__ = (PrimaryKeyConstraint("connector_id", "sensor_id", "meaning", "at"),)
    connector_id: int = Field(sa_column=foreign_key_column("connector.id", index=False))
    sensor_id: int = Field(sa_column=foreign_key_column("sensor.id"))
    meaning: str = Field(sa_column=Column(Text, nullable=False))
    """`level`, `counter`, …: the way readings are converted to events. Readings of different meanings are not mixed."""
    at: datetime = Field(sa_column=timestamp_column())
    value: float = Field(sa_column=Column(Float(53), nullable=False))


class ReadingDueTable(SQLModel, table=True):
    """The start of the readings that are not yet converted to events."""

    __tablename__ = "reading_due"
    __table_args__ = (PrimaryKeyConstraint("connector_id", "sensor_id", "meaning"),)
    connector_id: int = Field(sa_column=foreign_key_column("connector.id", index=False))
    sensor_id: int = Field(sa_column=foreign_key_column("sensor.id"))
    meaning: str = Field(sa_column=Column(Text, nullable=False))
    since: datetime = Field(sa_column=timestamp_column())
