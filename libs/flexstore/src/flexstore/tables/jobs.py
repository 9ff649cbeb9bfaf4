"""Work: jobs and what came of them, messages on their way, files that wait to be read."""

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

from flexstore.tables.columns import document, moment, now, reference

JOB_STATES = ("QUEUED", "STARTED", "DEFERRED", "FINISHED", "FAILED", "STOPPED", "CANCELED")


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
