"""Jobs and their results, the outbox, and uploaded files."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    Index,
    Integer,
    Interval,
    LargeBinary,
    PrimaryKeyConstraint,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from flexstore.tables.columns import foreign_key_column, json_column, now, timestamp_column

JOB_STATES = ("QUEUED", "STARTED", "DEFERRED", "FINISHED", "FAILED", "STOPPED", "CANCELED")


class JobTable(SQLModel, table=True):
    """A unit of work for a worker. This table is the source of truth; the broker only carries ids."""

    __tablename__ = "job"
    __table_args__ = (
        CheckConstraint(f"status in {JOB_STATES}", name="job_status_check"),
        Index("job_open_idx", "queue", "status", postgresql_where=text("status in ('QUEUED', 'STARTED')")),
        Index("job_request_hash_idx", "request_hash", text("created_at desc")),
    )
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    queue: str = Field(sa_column=Column(Text, nullable=False))
    """`schedule`, `forecast`, `ingest`, …: the name of the broker queue as well."""
    status: str = Field(default="QUEUED", sa_column=Column(Text, nullable=False, server_default=text("'QUEUED'")))
    account_id: int | None = Field(default=None, sa_column=foreign_key_column("account.id", nullable=True))
    user_id: int | None = Field(
        default=None, sa_column=foreign_key_column("users.id", on_delete="SET NULL", nullable=True)
    )
    asset_id: int | None = Field(
        default=None, sa_column=foreign_key_column("asset.id", on_delete="SET NULL", nullable=True)
    )
    sensor_id: int | None = Field(
        default=None, sa_column=foreign_key_column("sensor.id", on_delete="SET NULL", nullable=True)
    )
    request: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())
    """The validated request. It contains all that is needed to run the job."""
    request_hash: str | None = None
    result: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB, nullable=True))
    """The job result, as the API returns it."""
    info: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())
    """Further information about the run: scheduler_info, warnings, the inputs it depended on."""
    error: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    """The reason why it failed, as a sentence for the user."""
    traceback: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    trace_context: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())
    """W3C trace headers, so that one trace spans request, broker and worker."""
    attempts: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    claim: UUID | None = None
    """The claim token of the worker that runs it. Only its holder may finish it."""
    created_at: datetime = Field(default_factory=now, sa_column=timestamp_column(server_default=text("now()")))
    enqueued_at: datetime = Field(default_factory=now, sa_column=timestamp_column(server_default=text("now()")))
    sent_at: datetime = Field(default_factory=now, sa_column=timestamp_column(server_default=text("now()")))
    """The time at which a message for the job was last put in the outbox."""
    started_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    heartbeat_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    ended_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))


class ScheduleTable(SQLModel, table=True):
    """The values that one job scheduled for one sensor, in the sensor's unit and sign. Rows never change."""

    __tablename__ = "schedule"
    __table_args__ = (PrimaryKeyConstraint("job_id", "sensor_id"),)
    job_id: UUID = Field(foreign_key="job.id", ondelete="CASCADE")
    sensor_id: int = Field(sa_column=foreign_key_column("sensor.id"))
    start: datetime = Field(sa_column=timestamp_column())
    resolution: timedelta = Field(sa_column=Column(Interval, nullable=False))
    unit: str = Field(sa_column=Column(Text, nullable=False))
    consumption_positive: bool
    """True if consumption is positive in the stored values (always true for energy and SoC sensors)."""
    event_values: list[float] = Field(sa_column=Column(ARRAY(Float(53)), nullable=False))


class ExplanationTable(SQLModel, table=True):
    """The explanation of a job's schedule. Separate from the job, because it is large and rarely read."""

    __tablename__ = "explanation"
    job_id: UUID = Field(primary_key=True, foreign_key="job.id", ondelete="CASCADE")
    document: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))


class OutboxTable(SQLModel, table=True):
    """A message to send: written in the transaction that caused it, delivered by the relay afterwards."""

    __tablename__ = "outbox"
    __table_args__ = (Index("outbox_due_idx", "due_at"),)
    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True))
    topic: str = Field(sa_column=Column(Text, nullable=False))
    """`task:<queue>` for the broker, `webhook` for a webhook delivery, `mail` for an e-mail."""
    payload: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())
    headers: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())
    """W3C trace headers of the request or job that caused it."""
    created_at: datetime = Field(default_factory=now, sa_column=timestamp_column(server_default=text("now()")))
    due_at: datetime = Field(default_factory=now, sa_column=timestamp_column(server_default=text("now()")))
    attempts: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    last_error: str | None = Field(default=None, sa_column=Column(Text, nullable=True))


class UploadTable(SQLModel, table=True):
    """The progress of a job that stores uploaded files. Separate from the job, whose row is locked while it ends."""

    __tablename__ = "upload"
    job_id: UUID = Field(primary_key=True, foreign_key="job.id", ondelete="CASCADE")
    rows_total: int | None = None
    """The number of lines in the files. NULL until they are counted, or if they cannot be counted beforehand."""
    rows_read: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    rows_stored: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})


class UploadChunkTable(SQLModel, table=True):
    """A part of an uploaded file, kept until the file is stored or rejected."""

    __tablename__ = "upload_chunk"
    __table_args__ = (PrimaryKeyConstraint("job_id", "file", "position"),)
    job_id: UUID = Field(foreign_key="upload.job_id", ondelete="CASCADE")
    file: int = Field(sa_column=Column(Integer, nullable=False))
    position: int = Field(sa_column=Column(Integer, nullable=False))
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
