"""The kind `http-json`: series of any web service with JSON responses, located by JMESPath."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import parse_qsl, quote, urlsplit

from flexmodel.time import zone
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, SecretStr, model_validator
from pydantic_core import to_json

from ingest.connectors import json_series
from ingest.connectors.connector_kind import (
    ConnectorSettings,
    FetchRequest,
    OfferedSeries,
    PollingKind,
    check_time_zone,
    check_unit_name,
)
from ingest.connectors.fetched_series import FetchedSeries, SeriesSource
from ingest.connectors.http_client import HttpResponse
from ingest.connectors.json_series import JsonPath

SECRET_NAME = re.compile(
    r"(?i)^key$|api[-_]?key|access[-_]?key|token|secret|passw|auth(?!or(?!i[sz]))|appid|subscription-key|cookie"
)
"""Names of parameters and headers that probably hold secrets. Author and authority do not match."""
HEADER_NAME = re.compile(r"[A-Za-z0-9-_]+")
PLACEHOLDER = re.compile(r"\{(start|end|token)(?::([^{}]*))?\}")
EPOCH_FORMATS = ("s", "ms")
"""Formats in seconds or milliseconds since 1970; others are those of strftime."""
MAX_CATCH_UP = timedelta(days=7)


def check_placeholders(text: str) -> str:
    """Refuse a text with unknown placeholders, else return it."""
    left = PLACEHOLDER.sub("", text)
    if "{" in left or "}" in left:
        raise ValueError("has braces that are none of {start}, {end}, {token} or like {start:%Y-%m-%d}")
    for name, form in PLACEHOLDER.findall(text):
        if form and (name == "token" or (form not in EPOCH_FORMATS and "%" not in form)):
            raise ValueError(f"{{{name}:{form}}} is none of {{start:%Y-%m-%d}}, {{start:s}} and {{start:ms}}")
    return text


@dataclass(frozen=True, slots=True)
class Placeholders:
    """Values of the placeholders, in the time zone of the service."""

    start: datetime
    end: datetime
    zone: tzinfo
    token: str

    def fill_text(self, text: str) -> str:
        return PLACEHOLDER.sub(lambda place: self._value(*place.groups()), text)

    def fill_url(self, text: str) -> str:
        """Fill in a URL, with quoted values."""
        return PLACEHOLDER.sub(lambda place: quote(self._value(*place.groups()), safe=""), text)

    def fill_json(self, content: JsonValue) -> JsonValue:
        """Fill in all texts of a JSON value."""
        if isinstance(content, str):
            return self.fill_text(content)
        if isinstance(content, list):
            return [self.fill_json(item) for item in content]
        if isinstance(content, dict):
            return {name: self.fill_json(item) for name, item in content.items()}
        return content

    def _value(self, name: str, form: str | None) -> str:
        if name == "token":
            return self.token
        moment = self.start if name == "start" else self.end
        if form == "s":
            return str(int(moment.timestamp()))
        if form == "ms":
            return str(int(moment.timestamp() * 1000))
        if form:
            return moment.astimezone(self.zone).strftime(form)
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def check_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("does not begin with https:// or http:// and the name of a server")
    if parts.username is not None:
        raise ValueError("has a name or a password in it: send them in a header, with the password as {token}")
    for name, value in parse_qsl(parts.query):
        check_no_secret(name, value)
    return check_placeholders(text)


def check_no_secret(name: str, value: str) -> None:
    """Refuse a literal secret. URLs, headers and bodies are shown and written into the audit log; the token is not."""
    if SECRET_NAME.search(name) and "{token}" not in value:
        raise ValueError(f"'{name}' looks like a secret: write {{token}} for it here, and give it as the token")


def check_headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name) or not (value.isascii() and value.isprintable()):
            raise ValueError(f"'{name}' and what it says cannot be a header: only plain letters, figures and signs can")
        check_no_secret(name, value)
    return headers


def check_body(body: JsonValue) -> JsonValue:
    if isinstance(body, dict):
        for name, value in body.items():
            if isinstance(value, str):
                check_no_secret(name, value)
            check_body(value)
    elif isinstance(body, list):
        for part in body:
            check_body(part)
    return body


TextWithPlaceholders = Annotated[str, AfterValidator(check_placeholders)]
"""Text with placeholders in it."""
WindowSpan = Annotated[timedelta, Field(ge=timedelta(0), le=timedelta(days=366))]


class JsonSeries(BaseModel):
    """One series of the answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    values: JsonPath
    """The list of its values; with `items`, the value within an item."""
    unit: Annotated[str, AfterValidator(check_unit_name)]


class HttpJsonSettings(ConnectorSettings):
    url: Annotated[str, AfterValidator(check_url)] = Field(
        description="The address. {start} and {end} are the window, also as {start:%Y-%m-%d}; {token} is the token."
    )
    method: Literal["GET", "POST"] = "GET"
    headers: Annotated[dict[str, TextWithPlaceholders], AfterValidator(check_headers)] = Field(
        {}, description="Headers, with the same placeholders."
    )
    body: Annotated[JsonValue, AfterValidator(check_body)] = Field(
        None, description="JSON to send, with the same placeholders in its texts."
    )
    token: SecretStr | None = Field(None, description="A key or password, put where {token} stands.")
    series: dict[str, JsonSeries] = Field(min_length=1, description="By name: where its values are, and their unit.")
    items: JsonPath | None = Field(None, description="The list of items that hold a time and a value each.")
    times: JsonPath | None = Field(None, description="The list of times; with `items`, the time within an item.")
    start: JsonPath | None = Field(None, description="Instead of `times`: the time of the first value.")
    resolution: Annotated[timedelta, Field(gt=timedelta(0))] | None = Field(
        None, description="How long a value lasts. Needed with `start`; else the times tell."
    )
    believed: JsonPath | None = Field(None, description="When the service knew; else the time of asking.")
    timezone: Annotated[str, AfterValidator(check_time_zone)] = Field("UTC", description="Of times without an offset.")
    epoch: Literal["s", "ms"] = Field("s", description="What times that are numbers count since 1970.")
    past: WindowSpan = Field(timedelta(days=1), description="How far before today the window begins.")
    ahead: WindowSpan = Field(timedelta(days=2), description="How long after the beginning of today it ends.")
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


class HttpJson(PollingKind[HttpJsonSettings]):
    name: ClassVar[str] = "http-json"
    about: ClassVar[str] = "Any series from any web service that answers with JSON."
    settings = HttpJsonSettings

    def series(self, settings: HttpJsonSettings) -> Sequence[OfferedSeries]:
        return [OfferedSeries(name, series.values, series.unit) for name, series in settings.series.items()]

    def source(self, settings: HttpJsonSettings, connector: str, number: int) -> SeriesSource:
        # Two accounts may choose the same name for a connector: the model keeps their sources apart.
        return SeriesSource(connector, settings.source_type, f"connector {number}")

    def window(
        self, settings: HttpJsonSettings, now: datetime, last_success: datetime | None
    ) -> tuple[datetime, datetime]:
        today = now.astimezone(zone(settings.timezone)).replace(hour=0, minute=0, second=0, microsecond=0)
        start = today - settings.past
        if last_success is not None:
            start = min(start, max(last_success, now - MAX_CATCH_UP))
        return start, today + settings.ahead

    async def fetch(self, settings: HttpJsonSettings, request: FetchRequest) -> Sequence[FetchedSeries]:
        token = "" if settings.token is None else settings.token.get_secret_value()
        placeholders = Placeholders(request.start, request.end, zone(settings.timezone), token)
        response = await request.http.request(
            placeholders.fill_url(settings.url),
            method=settings.method,
            headers={name: placeholders.fill_text(text) for name, text in settings.headers.items()},
            json=None if settings.body is None else placeholders.fill_json(settings.body),
        )
        series = {name: item for name, item in settings.series.items() if name in request.sensors}
        return await asyncio.to_thread(parse_response, response.expect_success(), settings, series, request)


def parse_response(
    response: HttpResponse, settings: HttpJsonSettings, series: dict[str, JsonSeries], request: FetchRequest
) -> list[FetchedSeries]:
    """Parse the series of a response."""
    content = json_series.parse_json(response.body)
    time_format = json_series.TimeFormat(settings.timezone, settings.epoch)
    belief_time = (
        request.now if settings.believed is None else json_series.search_time(content, settings.believed, time_format)
    )
    fetched = []
    for name, item in series.items():
        paths = json_series.SeriesPaths(settings.items, settings.times, settings.start, item.values)
        starts, values = json_series.extract_series(content, paths, time_format, settings.resolution)
        fetched.append(
            FetchedSeries(name, starts, values, item.unit, min(belief_time, request.now), settings.resolution)
        )
    return fetched
