"""Settings of the connector kind `mqtt`: the broker, and the topics of the series."""

from datetime import timedelta
from secrets import token_hex
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from ingest.connectors.connector_kind import ConnectorSettings, check_time_zone, check_unit_name
from ingest.connectors.json_series import JsonPath, TimeFormat
from ingest.connectors.mqtt.aggregation import Meaning

MAX_TOPIC_CHARACTERS = 500
PLAIN_PORT, TLS_PORT = 1883, 8883


def check_topic_filter(text: str) -> str:
    """Check a topic or topic filter: `+` is any one level, `#` at the end all that follow."""
    levels = text.split("/")
    if not text or len(text) > MAX_TOPIC_CHARACTERS or "\0" in text:
        raise ValueError(f"is empty, or longer than {MAX_TOPIC_CHARACTERS} characters")
    if any(("+" in level or "#" in level) and len(level) > 1 for level in levels) or "#" in levels[:-1]:
        raise ValueError("has + or # beside other characters, or # before the end: write meters/+/power or meters/#")
    return text


class MqttSeries(BaseModel):
    """Series of readings for one sensor: its topic, and the location and meaning of readings in messages."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    topic: Annotated[str, AfterValidator(check_topic_filter)]
    unit: Annotated[str, AfterValidator(check_unit_name)] = Field(description="Of readings that do not tell their own.")
    meaning: Meaning = "level"
    value: JsonPath | None = Field(
        None, description="Where in a JSON message the number is; else the message is a number."
    )
    items: JsonPath | None = Field(None, description="The list of readings, if a message holds several.")
    time: JsonPath | None = Field(None, description="When it was read; else when the message arrives.")
    unit_in: JsonPath | None = Field(None, description="Where the unit stands in the message.")
    timezone: Annotated[str, AfterValidator(check_time_zone)] = Field("UTC", description="Of times without an offset.")
    epoch: Literal["s", "ms"] = Field("s", description="What times that are numbers count since 1970.")
    time_is: Literal["start", "end"] = Field("start", description="Of the event, where a reading is a whole one.")
    longest_gap: Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(days=7))] = Field(
        timedelta(hours=1), description="How long a level holds, and a counter may be silent, without being unknown."
    )
    retained: bool = Field(False, description="Whether to take retained messages that do not tell when they were read.")

    @property
    def clock(self) -> TimeFormat:
        return TimeFormat(self.timezone, self.epoch)


class MqttSettings(ConnectorSettings):
    host: str = Field(pattern=r"^[A-Za-z0-9._:-]{1,253}$", description="The broker's name or address.")
    port: int | None = Field(None, ge=1, le=65535, description="Default: 8883 with TLS, 1883 without.")
    tls: bool = Field(False, description="Whether to encrypt, and to check that the broker is who it says it is.")
    ca: str | None = Field(None, description="Certificates to trust instead of the usual ones, in PEM.")
    certificate: str | None = Field(None, description="What the broker knows us by, in PEM; with `key`.")
    key: SecretStr | None = Field(None, description="The key of `certificate`, in PEM, without a password.")
    username: str | None = Field(None, max_length=500)
    password: SecretStr | None = None
    client_id: str = Field(
        default_factory=lambda: f"flexmesh-{token_hex(6)}",
        pattern=r"^[A-Za-z0-9._:/-]{1,128}$",
        description="The broker keeps what comes under this name while nobody listens. No other client may use it.",
    )
    qos: Literal[0, 1] = Field(1, description="1: what is published with QoS 1 or 2 is never lost. 0: it may be.")
    late: Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(days=31))] = Field(
        timedelta(days=1), description="How late readings may come. So long they are kept."
    )
    series: dict[str, MqttSeries] = Field(min_length=1, description="By name: the topic, and what its messages say.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.ca is not None and not self.tls:
            raise ValueError("`ca` is of use with `tls` only: set `tls` to true.")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("Give both `certificate` and `key`, or neither.")
        if self.certificate is not None and not self.tls:
            raise ValueError("`certificate` is of use with `tls` only: set `tls` to true.")
        if self.password is not None and self.username is None:
            raise ValueError("Give a `username` with the `password`.")
        return self

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port or (TLS_PORT if self.tls else PLAIN_PORT)
