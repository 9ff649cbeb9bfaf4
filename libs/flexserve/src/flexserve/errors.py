"""What an HTTP caller is told when something goes wrong: RFC 9457 problems, or the style of a path's own."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from math import ceil
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from flexmodel.errors import Conflict, FlexmeshError, Forbidden, Invalid, NotFound, Unavailable
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from flexserve import logs
from flexserve.responses import OrjsonResponse

STATUS_BY_ERROR: dict[type[Exception], int] = {
    Invalid: 422,
    NotFound: 404,
    Forbidden: 403,
    Conflict: 409,
    Unavailable: 503,
    FlexmeshError: 400,
}


@dataclass(frozen=True)
class Failure:
    """A request that failed, before it is put into words for the caller."""

    status: int
    detail: str
    fields: Mapping[str, Any] | None = None
    """Per field what is wrong with it, nested like the input."""
    headers: Mapping[str, str] = field(default_factory=dict)
    error: Exception | None = None
    unexpected: bool = False
    """Nobody thought of this error, so it is a mistake of ours."""


ErrorStyle = Callable[[Failure, Scope], Response]


def problem_details(failure: Failure, scope: Scope) -> Response:
    """The failure as `application/problem+json`."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": _phrase(failure.status),
        "status": failure.status,
        "detail": failure.detail,
        "instance": scope["path"],
    }
    if failure.fields:
        body["fields"] = failure.fields
    if request_id := logs.current("request_id"):
        body["request_id"] = request_id
    return OrjsonResponse(body, failure.status, dict(failure.headers), media_type="application/problem+json")


class ErrorStyles:
    """Which style answers below which path; RFC 9457 where none is named."""

    def __init__(self, by_prefix: Mapping[str, ErrorStyle] | None = None) -> None:
        prefixes = {prefix.rstrip("/"): style for prefix, style in (by_prefix or {}).items()}
        self._styles = sorted(prefixes.items(), key=lambda item: -len(item[0]))

    def response(self, failure: Failure, scope: Scope) -> Response:
        path: str = scope["path"]
        for prefix, style in self._styles:
            if path == prefix or path.startswith(f"{prefix}/"):
                return style(failure, scope)
        return problem_details(failure, scope)

    def install(self, app: FastAPI) -> None:
        def handle(request: Request, error: Exception) -> Response:
            return self.response(failure_of(error), request.scope)

        for kind in (FlexmeshError, HTTPException, RequestValidationError):
            app.add_exception_handler(kind, handle)


def failure_of(error: Exception) -> Failure:
    """Read an exception as a failure. What we did not foresee tells the caller nothing of our insides."""
    if isinstance(error, FlexmeshError):
        status = next(STATUS_BY_ERROR[kind] for kind in type(error).__mro__ if kind in STATUS_BY_ERROR)
        fields = error.fields if isinstance(error, Invalid) else None
        headers = {"Retry-After": str(ceil(error.retry_after))} if isinstance(error, Unavailable) else {}
        return Failure(status, error.message, fields, headers, error)
    if isinstance(error, RequestValidationError):
        invalid = invalid_from_validation(error)
        return Failure(422, invalid.message, invalid.fields, error=error)
    if isinstance(error, HTTPException):
        fields = error.detail if isinstance(error.detail, Mapping) else None
        detail = _phrase(error.status_code) if fields is not None else str(error.detail)
        return Failure(error.status_code, detail, fields, error.headers or {}, error)
    detail = "Something went wrong on our side. It is logged under the request id of this answer."
    return Failure(500, detail, error=error, unexpected=True)


def invalid_from_validation(error: RequestValidationError) -> Invalid:
    """FastAPI's list of problems as fields, without the part of the request (body, query, …) they were in."""
    fields: dict[str, Any] = {}
    for item in error.errors():
        location, path = str(item["loc"][0]), [str(step) for step in item["loc"][1:]]
        if item["type"] == "json_invalid":
            path, message = ["body"], f"not valid JSON: {item['ctx']['error']} at character {item['loc'][-1]}"
        else:
            message = _message(item) + _got_suffix(path, item)
        _add_message(fields, path or [location], message)
    return Invalid(fields)


def raise_for_status(status: int, content: bytes, headers: Mapping[str, str], asked: str) -> None:
    """Raise again what another of our services answered as a problem to what it was asked."""
    if status < 400:
        return
    try:
        body = orjson.loads(content)
    except ValueError:
        body = {}
    body = body if isinstance(body, dict) else {}
    detail = body.get("detail") or f"{asked}: {_phrase(status)}"
    if status == 503:
        raise Unavailable("service", detail, float(headers.get("retry-after", 2)))
    if status == 422:
        raise Invalid(body.get("fields") or {}, detail)
    for kind, its_status in STATUS_BY_ERROR.items():
        if its_status == status:
            raise kind(detail)
    # 401 means that our own service token is wrong: nothing the caller could mend.
    ours = status == 401 or status >= 500
    raise HTTPException(502 if ours else status, detail)


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus else "Error"


def _message(item: Any) -> str:
    """What is wrong, in pydantic's words; but what it calls items of a text are characters."""
    text: str = item["msg"].removeprefix("Value error, ")
    if item["type"] in ("too_long", "too_short") and isinstance(item["input"], str):
        return re.sub("items? after validation", "characters", text)
    return text


def _got_suffix(path: list[str], item: Any) -> str:
    value = item.get("input")
    shown = isinstance(value, str | int | float | bool) and not any(logs.is_secret(step) for step in path)
    return f" (got {str(value)[:100]!r})" if shown and item["type"] != "missing" else ""


def _add_message(fields: dict[str, Any], path: list[str], message: str) -> None:
    """Add a message at a nested place; a place that has messages of its own keeps those."""
    for step in path[:-1]:
        inner = fields.setdefault(step, {})
        if not isinstance(inner, dict):
            inner.append(message)
            return
        fields = inner
    messages = fields.setdefault(path[-1], [])
    if isinstance(messages, list):
        messages.append(message)
