"""The tables. These classes define the schema; rows are read and written with SQL through asyncpg."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    REAL,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    Interval,
    LargeBinary,
    PrimaryKeyConstraint,
    Sequence,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

JOB_STATES = ("QUEUED", "STARTED", "DEFERRED", "FINISHED", "FAILED", "STOPPED", "CANCELED")


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
    created_at: datetime = Field(default_factory=now, sa_column=moment(server_default=text("now()")))
    expires_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    revoked_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    last_used_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))


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


class AuditLog(SQLModel, table=True):
    """Who changed what. Kept when its subject is deleted, hence no foreign keys to it."""

    __tablename__ = "audit_log"
    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True))
    event_datetime: datetime = Field(default_factory=now, sa_column=moment(server_default=text("now()")))
    event: str = Field(sa_column=Column(Text, nullable=False))
    active_user_id: int | None = None
    active_user_name: str | None = None
    account_id: int | None = Field(default=None, index=True)
    affected_user_id: int | None = Field(default=None, index=True)
    asset_id: int | None = Field(default=None, index=True)
    sensor_id: int | None = Field(default=None, index=True)
    details: dict[str, Any] = Field(default_factory=dict, sa_column=document())


class Job(SQLModel, table=True):
    """A piece of work for a worker. This table is the truth; the broker only carries ids."""

    __table_args__ = (
        CheckConstraint(f"status in {JOB_STATES}", name="job_status_check"),
        Index("job_open_idx", "queue", "status", postgresql_where=text("status in ('QUEUED', 'STARTED')")),
        Index("job_request_hash_idx", "request_hash", text("created_at desc")),
    )
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    queue: str = Field(sa_column=Column(Text, nullable=False))
    """`schedule`, `forecast`, `ingest`, …: also the name of the broker queue."""
    status: str = Field(default="QUEUED", sa_column=Column(Text, nullable=False, server_default=text("'QUEUED'")))
    account_id: int | None = Field(default=None, sa_column=reference("account.id", nullable=True))
    user_id: int | None = Field(default=None, sa_column=reference("users.id", on_delete="SET NULL", nullable=True))
    asset_id: int | None = Field(default=None, sa_column=reference("asset.id", on_delete="SET NULL", nullable=True))
    sensor_id: int | None = Field(default=None, sa_column=reference("sensor.id", on_delete="SET NULL", nullable=True))
    request: dict[str, Any] = Field(default_factory=dict, sa_column=document())
    """What was asked, as validated; enough to run the job."""
    request_hash: str | None = None
    result: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB, nullable=True))
    """The job result as the API shows it."""
    info: dict[str, Any] = Field(default_factory=dict, sa_column=document())
    """What else is known of the run: scheduler_info, warnings, the inputs it depended on."""
    error: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    """Why it failed, in a sentence for the user."""
    traceback: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    trace_context: dict[str, Any] = Field(default_factory=dict, sa_column=document())
    """W3C trace headers, so that one trace spans request, broker and worker."""
    attempts: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    claim: UUID | None = None
    """The token of the worker that holds it: only its holder may finish it."""
    created_at: datetime = Field(default_factory=now, sa_column=moment(server_default=text("now()")))
    enqueued_at: datetime = Field(default_factory=now, sa_column=moment(server_default=text("now()")))
    sent_at: datetime = Field(default_factory=now, sa_column=moment(server_default=text("now()")))
    """When a message that announces the job was last put in the outbox."""
    started_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    heartbeat_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    ended_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))


class Schedule(SQLModel, table=True):
    """The values one job scheduled for one sensor, whole and unchanging, in the sensor's unit and sign."""

    __table_args__ = (PrimaryKeyConstraint("job_id", "sensor_id"),)
    job_id: UUID = Field(foreign_key="job.id", ondelete="CASCADE")
    sensor_id: int = Field(sa_column=reference("sensor.id"))
    start: datetime = Field(sa_column=moment())
    resolution: timedelta = Field(sa_column=Column(Interval, nullable=False))
    unit: str = Field(sa_column=Column(Text, nullable=False))
    consumption_positive: bool
    """Whether the stored values count consumption as positive (energy and SoC sensors: always true)."""
    event_values: list[float] = Field(sa_column=Column(ARRAY(Float(53)), nullable=False))


class Explanation(SQLModel, table=True):
    """Why a job's schedule is as it is. Apart from the job, because it is large and seldom read."""

    job_id: UUID = Field(primary_key=True, foreign_key="job.id", ondelete="CASCADE")
    document: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))


class Outbox(SQLModel, table=True):
    """A message that was decided in a transaction and still has to leave the house."""

    __table_args__ = (Index("outbox_due_idx", "due_at"),)
    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True))
    topic: str = Field(sa_column=Column(Text, nullable=False))
    """`task:<queue>` for the broker, `webhook` for delivery, `mail` for a mail."""
    payload: dict[str, Any] = Field(default_factory=dict, sa_column=document())
    headers: dict[str, Any] = Field(default_factory=dict, sa_column=document())
    """W3C trace headers: where in a trace it was decided."""
    created_at: datetime = Field(default_factory=now, sa_column=moment(server_default=text("now()")))
    due_at: datetime = Field(default_factory=now, sa_column=moment(server_default=text("now()")))
    attempts: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    last_error: str | None = Field(default=None, sa_column=Column(Text, nullable=True))


class RateLimit(SQLModel, table=True):
    """How often something was asked in the current window. Unlogged: losing it in a crash only forgives."""

    __tablename__ = "rate_limit"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)
    key: str = Field(sa_column=Column(Text, primary_key=True))
    window_start: datetime = Field(sa_column=moment())
    hits: int = Field(sa_column=Column(Integer, nullable=False))


class IdempotencyKey(SQLModel, table=True):
    """The answer once given to a request that carried an Idempotency-Key, kept for a day."""

    __tablename__ = "idempotency_key"
    __table_args__ = (PrimaryKeyConstraint("user_id", "key"),)
    user_id: int = Field(sa_column=reference("users.id", index=False))
    key: str = Field(sa_column=Column(Text, nullable=False))
    request_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    status: int | None = None
    """Empty while the first request is still being answered."""
    body: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    location: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    """The header of that name."""
    created_at: datetime = Field(default_factory=now, sa_column=moment(server_default=text("now()"), index=True))


class Event(SQLModel, table=True):
    """Something that happened, for those who want to be told. Kept for a while, hence no foreign keys."""

    __table_args__ = (Index("event_waiting_idx", "id", postgresql_where=text("position is null")),)
    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True))
    position: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True, unique=True))
    """The number under which it is told, given out after the commit and in order: see docs/decisions."""
    account_id: int | None = None
    """Whom it concerns; nobody: it is about something public."""
    type: str = Field(sa_column=Column(Text, nullable=False))
    assets: list[int] = Field(sa_column=Column(ARRAY(Integer), nullable=False))
    """The asset that it is about, and all above that."""
    sensors: list[int] = Field(sa_column=Column(ARRAY(Integer), nullable=False))
    data: dict[str, Any] = Field(default_factory=dict, sa_column=document())
    headers: dict[str, Any] = Field(default_factory=dict, sa_column=document())
    """W3C trace headers: where in a trace it happened."""
    created_at: datetime = Field(default_factory=now, sa_column=moment(server_default=text("now()"), index=True))


EVENT_POSITION = Sequence("event_position", metadata=SQLModel.metadata)


class EventInterest(SQLModel, table=True):
    """An account whose data somebody follows: without any, stored data make no events."""

    __tablename__ = "event_interest"
    account_id: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    """0: somebody follows all accounts."""
    since: int = Field(sa_column=Column(BigInteger, nullable=False))
    """Events after this position are complete."""
    told_from: datetime = Field(sa_column=moment())
    """By then every writer knows."""
    until: datetime = Field(sa_column=moment())


class Webhook(SQLModel, table=True):
    """An address of an account that is told what happens, and the secret that signs what it is told."""

    id: int | None = Field(default=None, primary_key=True)
    account_id: int = Field(sa_column=reference("account.id"))
    url: str = Field(sa_column=Column(Text, nullable=False))
    secret: str = Field(sa_column=Column(Text, nullable=False))
    events: list[str] = Field(
        default_factory=list, sa_column=Column(ARRAY(Text), nullable=False, server_default=text("'{}'"))
    )
    """The types of events it hears of; none: of all."""
    assets: list[int] = Field(default_factory=list, sa_column=numbers())
    """The assets that it hears of, with all below them; none: of all."""
    sensors: list[int] = Field(default_factory=list, sa_column=numbers())
    description: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=text("''")))
    active: bool = Field(default=True, sa_column_kwargs={"server_default": text("true")})
    old_secret: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    """The secret before this one, which signs too for a while."""
    old_secret_until: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    failing_since: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    """When the first of the attempts that have failed since the last success was made."""
    disabled_reason: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    """Why it was switched off, if nobody of the account did."""
    created_at: datetime = Field(default_factory=now, sa_column=moment(server_default=text("now()")))


class WebhookDelivery(SQLModel, table=True):
    """One attempt to tell a webhook of an event, and how it ended."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (Index("webhook_delivery_webhook_idx", "webhook_id", text("attempted_at desc")),)
    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True))
    webhook_id: int = Field(sa_column=reference("webhook.id", index=False))
    message_id: str = Field(sa_column=Column(Text, nullable=False))
    """What the receiver sees as `webhook-id`: the same in all attempts."""
    type: str = Field(sa_column=Column(Text, nullable=False))
    attempt: int = Field(sa_column=Column(Integer, nullable=False))
    status: int | None = None
    """The HTTP status it answered with, if it did."""
    error: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    """Why the attempt failed; empty if it did not."""
    seconds: float = Field(sa_column=Column(REAL, nullable=False))
    attempted_at: datetime = Field(default_factory=now, sa_column=moment(server_default=text("now()"), index=True))


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


class Upload(SQLModel, table=True):
    """How far the job that stores uploaded files is. Beside the job, whose row is locked while it ends."""

    job_id: UUID = Field(primary_key=True, foreign_key="job.id", ondelete="CASCADE")
    rows_total: int | None = None
    """Lines in the files; empty until they are counted, or where only reading tells."""
    rows_read: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    rows_stored: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})


class UploadChunk(SQLModel, table=True):
    """A part of an uploaded file, kept until the file is stored or refused."""

    __tablename__ = "upload_chunk"
    __table_args__ = (PrimaryKeyConstraint("job_id", "file", "position"),)
    job_id: UUID = Field(foreign_key="upload.job_id", ondelete="CASCADE")
    file: int = Field(sa_column=Column(Integer, nullable=False))
    position: int = Field(sa_column=Column(Integer, nullable=False))
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
