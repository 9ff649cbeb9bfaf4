"""Connectors, and the readings of devices that wait for their events."""

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

from flexstore.tables.columns import document, moment, now, reference


class Connector(SQLModel, table=True):
    """Something that fetches values from elsewhere for sensors, and how its last run went."""

    __table_args__ = (
        UniqueConstraint("name", "account_id", name="connector_name_key", postgresql_nulls_not_distinct=True),
        Index("connector_due_idx", "next_run_at", postgresql_where=text("enabled")),
    )
    id: int | None = Field(default=None, primary_key=True)
    account_id: int | None = Field(default=None, sa_column=reference("account.id", nullable=True))
    """Whose it is; nobody's: it fills sensors of public assets."""
    kind: str = Field(sa_column=Column(Text, nullable=False))
    name: str = Field(sa_column=Column(Text, nullable=False))
    config: dict[str, Any] = Field(default_factory=dict, sa_column=document())
    secrets: dict[str, Any] = Field(default_factory=dict, sa_column=document())
    """Tokens and passwords. Only what runs the connector reads them; they are shown nowhere."""
    every: timedelta = Field(sa_column=Column(Interval, nullable=False))
    """Time from one run to the next."""
    enabled: bool = Field(default=True, sa_column_kwargs={"server_default": text("true")})
    next_run_at: datetime = Field(default_factory=now, sa_column=moment(server_default=text("now()")))
    sent_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    """When a message that it is due was last sent; empty once it has run."""
    claim: UUID | None = None
    """The token of the run that is under way: only its holder may say how it went."""
    claimed_until: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    last_run_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    last_success_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    last_error: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    """Why the last run failed, in a sentence; empty if it did not."""
    failures: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    """How many runs have failed since the last that did not."""
    data_until: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    """The end of the last event of which it knew the value, of the series that reaches least far."""
    created_at: datetime = Field(default_factory=now, sa_column=moment(server_default=text("now()")))


class ConnectorSensor(SQLModel, table=True):
    """Which sensor a connector fills with which of its series."""

    __tablename__ = "connector_sensor"
    connector_id: int = Field(
        sa_column=Column(Integer, ForeignKey("connector.id", ondelete="CASCADE"), primary_key=True)
    )
    series: str = Field(sa_column=Column(Text, primary_key=True))
    sensor_id: int = Field(sa_column=reference("sensor.id"))


class Reading(SQLModel, table=True):
    """What a device read at some moment, in the sensor's unit, kept until all events that need it are worked out."""

    __table_args__ = (PrimaryKeyConstraint("connector_id", "sensor_id", "meaning", "at"),)
    connector_id: int = Field(sa_column=reference("connector.id", index=False))
    sensor_id: int = Field(sa_column=reference("sensor.id"))
    meaning: str = Field(sa_column=Column(Text, nullable=False))
    """`level`, `counter`, …: how readings become events. Those of another meaning are not mixed with them."""
    at: datetime = Field(sa_column=moment())
    value: float = Field(sa_column=Column(Float(53), nullable=False))


class ReadingDue(SQLModel, table=True):
    """Since when there are readings of which no event has been made yet."""

    __tablename__ = "reading_due"
    __table_args__ = (PrimaryKeyConstraint("connector_id", "sensor_id", "meaning"),)
    connector_id: int = Field(sa_column=reference("connector.id", index=False))
    sensor_id: int = Field(sa_column=reference("sensor.id"))
    meaning: str = Field(sa_column=Column(Text, nullable=False))
    since: datetime = Field(sa_column=moment())
