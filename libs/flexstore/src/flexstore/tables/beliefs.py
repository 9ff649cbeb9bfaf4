"""Sources, beliefs and daily rollups of beliefs."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    REAL,
    BigInteger,
    Column,
    Float,
    Integer,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from flexstore.tables.columns import foreign_key_column, json_column, timestamp_column


class SourceTable(SQLModel, table=True):
    """The origin of beliefs: a user, a scheduler, a forecaster, a connector."""

    __tablename__ = "source"
    __table_args__ = (
        UniqueConstraint(
            "name", "type", "model", "version", "user_id", name="source_key", postgresql_nulls_not_distinct=True
        ),
    )
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(sa_column=Column(Text, nullable=False))
    type: str = Field(sa_column=Column(Text, nullable=False))
    model: str | None = None
    version: str | None = None
    version_order: list[int] = Field(
        default_factory=list, sa_column=Column(ARRAY(BigInteger), nullable=False, server_default=text("'{}'"))
    )
    """The numbers in `version`, for sorting: 10 after 9, and any version after none."""
    user_id: int | None = Field(
        default=None, sa_column=foreign_key_column("users.id", on_delete="SET NULL", nullable=True)
    )
    account_id: int | None = Field(
        default=None, sa_column=foreign_key_column("account.id", on_delete="SET NULL", nullable=True)
    )
    attributes: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())


class BeliefTable(SQLModel, table=True):
    """A belief: the value that a source gave for one event at some belief time. No foreign keys: see docs/decisions."""

    __tablename__ = "belief"
    __table_args__ = (
        PrimaryKeyConstraint(
            "sensor_id",
            "event_start",
            "belief_time",
            "source_id",
            "cumulative_probability",
            postgresql_include=["event_value"],
        ),
    )
    sensor_id: int = Field(sa_column=Column(Integer, nullable=False))
    event_start: datetime = Field(sa_column=timestamp_column())
    belief_time: datetime = Field(sa_column=timestamp_column())
    source_id: int = Field(sa_column=Column(Integer, nullable=False))
    cumulative_probability: float = Field(
        default=0.5, sa_column=Column(REAL, nullable=False, server_default=text("0.5"))
    )
    event_value: float = Field(sa_column=Column(Float(53), nullable=False))


class BeliefDayTable(SQLModel, table=True):
    """The daily rollup of all beliefs of one source about one sensor. Days are days in the sensor's time zone."""

    __tablename__ = "belief_day"
    __table_args__ = (PrimaryKeyConstraint("sensor_id", "day", "source_id"),)
    sensor_id: int = Field(sa_column=Column(Integer, nullable=False))
    source_id: int = Field(sa_column=Column(Integer, nullable=False))
    day: datetime = Field(sa_column=timestamp_column())
    """The start of the day."""
    beliefs: int = Field(sa_column=Column(BigInteger, nullable=False))
    events: int = Field(sa_column=Column(BigInteger, nullable=False))
    """Equal to `beliefs`, unless some were corrected or are probabilistic."""
    minimum: float = Field(sa_column=Column(Float(53), nullable=False))
    maximum: float = Field(sa_column=Column(Float(53), nullable=False))
    total: float = Field(sa_column=Column(Float(53), nullable=False))
    first_event: datetime = Field(sa_column=timestamp_column())
    last_event: datetime = Field(sa_column=timestamp_column())
    last_belief: datetime = Field(sa_column=timestamp_column())


class BeliefDayDueTable(SQLModel, table=True):
    """A period of a sensor that has to be rolled up (again). Until then, statistics read its beliefs themselves."""

    __tablename__ = "belief_day_due"
    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True))
    sensor_id: int = Field(sa_column=Column(Integer, nullable=False, index=True))
    first_event: datetime = Field(sa_column=timestamp_column())
    last_event: datetime = Field(sa_column=timestamp_column())


class BeliefDayUntilTable(SQLModel, table=True):
    """The end of the days that are rolled up for a time zone, except those that are due."""

    __tablename__ = "belief_day_until"
    timezone: str = Field(sa_column=Column(Text, primary_key=True))
    until: datetime = Field(sa_column=timestamp_column())
