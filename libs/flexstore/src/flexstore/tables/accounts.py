"""Accounts, users, roles and tokens."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    Integer,
    Interval,
    LargeBinary,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from flexstore.tables.columns import foreign_key_column, json_column, now, timestamp_column


class AccountTable(SQLModel, table=True):
    """A tenant. A consultancy account may manage client accounts."""

    __tablename__ = "account"
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    attributes: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())
    primary_color: str | None = None
    secondary_color: str | None = None
    logo_url: str | None = None
    plan_id: int | None = None
    consultancy_account_id: int | None = Field(
        default=None, sa_column=foreign_key_column("account.id", on_delete="SET NULL", nullable=True)
    )
    key_limit: int | None = None
    """Limit on the API keys of all its users together. NULL: the limit set for the gateway."""
    created_at: datetime = Field(default_factory=now, sa_column=timestamp_column(server_default=text("now()")))


class AccountRoleTable(SQLModel, table=True):
    """A role an account plays, for example consultancy."""

    __tablename__ = "account_role"
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    description: str | None = None


class AccountRoleLinkTable(SQLModel, table=True):
    """A role of an account."""

    __tablename__ = "account_role_link"
    account_id: int = Field(sa_column=Column(Integer, ForeignKey("account.id", ondelete="CASCADE"), primary_key=True))
    role_id: int = Field(sa_column=Column(Integer, ForeignKey("account_role.id", ondelete="CASCADE"), primary_key=True))


class UserTable(SQLModel, table=True):
    """A person or machine that logs in. The table has a plural name because `user` is a reserved word in SQL."""

    __tablename__ = "users"
    __table_args__ = (Index("users_email_key", text("lower(email)"), unique=True),)
    id: int | None = Field(default=None, primary_key=True)
    account_id: int = Field(sa_column=foreign_key_column("account.id"))
    email: str = Field(sa_column=Column(Text, nullable=False))
    username: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    password_hash: str = Field(sa_column=Column(Text, nullable=False))
    active: bool = Field(default=True, sa_column_kwargs={"server_default": text("true")})
    timezone: str = Field(default="UTC", sa_column=Column(Text, nullable=False, server_default=text("'UTC'")))
    preferences: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())
    """Display preferences, for example the default page of an asset."""
    last_login_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    last_seen_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    created_at: datetime = Field(default_factory=now, sa_column=timestamp_column(server_default=text("now()")))


class RoleTable(SQLModel, table=True):
    """A role a user has: admin, admin-reader, account-admin, account-reader, consultant."""

    __tablename__ = "role"
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    description: str | None = None


class UserRoleTable(SQLModel, table=True):
    """A role of a user."""

    __tablename__ = "user_role"
    user_id: int = Field(sa_column=Column(Integer, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True))
    role_id: int = Field(sa_column=Column(Integer, ForeignKey("role.id", ondelete="CASCADE"), primary_key=True))


class TokenTable(SQLModel, table=True):
    """A login token, a browser session, an API key or a mailed link. Only its SHA-256 hash is stored."""

    __tablename__ = "token"
    id: int | None = Field(default=None, primary_key=True)
    user_id: int = Field(sa_column=foreign_key_column("users.id"))
    kind: str = Field(default="login", sa_column=Column(Text, nullable=False, server_default=text("'login'")))
    token_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False, unique=True))
    name: str | None = None
    hint: str | None = None
    """The first characters of an API key, so that its owner can recognise it."""
    scopes: list[str] = Field(
        default_factory=list, sa_column=Column(ARRAY(Text), nullable=False, server_default=text("'{}'"))
    )
    account_id: int | None = Field(default=None, sa_column=foreign_key_column("account.id", nullable=True))
    """The only account that the token gives access to. NULL: every account that its user may access."""
    requests_per_minute: int | None = None
    """Rate limit of the token. NULL: unlimited."""
    idle: timedelta | None = Field(default=None, sa_column=Column(Interval, nullable=True))
    """Idle time after which the token expires. NULL: it expires only at `expires_at`."""
    network: str | None = Field(default=None, sa_column=Column(Text))
    """The network that the user logged in from. Logins from it are not blocked by failed attempts from elsewhere."""
    created_at: datetime = Field(default_factory=now, sa_column=timestamp_column(server_default=text("now()")))
    expires_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    revoked_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    last_used_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
