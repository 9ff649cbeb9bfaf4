"""Errors that are raised outside of a route's own words, in the envelopes of `/api`."""

from typing import Any

from flexserve.errors import Failure
from starlette.responses import Response
from starlette.types import Scope

from api_gateway.responses import Json, forbidden, problem_lists

UNKNOWN_PATH = (
    "The requested URL was not found on the server. If you entered the URL manually please check your spelling and try "
    "again."
)
WRONG_METHOD = "The method is not allowed for the requested URL."


def envelope(failure: Failure, scope: Scope) -> Response:
    """A failure as existing clients know it."""
    if failure.status == 404 and "endpoint" not in scope:
        return Json({"message": UNKNOWN_PATH, "status": 404}, 404)
    if failure.status == 403:
        return forbidden(failure.detail).answer()
    if failure.status == 405:
        return Json({"message": WRONG_METHOD, "status": 405}, 405, failure.headers)
    if failure.status == 422:
        message: Any = problem_lists(failure.fields) if failure.fields else failure.detail
        return Json({"message": message, "result": "Rejected", "status": "UNPROCESSABLE_ENTITY"}, 422)
    if failure.status == 413:
        body = {"message": failure.detail, "result": "Rejected", "status": "PAYLOAD_TOO_LARGE"}
        return Json(body, 413, failure.headers)
    return Json({"message": failure.detail, "status": failure.status}, failure.status, failure.headers)
