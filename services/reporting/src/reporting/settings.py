"""Settings of the reporting service."""

from datetime import timedelta

from flexcore.upkeep import KeepingTimes
from flexserve.settings import ServiceSettings
from pydantic import Field, SecretStr


class ReportingSettings(ServiceSettings):
    """Settings of the reporting service, in addition to the shared ones."""

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
    mail_host: str | None = Field(None, description="The SMTP server; without one, no mails are sent.")
    mail_to_stderr: bool = Field(
        False,
        description="Without an SMTP server, write mails to standard error, with the links to choose a password that "
        "are in them. `flexmesh up` does.",
    )
    mail_port: int = Field(587, ge=1, le=65535, description="The port of the SMTP server.")
    mail_user: str | None = Field(None, description="The user for the SMTP server.")
    mail_password: SecretStr | None = Field(None, description="The password for the SMTP server.")
    mail_from: str = Field("flexmesh@localhost", description="The sender of mails.")
    mail_tls: bool = Field(True, description="Whether to talk to the SMTP server over TLS.")
    retention: timedelta | None = Field(
        None,
        ge=timedelta(days=1),
        description="For how long values are kept, such as `P1095D`, unless their sensor or account says otherwise; "
        "without it, forever.",
    )
    compress_after: timedelta = Field(
        timedelta(days=7),
        ge=timedelta(0),
        description="How old events are when TimescaleDB compresses what is known of them. Later values still come in, "
        "but more slowly; `PT0S`: never compress.",
    )
    event_hours: float = Field(24.0, gt=0, description="Hours for which events are kept, for clients that reconnect.")
    events_kept: int = Field(1_000_000, ge=1, description="The most events to keep.")

    @property
    def keeping_times(self) -> KeepingTimes:
        """The times for which data are kept."""
        return KeepingTimes(
            values=self.retention,
            activities=timedelta(hours=self.event_hours),
            most_activities=self.events_kept,
            uncompressed=self.compress_after,
        )
