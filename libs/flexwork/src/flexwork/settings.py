"""Settings of services that run workers."""

from flexserve.settings import ServiceSettings
from pydantic import Field


class WorkerSettings(ServiceSettings):
    """Settings of a service with workers, in addition to the shared ones."""

    database_connections: int = Field(5, ge=1, le=200, description="The most connections to the database at a time.")
