"""Any web service that answers with JSON: an address with the window in it, and where in the answer the values are."""

import asyncio
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import parse_qsl, urlsplit

import jmespath
from flexmodel.quantities import QuantityError, check_unit
from flexmodel.time import TimeError, zone
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, SecretStr, model_validator
from pydantic_core import to_json

from ingest.connectors import json_answers
from ingest.connectors.fetched import Fetched, Origin
from ingest.connectors.kinds import Ask, Offer, Puller, Settings
from ingest.connectors.placeholders import Placeholders, check_placeholders
from ingest.connectors.web import Answer

LONGEST_PATH = 500
SECRET_NAME = re.compile(
    r"(?i)^key$|api[-_]?key|access[-_]?key|token|secret|passw|auth(?!or(?!i[sz]))|appid|subscription-key|cookie"
)
"""Authors and authorities are none."""
HEADER_NAME = re.compile(r"[A-Za-z0-9-_]+")
CATCHES_UP = timedelta(days=7)


def check_path(text: str) -> str:
    if len(text) > LONGEST_PATH:
        raise ValueError(f"is longer than {LONGEST_PATH} characters")
    try:
        jmespath.compile(text)
    except JMESPathError as error:
        raise ValueError(f"is no JMESPath expression such as prices[*].value: {str(error).splitlines()[0]}") from error
    return text


def known_unit(text: str) -> str:
    try:
        return check_unit(text)
    except QuantityError as error:
        raise ValueError(str(error)) from error


def known_zone(text: str) -> str:
    try:
        zone(text)
    except TimeError as error:
        raise ValueError(str(error)) from error
    return text


def check_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("does not begin with https:// or http:// and the name of a server")
    if parts.username is not None:
        raise ValueError("has a name or a password in it: send them in a header, with the password as {token}")
    for name, value in parse_qsl(parts.query):
        check_secret_is_apart(name, value)
    return check_placeholders(text)


def check_secret_is_apart(name: str, value: str) -> None:
    """Addresses, headers and messages are shown to people, and written into the audit log. The token is not."""
    if SECRET_NAME.search(name) and "{token}" not in value:
        raise ValueError(f"'{name}' looks like a secret: write {{token}} for it here, and give it as the token")


def check_headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name) or not (value.isascii() and value.isprintable()):
            raise ValueError(f"'{name}' and what it says cannot be a header: only plain letters, figures and signs can")
        check_secret_is_apart(name, value)
    return headers


def check_body(body: JsonValue) -> JsonValue:
    if isinstance(body, dict):
        for name, value in body.items():
            if isinstance(value, str):
                check_secret_is_apart(name, value)
            check_body(value)
    elif isinstance(body, list):
        for part in body:
            check_body(part)
    return body


Path = Annotated[str, AfterValidator(check_path)]
"""A JMESPath expression."""
Text = Annotated[str, AfterValidator(check_placeholders)]
"""Text with placeholders in it."""
Span = Annotated[timedelta, Field(ge=timedelta(0), le=timedelta(days=366))]


class Wanted(BaseModel):
    """One series of the answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    values: Path
    """The list of its values; with `items`, the value within an item."""
    unit: Annotated[str, AfterValidator(known_unit)]


class HttpJsonSettings(Settings):
    url: Annotated[str, AfterValidator(check_url)] = Field(
        description="The address. {start} and {end} are the window, also as {start:%Y-%m-%d}; {token} is the token."
    )
    method: Literal["GET", "POST"] = "GET"
    headers: Annotated[dict[str, Text], AfterValidator(check_headers)] = Field(
        {}, description="Headers, with the same placeholders."
    )
    body: Annotated[JsonValue, AfterValidator(check_body)] = Field(
        None, description="JSON to send, with the same placeholders in its texts."
    )
    token: SecretStr | None = Field(None, description="A key or password, put where {token} stands.")
    series: dict[str, Wanted] = Field(min_length=1, description="By name: where its values are, and their unit.")
    items: Path | None = Field(None, description="The list of items that hold a time and a value each.")
    times: Path | None = Field(None, description="The list of times; with `items`, the time within an item.")
    start: Path | None = Field(None, description="Instead of `times`: the time of the first value.")
    resolution: Annotated[timedelta, Field(gt=timedelta(0))] | None = Field(
        None, description="How long a value lasts. Needed with `start`; else the times tell."
    )
    believed: Path | None = Field(None, description="When the service knew; else the time of asking.")
    timezone: Annotated[str, AfterValidator(known_zone)] = Field("UTC", description="Of times without an offset.")
    epoch: Literal["s", "ms"] = Field("s", description="What times that are numbers count since 1970.")
    past: Span = Field(timedelta(days=1), description="How far before today the window begins.")
    ahead: Span = Field(timedelta(days=2), description="How long after the beginning of today it ends.")
    source_type: Literal["gateway", "market", "forecaster"] = "gateway"

    @model_validator(mode="after")
    def check_shape(self) -> Self:
        if (self.times is None) == (self.start is None):
            raise ValueError("Give either `times`, or `start` and `resolution`.")
        if self.start is not None and (self.resolution is None or self.items is not None):
            raise ValueError("With `start`, give `resolution` and no `items`.")
        if not self.past and not self.ahead:
            raise ValueError("`past` and `ahead` leave no time to ask for.")
        if self.token is None and "{token}" in to_json((self.url, self.headers, self.body)).decode():
            raise ValueError("There is a place for {token}, but no token.")
        return self


class HttpJson(Puller[HttpJsonSettings]):
    name: ClassVar[str] = "http-json"
    about: ClassVar[str] = "Any series from any web service that answers with JSON."
    settings = HttpJsonSettings

    def series(self, settings: HttpJsonSettings) -> Sequence[Offer]:
        return [Offer(name, wanted.values, wanted.unit) for name, wanted in settings.series.items()]

    def origin(self, settings: HttpJsonSettings, connector: str, number: int) -> Origin:
        # Names of connectors are free, so two accounts may choose the same: the model keeps their sources apart.
        return Origin(connector, settings.source_type, f"connector {number}")

    def window(
        self, settings: HttpJsonSettings, now: datetime, last_success: datetime | None
    ) -> tuple[datetime, datetime]:
        today = now.astimezone(zone(settings.timezone)).replace(hour=0, minute=0, second=0, microsecond=0)
        start = today - settings.past
        if last_success is not None:
            start = min(start, max(last_success, now - CATCHES_UP))
        return start, today + settings.ahead

    async def fetch(self, settings: HttpJsonSettings, ask: Ask) -> Sequence[Fetched]:
        token = "" if settings.token is None else settings.token.get_secret_value()
        put_in = Placeholders(ask.start, ask.end, zone(settings.timezone), token)
        answer = await ask.web.ask(
            put_in.in_address(settings.url),
            method=settings.method,
            headers={name: put_in.in_text(text) for name, text in settings.headers.items()},
            json=None if settings.body is None else put_in.in_json(settings.body),
        )
        wanted = {name: each for name, each in settings.series.items() if name in ask.sensors}
        return await asyncio.to_thread(read_answer, answer.expect_success(), settings, wanted, ask)


def read_answer(answer: Answer, settings: HttpJsonSettings, wanted: dict[str, Wanted], ask: Ask) -> list[Fetched]:
    """The series in an answer."""
    content = json_answers.parse(answer.body)
    clock = json_answers.Clock(settings.timezone, settings.epoch)
    believed = ask.now if settings.believed is None else json_answers.moment(content, settings.believed, clock)
    found = []
    for name, each in wanted.items():
        paths = json_answers.Paths(settings.items, settings.times, settings.start, each.values)
        starts, values = json_answers.series(content, paths, clock, settings.resolution)
        found.append(Fetched(name, starts, values, each.unit, min(believed, ask.now), settings.resolution))
    return found
