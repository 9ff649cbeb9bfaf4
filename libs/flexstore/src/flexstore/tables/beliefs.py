"""What sources believe of the values of sensors, and the days that are summed up."""

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

from flexstore.tables.columns import document, moment, reference


class Source(SQLModel, table=True):
    """Who or what believes: a user, a scheduler, a forecaster, a connector."""

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
    """The numbers in `version`, so that 10 comes after 9 and any version after none."""
    user_id: int | None = Field(default=None, sa_column=reference("users.id", on_delete="SET NULL", nullable=True))
    account_id: int | None = Field(default=None, sa_column=reference("account.id", on_delete="SET NULL", nullable=True))
    attributes: dict[str, Any] = Field(default_factory=dict, sa_column=document())


class Belief(SQLModel, table=True):
    """What a source believed, at some time, of the value of one event. No foreign keys: see docs/decisions."""

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
    event_start: datetime = Field(sa_column=moment())
    belief_time: datetime = Field(sa_column=moment())
    source_id: int = Field(sa_column=Column(Integer, nullable=False))
    cumulative_probability: float = Field(
        default=0.5, sa_column=Column(REAL, nullable=False, server_default=text("0.5"))
    )
    event_value: float = Field(sa_column=Column(Float(53), nullable=False))


class BeliefDay(SQLModel, table=True):
    """All that one source ever said of one day of a sensor, summed up. A day is one of the sensor's time zone."""

    __tablename__ = "belief_day"
    __table_args__ = (PrimaryKeyConstraint("sensor_id", "day", "source_id"),)
    sensor_id: int = Field(sa_column=Column(Integer, nullable=False))
    source_id: int = Field(sa_column=Column(Integer, nullable=False))
    day: datetime = Field(sa_column=moment())
    """When it begins."""
    beliefs: int = Field(sa_column=Column(BigInteger, nullable=False))
    events: int = Field(sa_column=Column(BigInteger, nullable=False))
    """As many as beliefs, unless some were corrected or are spreads of values."""
    minimum: float = Field(sa_column=Column(Float(53), nullable=False))
    maximum: float = Field(sa_column=Column(Float(53), nullable=False))
    total: float = Field(sa_column=Column(Float(53), nullable=False))
    first_event: datetime = Field(sa_column=moment())
    last_event: datetime = Field(sa_column=moment())
    last_belief: datetime = Field(sa_column=moment())


class BeliefDayDue(SQLModel, table=True):
    """A time of a sensor that has to be summed up (again): until then, its beliefs themselves are read."""

    __tablename__ = "belief_day_due"
    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True))
    sensor_id: int = Field(sa_column=Column(Integer, nullable=False, index=True))
    first_event: datetime = Field(sa_column=moment())
    last_event: datetime = Field(sa_column=moment())


class BeliefDayUntil(SQLModel, table=True):
    """Until when the days of a time zone are summed up, unless they are due."""

    __tablename__ = "belief_day_until"
    timezone: str = Field(sa_column=Column(Text, primary_key=True))
    until: datetime = Field(sa_column=moment())
