"""Error responses: RFC 9457 problem details, or the style of a path."""

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
from pydantic_core import ErrorDetails
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
    """A failed request, before an error style makes a response of it."""

    status: int
    detail: str
    fields: Mapping[str, Any] | None = None
    """The validation errors by field, nested like the input."""
    headers: Mapping[str, str] = field(default_factory=dict)
    error: Exception | None = None
    unexpected: bool = False
    """No code expects this error, so it is a bug."""


ErrorStyle = Callable[[Failure, Scope], Response]


def problem_details(failure: Failure, scope: Scope) -> Response:
    """Return the failure as `application/problem+json` (RFC 9457)."""
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
    """The error style of each path prefix; RFC 9457 where none is set."""

    def __init__(self, by_prefix: Mapping[str, ErrorStyle] | None = None) -> None:
        prefixes = {prefix.rstrip("/"): style for prefix, style in (by_prefix or {}).items()}
        self._styles = sorted(prefixes.items(), key=lambda item: -len(item[0]))

    def response(self, failure: Failure, scope: Scope) -> Response:
        """Return the failure in the style of the request's path."""
        path: str = scope["path"]
        for prefix, style in self._styles:
            if path == prefix or path.startswith(f"{prefix}/"):
                return style(failure, scope)
        return problem_details(failure, scope)

    def install(self, app: FastAPI) -> None:
        """Register the handlers of all expected errors with the application."""

        def handle(request: Request, error: Exception) -> Response:
            return self.response(failure_of(error), request.scope)

        for error_type in (FlexmeshError, HTTPException, RequestValidationError):
            app.add_exception_handler(error_type, handle)


def failure_of(error: Exception) -> Failure:
    """Return the failure that an exception means. An unexpected one reveals nothing of its cause to the client."""
    if isinstance(error, FlexmeshError):
        status = next(STATUS_BY_ERROR[cls] for cls in type(error).__mro__ if cls in STATUS_BY_ERROR)
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
    """Return FastAPI's validation errors by field, without the part of the request (body, query, …) they were in."""
    fields: dict[str, Any] = {}
    for item in error.errors():
        location, path = str(item["loc"][0]), [str(step) for step in item["loc"][1:]]
        if item["type"] == "json_invalid":
            path, message = ["body"], f"not valid JSON: {item['ctx']['error']} at character {item['loc'][-1]}"
        else:
            message = _message(item) + _got_suffix(path, item)
        _add_message(fields, path or [location], message)
    return Invalid(fields)


def raise_for_status(status: int, content: bytes, headers: Mapping[str, str], request: str) -> None:
    """Raise the error that another service returned as problem details.

    Args:
        status: The status of its response; nothing is raised below 400.
        content: The body of its response.
        headers: The headers of its response, by names in lower case.
        request: The method and path of the request, for the error message.
    """
    if status < 400:
        return
    try:
        body = orjson.loads(content)
    except ValueError:
        body = {}
    body = body if isinstance(body, dict) else {}
    detail = body.get("detail") or f"{request}: {_phrase(status)}"
    if status == 503:
        raise Unavailable("service", detail, float(headers.get("retry-after", 2)))
    if status == 422:
        raise Invalid(body.get("fields") or {}, detail)
    for error_type, error_status in STATUS_BY_ERROR.items():
        if error_status == status:
            raise error_type(detail)
    # 401 means that our own service token is wrong, which the client cannot mend.
    is_internal = status == 401 or status >= 500
    raise HTTPException(502 if is_internal else status, detail)


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus else "Error"


def _message(item: ErrorDetails) -> str:
    """Return pydantic's message. The items of a text, as pydantic calls them, become characters."""
    text: str = item["msg"].removeprefix("Value error, ")
    if item["type"] in ("too_long", "too_short") and isinstance(item["input"], str):
        return re.sub("items? after validation", "characters", text)
    return text


def _got_suffix(path: list[str], item: ErrorDetails) -> str:
    """Return the invalid value in brackets, unless it is missing, structured or secret."""
    value = item.get("input")
    printable = isinstance(value, str | int | float | bool) and not any(logs.is_secret(step) for step in path)
    return f" (got {str(value)[:100]!r})" if printable and item["type"] != "missing" else ""


def _add_message(fields: dict[str, Any], path: list[str], message: str) -> None:
    """Add a message at a nested place. A field that already has messages of its own keeps them."""
    for step in path[:-1]:
        inner = fields.setdefault(step, {})
        if not isinstance(inner, dict):
            inner.append(message)
            return
        fields = inner
    messages = fields.setdefault(path[-1], [])
    if isinstance(messages, list):
        messages.append(message)
