"""Settings of the reporting service."""

from flexserve.settings import ServiceSettings
from pydantic import Field


class ReportingSettings(ServiceSettings):
    port: int = Field(5003, ge=0, le=65535, description="The port to listen on; 0 takes any free one.")
    database_connections: int = Field(10, ge=2, le=200, description="The most connections to the database at a time.")
    webhook_timeout: float = Field(
        10.0, gt=0, le=60, description="Seconds that a webhook may take to answer. After that the attempt has failed."
    )
    webhook_attempts: int = Field(
        16,
        ge=1,
        le=100,
        description="How often a message is tried before it is given up: 16 times are about five hours.",
    )
    webhook_longest_wait: float = Field(3600.0, gt=0, description="Seconds between two attempts at most.")
    webhook_private_addresses: bool = Field(
        False,
        description="Whether webhooks may be at private addresses (localhost, 10.0.0.0/8, …). Only where all users of "
        "the platform may reach what is there: whoever adds a webhook decides where it sends.",
    )
    webhook_disable_after_days: int = Field(
        5, ge=1, le=365, description="A webhook to which nothing could be delivered for so many days is disabled."
    )
    webhook_log_days: float = Field(30.0, gt=0, description="Days for which attempts to deliver are kept in the log.")
