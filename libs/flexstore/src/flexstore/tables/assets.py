"""Assets, sensors and annotations."""

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

from flexstore.tables.columns import foreign_key_column, json_column, now, timestamp_column


class AssetTypeTable(SQLModel, table=True):
    """A type of asset, for example battery."""

    __tablename__ = "asset_type"
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    description: str | None = None


class AssetTable(SQLModel, table=True):
    """A site, a battery, a market zone: something with sensors. Assets form trees. Without an account it is public."""

    __tablename__ = "asset"
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
    account_id: int | None = Field(default=None, sa_column=foreign_key_column("account.id", nullable=True))
    parent_asset_id: int | None = Field(default=None, sa_column=foreign_key_column("asset.id", nullable=True))
    asset_type_id: int = Field(sa_column=foreign_key_column("asset_type.id", on_delete="RESTRICT"))
    latitude: float | None = None
    longitude: float | None = None
    description: str | None = None
    external_id: str | None = None
    attributes: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())
    flex_model: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())
    flex_context: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())
    sensors_to_show: list[Any] = Field(
        default_factory=list, sa_column=Column(JSONB, nullable=False, server_default=text("'[]'::jsonb"))
    )
    sensors_to_show_as_kpis: list[Any] = Field(
        default_factory=list, sa_column=Column(JSONB, nullable=False, server_default=text("'[]'::jsonb"))
    )
    created_at: datetime = Field(default_factory=now, sa_column=timestamp_column(server_default=text("now()")))


class SensorTable(SQLModel, table=True):
    """One time series: a unit, a resolution (zero: instantaneous) and a time zone for displaying it."""

    __tablename__ = "sensor"
    __table_args__ = (UniqueConstraint("name", "asset_id", name="sensor_name_on_asset_key"),)
    id: int | None = Field(default=None, primary_key=True)
    asset_id: int = Field(sa_column=foreign_key_column("asset.id"))
    name: str = Field(sa_column=Column(Text, nullable=False))
    unit: str = Field(sa_column=Column(Text, nullable=False))
    event_resolution: timedelta = Field(sa_column=Column(Interval, nullable=False))
    timezone: str = Field(default="UTC", sa_column=Column(Text, nullable=False, server_default=text("'UTC'")))
    attributes: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())
    created_at: datetime = Field(default_factory=now, sa_column=timestamp_column(server_default=text("now()")))


class AnnotationTable(SQLModel, table=True):
    """A text label on a period of time."""

    __tablename__ = "annotation"
    id: int | None = Field(default=None, primary_key=True)
    content: str = Field(sa_column=Column(Text, nullable=False))
    type: str = Field(default="label", sa_column=Column(Text, nullable=False, server_default=text("'label'")))
    start: datetime = Field(sa_column=timestamp_column())
    end: datetime = Field(sa_column=timestamp_column())
    belief_time: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    source_id: int = Field(sa_column=foreign_key_column("source.id", on_delete="RESTRICT"))


class AnnotationLinkTable(SQLModel, table=True):
    """The subject of an annotation: exactly one of an account, an asset or a sensor."""

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
    annotation_id: int = Field(sa_column=foreign_key_column("annotation.id"))
    account_id: int | None = Field(default=None, sa_column=foreign_key_column("account.id", nullable=True))
    asset_id: int | None = Field(default=None, sa_column=foreign_key_column("asset.id", nullable=True))
    sensor_id: int | None = Field(default=None, sa_column=foreign_key_column("sensor.id", nullable=True))
