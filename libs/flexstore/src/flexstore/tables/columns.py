"""Column types that several tables share."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Column,
    DateTime,
    ForeignKey,
    Integer,
    TextClause,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def timestamp_column(
    *, nullable: bool = False, server_default: TextClause | None = None, index: bool | None = None
) -> Column[datetime]:
    """Build a `timestamptz` column."""
    return Column(DateTime(timezone=True), nullable=nullable, server_default=server_default, index=index)


def json_column() -> Column[dict[str, Any]]:
    """Build a `jsonb` column that holds an object, by default an empty one."""
    return Column(JSONB, nullable=False, server_default=text("'{}'::jsonb"))


def integers_column() -> Column[list[int]]:
    """Build an `int[]` column, by default empty."""
    return Column(ARRAY(Integer), nullable=False, server_default=text("'{}'"))


def foreign_key_column(
    target: str, *, on_delete: str = "CASCADE", nullable: bool = False, index: bool = True
) -> Column[int]:
    """Build an integer column that refers to `target`, written as `table.column`."""
    return Column(Integer, ForeignKey(target, ondelete=on_delete), nullable=nullable, index=index)
