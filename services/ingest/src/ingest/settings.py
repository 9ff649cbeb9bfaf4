"""Settings of the ingest service."""

from flexwork.settings import WorkerSettings
from pydantic import Field

MEGABYTE = 1_000_000


class IngestSettings(WorkerSettings):
    """Settings of ingest and its workers, in addition to the shared ones."""

    port: int = Field(5001, ge=0, le=65535, description="The port to listen on; 0 takes any free one.")
    database_connections: int = Field(10, ge=1, le=200, description="The most connections to the database at a time.")
    post_max_mb: float = Field(
        5.0, gt=0, description="The largest posted message, in megabytes. More values come as files."
    )
    post_max_events: int = Field(
        1_000_000, gt=0, description="The most events that one posted message may fill at the sensor's resolution."
    )
    upload_max_mb: float = Field(
        500.0, gt=0, description="The largest upload, in megabytes, all its files together. The same for the gateway."
    )
    upload_at_once_mb: float = Field(
        5.0, ge=0, description="Up to how many megabytes an upload is stored while its sender waits; more is a job."
    )
    upload_max_rows: int = Field(10_000_000, gt=0, description="The most rows, and the most values, in one file.")
    upload_max_unpacked_mb: float = Field(
        200.0, gt=0, description="How large an Excel file may be once it is unpacked, in megabytes."
    )
    upload_concurrency: int = Field(1, ge=1, le=16, description="How many uploads one worker process stores at a time.")
    worker_concurrency: int = Field(
        8, ge=1, le=256, description="How many connectors one worker process runs at a time; they mostly wait."
    )
    connector_timeout: float = Field(
        30.0, gt=0, le=60, description="Seconds that a connector waits for the whole of an answer."
    )
    connector_max_mb: float = Field(20.0, gt=0, description="The largest answer a connector takes, in megabytes.")
    connector_private_addresses: bool = Field(
        False,
        description="Whether connectors may ask private addresses (localhost, 10.0.0.0/8, …). Only where all who may "
        "add connectors may reach what is there.",
    )

    @property
    def post_max_bytes(self) -> int:
        return int(self.post_max_mb * MEGABYTE)

    @property
    def upload_max_bytes(self) -> int:
        return int(self.upload_max_mb * MEGABYTE)

    @property
    def upload_at_once_bytes(self) -> int:
        return int(self.upload_at_once_mb * MEGABYTE)

    @property
    def upload_max_unpacked_bytes(self) -> int:
        return int(self.upload_max_unpacked_mb * MEGABYTE)

    @property
    def connector_max_bytes(self) -> int:
        return int(self.connector_max_mb * MEGABYTE)
