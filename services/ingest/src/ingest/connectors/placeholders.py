"""Addresses, headers and messages with places for the window to ask for and for a token."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any
from urllib.parse import quote

PLACE = re.compile(r"\{(start|end|token)(?::([^{}]*))?\}")
FORMS = ("s", "ms")
"""Seconds or milliseconds since 1970; other forms are those of strftime."""


def check_placeholders(text: str) -> str:
    """The text itself, unless it has places that are not known."""
    left = PLACE.sub("", text)
    if "{" in left or "}" in left:
        raise ValueError("has braces that are none of {start}, {end}, {token} or like {start:%Y-%m-%d}")
    for name, form in PLACE.findall(text):
        if form and (name == "token" or (form not in FORMS and "%" not in form)):
            raise ValueError(f"{{{name}:{form}}} is none of {{start:%Y-%m-%d}}, {{start:s}} and {{start:ms}}")
    return text


@dataclass(frozen=True, slots=True)
class Placeholders:
    """What is put in, in the time zone of the service."""

    start: datetime
    end: datetime
    zone: tzinfo
    token: str

    def in_text(self, text: str) -> str:
        return PLACE.sub(lambda place: self._value(*place.groups()), text)

    def in_address(self, text: str) -> str:
        """With what is put in quoted, so that it stays where it belongs."""
        return PLACE.sub(lambda place: quote(self._value(*place.groups()), safe=""), text)

    def in_json(self, content: Any) -> Any:
        """All texts in it."""
        if isinstance(content, str):
            return self.in_text(content)
        if isinstance(content, list):
            return [self.in_json(item) for item in content]
        if isinstance(content, dict):
            return {name: self.in_json(item) for name, item in content.items()}
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
