"""Strict JSON in request bodies: no NaN or infinity, no duplicate fields, and limits on size and depth."""

import json
import re
from collections import Counter
from typing import Annotated, Any

import orjson
from fastapi import Depends, Request
from flexcore.fields import DEEPEST, holds_nul, is_too_deep

from api_gateway.responses import ApiError, bare_error

STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+"[ \t\r\n]*(:?)')
"""Every string, and the colon behind it if it is the name of a field."""
MAX_PARTS = 200_000
"""The most objects and lists in a body: twice what a thousand devices with a day of values each need."""
MAX_ELEMENTS = 1_000_000
"""The most elements of all lists and fields of all objects together."""
MAX_SEARCHED = 1_000_000
"""The largest body in which a duplicate field is searched for its name, in bytes."""
MAX_FIELDS = 10_000
"""The most fields of one object. If they are all wrong, the response names each."""


class StrictJsonRequest(Request):
    """A request whose JSON body is parsed strictly."""

    async def json(self) -> object:
        """Return the parsed body.

        Raises:
            orjson.JSONDecodeError: The body is not valid JSON, or breaks one of the limits.
        """
        if not hasattr(self, "_json"):
            body = await self.body()
            parts = body.count(b"{") + body.count(b"[")
            if parts > MAX_PARTS:
                raise orjson.JSONDecodeError(f"it has more than {MAX_PARTS} objects and lists", "", 0)
            if body.count(b",") > MAX_ELEMENTS:
                raise orjson.JSONDecodeError(f"it has more than {MAX_ELEMENTS} elements", "", 0)
            self._json = orjson.loads(body)
            check_fields(self._json, body)
            if parts > DEEPEST and is_too_deep(self._json):
                raise nested_too_deeply()
            if b"\\u0000" in self._body and holds_nul(self._json):
                raise orjson.JSONDecodeError("the character NUL cannot be stored", "", self._body.find(b"\\u0000"))
        return self._json


def check_fields(parsed: object, body: bytes) -> None:
    """Check that no object has too many fields or a duplicate one, whose value would be ambiguous.

    The parsed objects hold every name once. If the body has more names, one of them is a duplicate.

    Raises:
        orjson.JSONDecodeError: An object has too many fields or a duplicate one.
    """
    fields = 0
    objects = body.count(b"{")  # or fewer, if there are such in texts
    waiting = [parsed]
    while waiting and objects:
        value = waiting.pop()
        if type(value) is dict:
            objects -= 1
            if len(value) > MAX_FIELDS:
                raise orjson.JSONDecodeError(f"an object has more than {MAX_FIELDS} fields", "", 0)
            fields += len(value)
            waiting += value.values()
        elif type(value) is list:
            waiting += [item for item in value if type(item) is dict or type(item) is list]
    if sum(map(bool, STRINGS.findall(body))) > fields:
        name = f"the field '{duplicate_field(body)}'" if len(body) <= MAX_SEARCHED else "a field"
        raise orjson.JSONDecodeError(f"{name} is there twice", "", 0)


class _Found(Exception):  # noqa: N818 - it is no error, but ends the search
    """The search has found something."""


def duplicate_field(body: bytes) -> str:
    """Return the first name that an object of the body has twice."""

    def find(fields: list[tuple[str, object]]) -> None:
        for name, count in Counter(name for name, _ in fields).items():
            if count > 1:
                raise _Found(name)

    try:
        json.loads(body, object_pairs_hook=find)
    except _Found as found:
        return str(found)
    raise AssertionError("there is no duplicate")


def nested_too_deeply() -> orjson.JSONDecodeError:
    """Return the error for JSON that is nested too deeply."""
    return orjson.JSONDecodeError(f"it is nested too deeply, more than {DEEPEST} levels", "", 0)


async def json_body(request: Request) -> object:
    """Return the JSON body, for routes that validate it elsewhere than in a model."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise unsupported_media_type(request)
    return await request.json()


JsonBody = Annotated[Any, Depends(json_body)]


def invalid_json(reason: str) -> ApiError:
    """Return the error for a body that is not valid JSON."""
    return bare_error(400, f"The body is not valid JSON: {reason}.")


def unsupported_media_type(request: Request) -> ApiError:
    """Return the error for a body that is not JSON."""
    sent = request.headers.get("content-type", "no Content-Type")
    return bare_error(415, f"Send JSON, with the header Content-Type: application/json (got {sent[:80]}).")
