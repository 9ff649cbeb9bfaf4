"""Responses of the gateway, and errors in the envelopes of `/api/v3_0` that existing clients expect."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flexmodel.errors import Invalid
from flexserve.errors import Failure
from flexserve.responses import OrjsonResponse
from starlette.responses import Response
from starlette.types import Scope

PROCESSED = {"message": "Request has been processed.", "status": "PROCESSED"}


class ShownOnce(OrjsonResponse):
    """A response with a secret, which is sent once. Repetitions of the request get its `content` without the secret."""

    def __init__(self, content: Mapping[str, Any], secret: Mapping[str, str], status: int = 200) -> None:
        super().__init__({**content, **secret}, status)
        self.stored_body = self.render(content)


class Empty(Response):
    """A response without a body (204). It has a media type, because clients look at that before the status."""

    media_type = "application/json"

    def __init__(self) -> None:
        super().__init__(status_code=204)


class Rejected(Exception):  # noqa: N818 - renamed below
    """An error response. The body is complete, with its envelope."""

    def __init__(self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {body.get('message', '')}")
        self.status = status
        self.body = body
        self.headers = headers

    def answer(self) -> OrjsonResponse:
        """Return the response."""
        return OrjsonResponse(self.body, self.status, self.headers)


def unauthorized() -> Rejected:
    """Return the error for a request without a valid token."""
    message = "You could not be properly authenticated for this content or functionality."
    return Rejected(401, {"message": message, "status": "UNAUTHORIZED"}, {"WWW-Authenticate": "Bearer"})


def forbidden(message: Any = "You cannot be authorized for this content or functionality.") -> Rejected:
    """Return the error for a request that the caller may not make."""
    return Rejected(403, {"message": message, "result": "Rejected", "status": "INVALID_SENDER"})


def not_found(message: Any) -> Rejected:
    """Return the error for something that does not exist."""
    return Rejected(404, {"message": message, "status": 404})


def plain(status: int, message: str) -> Rejected:
    """Return an error without an envelope, as web servers send them."""
    return Rejected(status, {"message": message, "status": status})


def unprocessable(message: Any) -> Rejected:
    """Return the error for invalid input. `message` has the errors by field, nested as the endpoint does."""
    return Rejected(422, {"message": message, "result": "Rejected", "status": "UNPROCESSABLE_ENTITY"})


def unprocessable_field(where: str | None, field: str, sentence: str) -> Rejected:
    """Return the error for one invalid field."""
    return unprocessable(nested(where, {field: [sentence]}))


def nested(where: str | None, fields: Any) -> Any:
    """Return the errors by field under the key `where`, if there is one."""
    return fields if where is None else {where: fields}


def problem_lists(fields: Any) -> Any:
    """Return nested errors by field with every leaf as a list of sentences."""
    if isinstance(fields, Mapping):
        return {str(key): problem_lists(value) for key, value in fields.items()}
    return [str(item) for item in fields] if isinstance(fields, list | tuple) else [str(fields)]


@contextmanager
def fields_under(where: str | None) -> Iterator[None]:
    """Turn `Invalid` raised in the block into an error response with its fields under `where`."""
    try:
        yield
    except Invalid as invalid:
        raise unprocessable(nested(where, problem_lists(invalid.fields))) from invalid


def misread(invalid: Invalid) -> Rejected:
    """Return the error for an invalid flex-model or flex-context, nested as its parser says."""
    fields = problem_lists(invalid.fields)
    if invalid.where == "json":
        return unprocessable({"json": fields})
    return unprocessable(fields if invalid.where == "message" else sentences(fields))


def sentences(fields: Any) -> list[str]:
    """Return all sentences of nested errors, without their fields."""
    if isinstance(fields, Mapping):
        return [sentence for value in fields.values() for sentence in sentences(value)]
    return list(fields)


def conflict(message: str) -> Rejected:
    """Return the error for a request that may succeed if it is repeated in a moment."""
    return Rejected(409, {"message": message, "result": "Rejected", "status": "CONFLICT"}, {"Retry-After": "1"})


UNKNOWN_PATH = (
    "The requested URL was not found on the server. If you entered the URL manually please check your spelling and try "
    "again."
)
WRONG_METHOD = "The method is not allowed for the requested URL."


def envelope(failure: Failure, scope: Scope) -> Response:
    """Return a failure in the envelope that existing clients expect. The error style of `/api`."""
    status, detail, headers = failure.status, failure.detail, failure.headers
    if status == 404 and "endpoint" not in scope:
        return OrjsonResponse({"message": UNKNOWN_PATH, "status": 404}, 404)
    if status == 403:
        return forbidden(detail).answer()
    if status == 405:
        return OrjsonResponse({"message": WRONG_METHOD, "status": 405}, 405, headers)
    if status == 422:
        message: Any = problem_lists(failure.fields) if failure.fields else detail
        return OrjsonResponse({"message": message, "result": "Rejected", "status": "UNPROCESSABLE_ENTITY"}, 422)
    if status == 413:
        body = {"message": detail, "result": "Rejected", "status": "PAYLOAD_TOO_LARGE"}
        return OrjsonResponse(body, 413, headers)
    return OrjsonResponse({"message": detail, "status": status}, status, headers)
