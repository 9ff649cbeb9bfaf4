"""Accounts, their users, and what users are known by."""

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

from flexstore.tables.columns import document, moment, now, reference


class Account(SQLModel, table=True):
    """A tenant. A consultancy account may manage client accounts."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    attributes: dict[str, Any] = Field(default_factory=dict, sa_column=document())
    primary_color: str | None = None
    secondary_color: str | None = None
    logo_url: str | None = None
    plan_id: int | None = None
    consultancy_account_id: int | None = Field(
        default=None, sa_column=reference("account.id", on_delete="SET NULL", nullable=True)
    )
    key_limit: int | None = None
    """How many API keys its users may have together; empty: as many as the gateway is set to allow."""
    created_at: datetime = Field(default_factory=now, sa_column=moment(server_default=text("now()")))


class AccountRole(SQLModel, table=True):
    """A role an account plays, for example consultancy."""

    __tablename__ = "account_role"
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    description: str | None = None


class AccountRoleLink(SQLModel, table=True):
    __tablename__ = "account_role_link"
    account_id: int = Field(sa_column=Column(Integer, ForeignKey("account.id", ondelete="CASCADE"), primary_key=True))
    role_id: int = Field(sa_column=Column(Integer, ForeignKey("account_role.id", ondelete="CASCADE"), primary_key=True))


class User(SQLModel, table=True):
    """A person or machine that logs in. `user` is a reserved word in SQL, hence the plural."""

    __tablename__ = "users"
    __table_args__ = (Index("users_email_key", text("lower(email)"), unique=True),)
    id: int | None = Field(default=None, primary_key=True)
    account_id: int = Field(sa_column=reference("account.id"))
    email: str = Field(sa_column=Column(Text, nullable=False))
    username: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    password_hash: str = Field(sa_column=Column(Text, nullable=False))
    active: bool = Field(default=True, sa_column_kwargs={"server_default": text("true")})
    timezone: str = Field(default="UTC", sa_column=Column(Text, nullable=False, server_default=text("'UTC'")))
    preferences: dict[str, Any] = Field(default_factory=dict, sa_column=document())
    """How the user likes to look at things, for example the default page of an asset."""
    last_login_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    last_seen_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    created_at: datetime = Field(default_factory=now, sa_column=moment(server_default=text("now()")))


class Role(SQLModel, table=True):
    """A role a user has: admin, admin-reader, account-admin, account-reader, consultant."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    description: str | None = None


class UserRole(SQLModel, table=True):
    __tablename__ = "user_role"
    user_id: int = Field(sa_column=Column(Integer, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True))
    role_id: int = Field(sa_column=Column(Integer, ForeignKey("role.id", ondelete="CASCADE"), primary_key=True))


class Token(SQLModel, table=True):
    """A login token, a browser's session, an API key or a mailed link. Only its SHA-256 is kept."""

    id: int | None = Field(default=None, primary_key=True)
    user_id: int = Field(sa_column=reference("users.id"))
    kind: str = Field(default="login", sa_column=Column(Text, nullable=False, server_default=text("'login'")))
    token_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False, unique=True))
    name: str | None = None
    hint: str | None = None
    """How an API key begins, by which its holder knows it again."""
    scopes: list[str] = Field(
        default_factory=list, sa_column=Column(ARRAY(Text), nullable=False, server_default=text("'{}'"))
    )
    account_id: int | None = Field(default=None, sa_column=reference("account.id", nullable=True))
    """The one account that it is good for; empty: all that its user may see."""
    requests_per_minute: int | None = None
    """The most that may be made with it; empty: any number."""
    idle: timedelta | None = Field(default=None, sa_column=Column(Interval, nullable=True))
    """It expires when it was not used for so long; empty: only at `expires_at`."""
    network: str | None = Field(default=None, sa_column=Column(Text))
    """From where its user logged in: there the user is known, and others who guess at the password do not count."""
    created_at: datetime = Field(default_factory=now, sa_column=moment(server_default=text("now()")))
    expires_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    revoked_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    last_used_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
