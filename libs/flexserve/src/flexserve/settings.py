"""The settings of a service, from environment variables. An invalid one stops the start with a sentence."""

import sys
from collections.abc import Callable
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from flexserve.logs import mask_text

PREFIX = "FLEXMESH_"


def _scheme(*allowed: str) -> AfterValidator:
    def check(url: str) -> str:
        if urlsplit(url).scheme not in allowed:
            raise ValueError(f"should start with {' or '.join(f'{scheme}://' for scheme in allowed)}")
        return url

    return AfterValidator(check)


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


DatabaseUrl = Annotated[str, _scheme("postgresql", "postgres")]
BrokerUrl = Annotated[str, _scheme("amqp", "amqps", "memory")]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)]
LogFormat = Annotated[Literal["auto", "json", "console"], BeforeValidator(_lower)]


class ServiceSettings(BaseSettings):
    """The settings of every service. A service adds its own in a subclass."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)

    # URLs may carry a password, hence repr=False.
    database_url: DatabaseUrl = Field(
        "postgresql://flexmesh@localhost:5432/flexmesh",
        repr=False,
        description="The PostgreSQL or TimescaleDB database.",
    )
    broker_url: BrokerUrl = Field(
        "memory://",
        repr=False,
        description="The broker: `amqp://user:password@host:5672/vhost` (or `amqps://`) for RabbitMQ, `memory://` "
        "within one process. `?queue_prefix=x-` at its end puts `x-` before the name of every queue.",
    )
    broker_timeout: float = Field(
        5.0, gt=0, description="Seconds after which a message the broker has not confirmed counts as not sent."
    )
    log_level: LogLevel = Field("info", description="The least severe messages to log: debug, info, warning or error.")
    log_format: LogFormat = Field(
        "auto", description="json, console, or auto: console when the log goes to a terminal, json otherwise."
    )
    service_token: SecretStr | None = Field(
        None,
        min_length=16,
        description="The secret with which services trust each other: the same for all of them, 16 characters or more. "
        "Needed when they run as separate processes.",
    )
    host: str = Field("127.0.0.1", description="The address to listen on; `0.0.0.0` for all of IPv4.")
    port: int = Field(5000, ge=0, le=65535, description="The port to listen on; 0 takes any free one.")
    trusted_proxies: str = Field(
        "",
        description="Addresses and networks of proxies, with commas between them, whose `X-Forwarded-For` and "
        "`X-Forwarded-Proto` are believed: who asked, and whether over HTTPS. Empty: nobody's; `*`: all that can "
        "reach this port.",
    )
    max_body_mb: float = Field(32.0, gt=0, description="The largest request body that is accepted, in megabytes.")
    slow_client_guard: Annotated[Literal["auto", "on", "off"], BeforeValidator(_lower)] = Field(
        "auto",
        description="Whether to close connections of clients that are too slow; auto: unless `FLEXMESH_TRUSTED_PROXIES`"
        " names a proxy, which guards against them itself.",
    )
    slow_client_seconds: float = Field(
        20.0,
        gt=0,
        description="Seconds within which the headers of a request must arrive, its body must get going, and a client "
        "must go on reading its answer.",
    )
    slow_client_kb_per_second: float = Field(
        10.0,
        gt=0,
        description="The speed at which the body of a request must arrive at least, in kilobytes per second.",
    )
    worker_concurrency: int = Field(2, ge=1, le=256, description="How many jobs one worker process runs at a time.")
    readiness_timeout: float = Field(
        2.0, gt=0, description="Seconds within which the database and the broker must answer to count as ready."
    )
    shutdown_grace: float = Field(
        25.0,
        ge=0,
        description="Seconds that running requests and jobs get to finish after SIGTERM; then jobs are given back.",
    )
    sibling_timeout: float = Field(30.0, gt=0, description="Seconds to wait for the answer of another service.")

    @property
    def max_body_bytes(self) -> int:
        return int(self.max_body_mb * 1_000_000)


def load[S: ServiceSettings](cls: type[S], **values: object) -> S:
    """Load the settings from `values` and the environment. Exits with code 2 and a sentence per invalid one."""
    create: Callable[..., S] = cls  # pydantic checks the type of each value
    try:
        return create(**values)
    except ValidationError as error:
        for details in error.errors():
            print(_sentence(cls, details), file=sys.stderr)
        raise SystemExit(2) from None


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + name.upper()


def is_secret(field: FieldInfo) -> bool:
    """Return whether a setting holds a secret."""
    return "SecretStr" in str(field.annotation)


def _sentence(cls: type[ServiceSettings], details: ErrorDetails) -> str:
    name = str(details["loc"][0])
    field = cls.model_fields[name]
    if details["type"] == "missing":
        return f"{variable(name)} is not set. {field.description}"
    value = "***" if is_secret(field) else mask_text(repr(details["input"]))
    message = details["msg"].removeprefix("Value error, ")
    return f"{variable(name)} is {value}: {message[:1].lower()}{message[1:]}. {field.description}"
