"""The settings of the gateway."""

from datetime import timedelta
from typing import Literal

from flexserve.settings import ServiceSettings
from pydantic import Field


class GatewaySettings(ServiceSettings):
    """Settings of the gateway, in addition to the shared ones."""

    ingest_url: str = Field("http://localhost:5001", description="Where the ingest service listens.")
    scheduler_url: str = Field("http://localhost:5002", description="Where the scheduler listens.")
    public_url: str = Field("http://localhost:5000", description="The address under which people reach this platform.")
    database_connections: int = Field(10, ge=1, le=200, description="The most connections to the database at a time.")
    timezone: str = Field("UTC", description="The time zone of new sensors and users that name none.")
    naming_authority: str = Field(
        "2026-12.localhost",
        description="The part of sensors' entity addresses that names their owner: year-month.host.",
    )
    token_lifetime: timedelta = Field(timedelta(days=14), description="How long a login token can be used.")
    session_lifetime: timedelta = Field(timedelta(days=7), description="How long a browser stays logged in at most.")
    session_idle: timedelta = Field(
        timedelta(hours=12), description="How long a browser stays logged in without asking for anything."
    )
    secure_cookies: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Whether browsers send the session cookie over HTTPS only; auto: when they came over HTTPS (a proxy"
        " in FLEXMESH_TRUSTED_PROXIES may say so), or FLEXMESH_PUBLIC_URL begins with https.",
    )
    keys_per_account: int = Field(
        100, ge=0, description="API keys the users of one account may have together, unless it is set for the account."
    )
    shortest_password: int = Field(10, ge=8, le=64, description="The fewest characters of a new password.")
    reset_mails_per_hour: int = Field(
        5, ge=0, description="Mails with a link to choose a password that can be asked for one user; 0: no limit."
    )
    reset_lifetime: timedelta = Field(
        timedelta(days=2), description="How long a mailed link to choose a password works."
    )
    seen_every: timedelta = Field(
        timedelta(minutes=1), description="How often at most to note when a user was last seen."
    )
    triggers_per_minute: int = Field(
        60, ge=0, description="Schedules and forecasts one account may trigger per minute; 0: no limit."
    )
    patience: timedelta = Field(
        timedelta(milliseconds=500),
        ge=timedelta(0),
        le=timedelta(seconds=10),
        description="How long to wait for a job before answering that it is not finished.",
    )
    forecasts: bool = Field(False, description="Whether workers compute forecasts; without any, none are taken on.")
    failed_logins_per_user: int = Field(10, ge=0, description="Failed logins per minute for one user; 0: no limit.")
    failed_logins_per_address: int = Field(
        50, ge=0, description="Failed logins per minute from one address; 0: no limit."
    )
    longest_window_days: int = Field(366, ge=1, description="The longest window a schedule may be asked for, in days.")
    upload_max_mb: float = Field(
        500.0, gt=0, description="The largest upload, in megabytes, all its files together. The same for ingest."
    )
    most_values: int = Field(1_000_000, ge=1, description="The most values one request may read from a sensor.")
    most_values_streamed: int = Field(
        10_000_000, ge=1, description="The most steps that one request below `/api/v1` may read, of all its sensors."
    )
    event_streams_per_account: int = Field(
        100, ge=0, description="Clients of one account that may listen to events at a time, per gateway; 0: no limit."
    )
    webhooks_per_account: int = Field(20, ge=0, description="The most webhooks an account may have.")
