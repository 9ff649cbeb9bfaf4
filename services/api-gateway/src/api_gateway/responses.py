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


class SecretOnceResponse(OrjsonResponse):
    """A response with a secret, which is sent once. Repetitions of the request get its `content` without the secret."""

    def __init__(self, content: Mapping[str, Any], secret: Mapping[str, str], status: int = 200) -> None:
        super().__init__({**content, **secret}, status)
        self.stored_body = self.render(content)


class NoContentResponse(Response):
    """A response without a body (204). It has a media type, because clients look at that before the status."""

    media_type = "application/json"

    def __init__(self) -> None:
        super().__init__(status_code=204)


class ApiError(Exception):
    """An error response. The body is complete, with its envelope."""

    def __init__(self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {body.get('message', '')}")
        self.status = status
        self.body = body
        self.headers = headers

    def response(self) -> OrjsonResponse:
        """Return the response."""
        return OrjsonResponse(self.body, self.status, self.headers)


def unauthorized() -> ApiError:
    """Return the error for a request without a valid token."""
    message = "You could not be properly authenticated for this content or functionality."
    return ApiError(401, {"message": message, "status": "UNAUTHORIZED"}, {"WWW-Authenticate": "Bearer"})


def forbidden(message: object = "You cannot be authorized for this content or functionality.") -> ApiError:
    """Return the error for a request that the caller may not make."""
    return ApiError(403, {"message": message, "result": "Rejected", "status": "INVALID_SENDER"})


def not_found(message: object) -> ApiError:
    """Return the error for something that does not exist."""
    return ApiError(404, {"message": message, "status": 404})


def bare_error(status: int, message: str) -> ApiError:
    """Return an error without an envelope, as web servers send them."""
    return ApiError(status, {"message": message, "status": status})


def unprocessable(message: object) -> ApiError:
    """Return the error for invalid input. `message` has the errors by field, nested as the endpoint does."""
    return ApiError(422, {"message": message, "result": "Rejected", "status": "UNPROCESSABLE_ENTITY"})


def unprocessable_field(where: str | None, field: str, sentence: str) -> ApiError:
    """Return the error for one invalid field."""
    return unprocessable(nest_under(where, {field: [sentence]}))


def nest_under(where: str | None, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the errors by field under the key `where`, if there is one."""
    return fields if where is None else {where: fields}


def error_lists(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested errors by field with every leaf as a list of sentences."""
    return {
        str(key): error_lists(value) if isinstance(value, Mapping) else sentences_of(value)
        for key, value in fields.items()
    }


def sentences_of(errors: object) -> list[str]:
    return [str(error) for error in errors] if isinstance(errors, list | tuple) else [str(errors)]


@contextmanager
def fields_under(where: str | None) -> Iterator[None]:
    """Turn `Invalid` raised in the block into an error response with its fields under `where`."""
    try:
        yield
    except Invalid as invalid:
        raise unprocessable(nest_under(where, error_lists(invalid.fields))) from invalid


def configuration_error(invalid: Invalid) -> ApiError:
    """Return the error for an invalid flex-model or flex-context, nested as its parser says."""
    fields = error_lists(invalid.fields)
    if invalid.where == "json":
        return unprocessable({"json": fields})
    return unprocessable(fields if invalid.where == "message" else all_sentences(fields))


def all_sentences(fields: Mapping[str, Any] | list[str]) -> list[str]:
    """Return all sentences of nested errors, without their fields."""
    if isinstance(fields, Mapping):
        return [sentence for value in fields.values() for sentence in all_sentences(value)]
    return list(fields)


def conflict(message: str) -> ApiError:
    """Return the error for a request that may succeed if it is repeated in a moment."""
    return ApiError(409, {"message": message, "result": "Rejected", "status": "CONFLICT"}, {"Retry-After": "1"})


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
        return forbidden(detail).response()
    if status == 405:
        return OrjsonResponse({"message": WRONG_METHOD, "status": 405}, 405, headers)
    if status == 422:
        message: object = error_lists(failure.fields) if failure.fields else detail
        return OrjsonResponse({"message": message, "result": "Rejected", "status": "UNPROCESSABLE_ENTITY"}, 422)
    if status == 413:
        body = {"message": detail, "result": "Rejected", "status": "PAYLOAD_TOO_LARGE"}
        return OrjsonResponse(body, 413, headers)
    return OrjsonResponse({"message": detail, "status": status}, status, headers)
