"""The answers of `/api/v3_0`: bodies, statuses and envelopes as existing clients expect them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flexmodel.errors import Invalid
from flexserve.responses import OrjsonResponse
from starlette.responses import Response

PROCESSED = {"message": "Request has been processed.", "status": "PROCESSED"}


class Json(OrjsonResponse):
    """A JSON answer. Text that PostgreSQL already made may be put in as `orjson.Fragment`."""

    def __init__(self, content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(content, status, headers)


class ShownOnce(Json):
    """An answer with a secret in it. Of it nothing is kept for who repeats the request but what is in `content`."""

    def __init__(self, content: Mapping[str, Any], secret: Mapping[str, str], status: int = 200) -> None:
        super().__init__({**content, **secret}, status)
        self.kept = self.render(content)


class Empty(Response):
    """204. It names its media type because clients look at it before they look at the status."""

    media_type = "application/json"

    def __init__(self) -> None:
        super().__init__(status_code=204)


class Rejected(Exception):  # noqa: N818  it is an answer, not a mishap
    """A request that is answered with an error; the body is complete."""

    def __init__(self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {body.get('message', '')}")
        self.status = status
        self.body = body
        self.headers = headers

    def answer(self) -> Json:
        return Json(self.body, self.status, self.headers)


def unauthorized() -> Rejected:
    message = "You could not be properly authenticated for this content or functionality."
    return Rejected(401, {"message": message, "status": "UNAUTHORIZED"}, {"WWW-Authenticate": "Bearer"})


def forbidden(message: str = "You cannot be authorized for this content or functionality.") -> Rejected:
    return Rejected(403, {"message": message, "result": "Rejected", "status": "INVALID_SENDER"})


def not_found(message: str) -> Rejected:
    return Rejected(404, {"message": message, "status": 404})


def plain(status: int, message: str) -> Rejected:
    """An error without an envelope, for what the web server itself refuses."""
    return Rejected(status, {"message": message, "status": status})


def unprocessable(message: Any) -> Rejected:
    """422: `message` names the fields, in the nesting of the endpoint."""
    return Rejected(422, {"message": message, "result": "Rejected", "status": "UNPROCESSABLE_ENTITY"})


def unprocessable_field(where: str | None, field: str, problem: str) -> Rejected:
    """422 about one field."""
    return unprocessable(nested(where, {field: [problem]}))


def nested(where: str | None, fields: Any) -> Any:
    return fields if where is None else {where: fields}


def problem_lists(fields: Any) -> Any:
    """Nested fields with every leaf as a list of sentences."""
    if isinstance(fields, Mapping):
        return {str(key): problem_lists(value) for key, value in fields.items()}
    return [str(item) for item in fields] if isinstance(fields, list | tuple) else [str(fields)]


@contextmanager
def fields_under(where: str | None) -> Iterator[None]:
    """Answer input that turns out invalid inside with its fields under `where`."""
    try:
        yield
    except Invalid as invalid:
        raise unprocessable(nested(where, problem_lists(invalid.fields))) from invalid


def misread(invalid: Invalid) -> Rejected:
    """422 for a configuration that cannot be read, wrapped as its reader says."""
    fields = problem_lists(invalid.fields)
    if invalid.where == "json":
        return unprocessable({"json": fields})
    return unprocessable(fields if invalid.where == "message" else sentences(fields))


def sentences(fields: Any) -> list[str]:
    """All problems, without their places."""
    if isinstance(fields, Mapping):
        return [sentence for value in fields.values() for sentence in sentences(value)]
    return list(fields)


def conflict(message: str) -> Rejected:
    return Rejected(409, {"message": message, "result": "Rejected", "status": "CONFLICT"}, {"Retry-After": "1"})
