"""The contracts between the services: queues, messages, outbox topics, internal paths and headers.

Both sides of every exchange take these names from here, so that they cannot disagree. On the wire they are plain
strings and JSON objects.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class Queue(StrEnum):
    """The queues of the broker. A Celery task is named after its queue."""

    SCHEDULE = "schedule"
    FORECAST = "forecast"
    UPLOAD = "ingest"
    CONNECTOR = "connector"


class QueueMessage(BaseModel):
    """The arguments of a task, as they travel through the broker."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_payload(self) -> dict[str, Any]:
        """Return the message as JSON values."""
        return self.model_dump(mode="json")

    @classmethod
    def from_payload(cls, payload: Mapping[str, object]) -> Self:
        """Parse a message. Raises pydantic's ValidationError if it is another one."""
        return cls.model_validate(payload)


class JobMessage(QueueMessage):
    """The message of every queue whose work is in the job table: only the id of the job travels."""

    job: UUID


class ConnectorMessage(QueueMessage):
    """The message of the queue `connector`."""

    connector: int


JOB_KEY = "job"
"""The field of `JobMessage`, for SQL that looks into payloads."""

TASK_PREFIX = "task:"
"""The prefix of the outbox topics of tasks; the queue follows."""


class Topic(StrEnum):
    """The outbox topics besides those of tasks."""

    WEBHOOK = "webhook"
    MAIL = "mail"


def task_topic(queue: str) -> str:
    """Return the outbox topic of the tasks of a queue."""
    return TASK_PREFIX + queue


class MailMessage(QueueMessage):
    """A mail in the outbox."""

    to: str
    subject: str
    text: str


SENSOR_HEADER = "X-Flexmesh-Sensor"
"""The sensor of the path as JSON, as the gateway has just loaded it, so that it need not be loaded twice."""
FEEDABLE_HEADER = "X-Flexmesh-Feedable"
"""Whose sensors the user may feed: `all`, or ids of accounts and `public`, separated by commas."""

SENSOR_DATA_PATH = "/internal/sensors/{id}/data"
"""Posted values of one sensor, from the gateway to ingest."""
SENSOR_UPLOAD_PATH = "/internal/sensors/{id}/data/upload"
"""Files with values of one sensor, from the gateway to ingest."""
BATCH_PATH = "/internal/data"
"""Posted values of many sensors, from the gateway to ingest."""
UPLOAD_PATH = "/internal/data/upload"
"""Files with values of many sensors, from the gateway to ingest."""
OPTIMIZE_PATH = "/optimize"
"""A problem that brings all its data along, from the gateway to the scheduler."""
OPTIMIZE_KEY = "optimize"
"""The key of the request of a schedule job that holds such a problem."""
