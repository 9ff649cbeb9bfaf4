"""Columns that stand in many tables."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Column,
    DateTime,
    ForeignKey,
    Integer,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB


def now() -> datetime:
    return datetime.now(UTC)


def moment(*, nullable: bool = False, **kwargs: Any) -> Any:
    """A column for an aware moment in time."""
    return Column(DateTime(timezone=True), nullable=nullable, **kwargs)


def document() -> Any:
    return Column(JSONB, nullable=False, server_default=text("'{}'::jsonb"))


def numbers() -> Any:
    return Column(ARRAY(Integer), nullable=False, server_default=text("'{}'"))


def reference(target: str, *, on_delete: str = "CASCADE", nullable: bool = False, index: bool = True) -> Any:
    return Column(Integer, ForeignKey(target, ondelete=on_delete), nullable=nullable, index=index)
