"""Assets, their sensors, and what is noted about them."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    Index,
    Interval,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from flexstore.tables.columns import document, moment, now, reference


class AssetType(SQLModel, table=True):
    __tablename__ = "asset_type"
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    description: str | None = None


class Asset(SQLModel, table=True):
    """A thing with sensors: a site, a battery, a market zone. Without an account it is public. Assets form trees."""

    __table_args__ = (
        UniqueConstraint("name", "parent_asset_id", name="asset_name_under_parent_key"),
        Index(
            "asset_name_at_top_key",
            text("name"),
            text("coalesce(account_id, 0)"),
            unique=True,
            postgresql_where=text("parent_asset_id is null"),
        ),
        CheckConstraint("latitude between -90 and 90", name="asset_latitude_check"),
        CheckConstraint("longitude between -180 and 180", name="asset_longitude_check"),
        CheckConstraint("parent_asset_id <> id", name="asset_own_parent_check"),
    )
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(sa_column=Column(Text, nullable=False))
    account_id: int | None = Field(default=None, sa_column=reference("account.id", nullable=True))
    parent_asset_id: int | None = Field(default=None, sa_column=reference("asset.id", nullable=True))
    asset_type_id: int = Field(sa_column=reference("asset_type.id", on_delete="RESTRICT"))
    latitude: float | None = None
    longitude: float | None = None
    description: str | None = None
    external_id: str | None = None
    attributes: dict[str, Any] = Field(default_factory=dict, sa_column=document())
    flex_model: dict[str, Any] = Field(default_factory=dict, sa_column=document())
    flex_context: dict[str, Any] = Field(default_factory=dict, sa_column=document())
    sensors_to_show: list[Any] = Field(
        default_factory=list, sa_column=Column(JSONB, nullable=False, server_default=text("'[]'::jsonb"))
    )
    sensors_to_show_as_kpis: list[Any] = Field(
        default_factory=list, sa_column=Column(JSONB, nullable=False, server_default=text("'[]'::jsonb"))
    )
    created_at: datetime = Field(default_factory=now, sa_column=moment(server_default=text("now()")))


class Sensor(SQLModel, table=True):
    """One series of values: a unit, a resolution (zero: instantaneous) and a time zone for showing it."""

    __table_args__ = (UniqueConstraint("name", "asset_id", name="sensor_name_on_asset_key"),)
    id: int | None = Field(default=None, primary_key=True)
    asset_id: int = Field(sa_column=reference("asset.id"))
    name: str = Field(sa_column=Column(Text, nullable=False))
    unit: str = Field(sa_column=Column(Text, nullable=False))
    event_resolution: timedelta = Field(sa_column=Column(Interval, nullable=False))
    timezone: str = Field(default="UTC", sa_column=Column(Text, nullable=False, server_default=text("'UTC'")))
    attributes: dict[str, Any] = Field(default_factory=dict, sa_column=document())
    created_at: datetime = Field(default_factory=now, sa_column=moment(server_default=text("now()")))


class Annotation(SQLModel, table=True):
    """A remark about a period."""

    id: int | None = Field(default=None, primary_key=True)
    content: str = Field(sa_column=Column(Text, nullable=False))
    type: str = Field(default="label", sa_column=Column(Text, nullable=False, server_default=text("'label'")))
    start: datetime = Field(sa_column=moment())
    end: datetime = Field(sa_column=moment())
    belief_time: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    source_id: int = Field(sa_column=reference("source.id", on_delete="RESTRICT"))


class AnnotationLink(SQLModel, table=True):
    """What an annotation is about: exactly one of an account, an asset or a sensor."""

    __tablename__ = "annotation_link"
    __table_args__ = (
        UniqueConstraint(
            "annotation_id",
            "account_id",
            "asset_id",
            "sensor_id",
            name="annotation_link_key",
            postgresql_nulls_not_distinct=True,
        ),
        CheckConstraint("num_nonnulls(account_id, asset_id, sensor_id) = 1", name="annotation_link_one_subject_check"),
    )
    id: int | None = Field(default=None, primary_key=True)
    annotation_id: int = Field(sa_column=reference("annotation.id"))
    account_id: int | None = Field(default=None, sa_column=reference("account.id", nullable=True))
    asset_id: int | None = Field(default=None, sa_column=reference("asset.id", nullable=True))
    sensor_id: int | None = Field(default=None, sa_column=reference("sensor.id", nullable=True))
