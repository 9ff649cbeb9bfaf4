"""Settings of a service, read from environment variables; a wrong one stops the start with one sentence."""

import sys
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from flexserve.logs import mask_text

PREFIX = "FLEXMESH_"


def _scheme(*allowed: str) -> AfterValidator:
    def check(url: str) -> str:
        if urlsplit(url).scheme not in allowed:
            raise ValueError(f"should start with {' or '.join(f'{scheme}://' for scheme in allowed)}")
        return url

    return AfterValidator(check)


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


DatabaseUrl = Annotated[str, _scheme("postgresql", "postgres")]
BrokerUrl = Annotated[str, _scheme("amqp", "amqps", "memory")]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)]
LogFormat = Annotated[Literal["auto", "json", "console"], BeforeValidator(_lower)]


class ServiceSettings(BaseSettings):
    """What every service is told. A service adds its own in a subclass."""

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


def load[S: ServiceSettings](cls: type[S], **values: Any) -> S:
    """The settings from `values` and the environment, or exit code 2 with a sentence per wrong one."""
    try:
        return cls(**values)
    except ValidationError as error:
        for problem in error.errors():
            print(_sentence(cls, problem), file=sys.stderr)
        raise SystemExit(2) from None


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def is_secret(field: FieldInfo) -> bool:
    return "SecretStr" in str(field.annotation)


def _sentence(cls: type[ServiceSettings], problem: Any) -> str:
    name = str(problem["loc"][0])
    field = cls.model_fields[name]
    if problem["type"] == "missing":
        return f"{variable(name)} is not set. {field.description}"
    shown = "***" if is_secret(field) else mask_text(repr(problem["input"]))
    wrong = problem["msg"].removeprefix("Value error, ")
    return f"{variable(name)} is {shown}: {wrong[:1].lower()}{wrong[1:]}. {field.description}"
