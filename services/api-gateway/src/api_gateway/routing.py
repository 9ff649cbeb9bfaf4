"""Kinds of routes: strict JSON in, error envelopes (`/api/v3_0`) or problem details (`/api/v1`) out."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from flexmodel.errors import first_sentence
from flexserve.direct_routes import RequestHandler, WrappingRoute
from flexserve.errors import Failure, problem_details
from flexserve.validation_messages import errors_by_field
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from api_gateway.body_limits import BodyLimit
from api_gateway.idempotency.replay import handle_once
from api_gateway.responses import ApiError, nest_under, unprocessable
from api_gateway.strict_json import StrictJsonRequest, invalid_json, unsupported_media_type

DEFAULT_PLACES: dict[str, str | None] = {"body": "json", "query": "query", "path": "path"}
"""The keys under which envelopes name invalid fields of the body, the query and the path."""
COMBINED: dict[str, str | None] = {
    **dict.fromkeys(DEFAULT_PLACES, "combined_sensor_data_description"),
    "id": "sensor",
}
"""The endpoints of sensor data name all invalid fields under one key, and the id in the path as `sensor`."""
FLAT: dict[str, str | None] = dict.fromkeys(DEFAULT_PLACES, None)


class EnvelopeRoute(WrappingRoute, APIRoute):
    """A route of `/api/v3_0`: it takes strict JSON, and returns errors in envelopes."""

    def get_route_handler(self) -> RequestHandler:
        return self.wrap(super().get_route_handler())

    def wrap(self, handle: RequestHandler) -> RequestHandler:
        limit = BodyLimit(self.endpoint, self.dependant)

        async def handle_strictly(request: Request) -> Response:
            try:
                limited = await limit.apply(request)
                return await handle_once(StrictJsonRequest(limited.scope, limited.receive), handle)
            except orjson.JSONDecodeError as error:
                return invalid_json(error.msg).response()
            except ApiError as error:
                return error.response()
            except RequestValidationError as error:
                return validation_error_response(error, request)

        return handle_strictly


class ProblemDetailsRoute(WrappingRoute, APIRoute):
    """A route of `/api/v1`: it takes strict JSON, and returns all errors as RFC 9457 problem details."""

    def get_route_handler(self) -> RequestHandler:
        return self.wrap(super().get_route_handler())

    def wrap(self, handle: RequestHandler) -> RequestHandler:
        limit = BodyLimit(self.endpoint, self.dependant)

        async def handle_strictly(request: Request) -> Response:
            try:
                limited = await limit.apply(request)
                return await handle_once(StrictJsonRequest(limited.scope, limited.receive), handle)
            except RequestValidationError as error:
                if has_unsupported_media_type(error):
                    return problem_details(failure_of_error(unsupported_media_type(request)), request.scope)
                raise
            except orjson.JSONDecodeError as error:
                raise HTTPException(400, f"The body is not valid JSON: {error.msg}.") from error
            except ApiError as error:
                return problem_details(failure_of_error(error), request.scope)

        return handle_strictly


def failure_of_error(error: ApiError) -> Failure:
    """Return an error of `/api/v3_0` as a failure, with its message but without its envelope."""
    message = error.body.get("message") or " ".join(error.body.get("errors", ()))
    fields = message if isinstance(message, Mapping) else None
    detail = str(message) if fields is None else first_sentence(fields)
    return Failure(error.status, detail, fields, error.headers or {}, error)


class QueryParser[Q: BaseModel]:
    """A dependency that parses query parameters into a model, five times as fast as FastAPI does. For hot routes."""

    def __init__(self, model: type[Q]) -> None:
        self.model = model

    async def __call__(self, request: Request) -> Q:
        try:
            return self.model.model_validate(dict(request.query_params))
        except ValidationError as error:
            errors = [{**one, "loc": ("query", *one["loc"])} for one in error.errors(include_url=False)]
            raise RequestValidationError(errors) from error


def nest_errors_under[Endpoint: Callable[..., Awaitable[Any]]](
    places: dict[str, str | None],
) -> Callable[[Endpoint], Endpoint]:
    """Set the keys under which error responses of an endpoint name invalid fields of the request."""

    def mark(endpoint: Endpoint) -> Endpoint:
        endpoint.field_places = places  # type: ignore[attr-defined]  # an attribute of our own
        return endpoint

    return mark


def has_unsupported_media_type(error: RequestValidationError) -> bool:
    """Return whether the body is not JSON at all."""
    return any(one["loc"] == ("body",) and isinstance(one.get("input"), bytes) for one in error.errors())


def missing_field_errors(request: Request) -> list[Any]:
    """Return the errors of a missing body: those of an empty object."""
    body = getattr(request.scope.get("route"), "body_field", None)
    if body is None:
        return []
    _value, errors = body.validate({}, loc=("body",))
    return list(errors)


def validation_error_response(error: RequestValidationError, request: Request) -> Response:
    """Return the response to invalid input in the envelope that existing clients expect."""
    errors = error.errors()
    for one in errors:
        if one["type"] == "json_invalid":
            reason = (one.get("ctx") or {}).get("error", one["msg"])
            return invalid_json(reason).response()
    if has_unsupported_media_type(error):
        return unsupported_media_type(request).response()
    if any(one["loc"] == ("body",) and one["type"] == "missing" for one in errors):
        others = [one for one in errors if one["loc"] != ("body",)]
        errors = others + missing_field_errors(request) or errors
    places = getattr(request.scope.get("endpoint"), "field_places", DEFAULT_PLACES)
    message: dict[str, Any] = {}
    for place in ("path", "query", "body"):
        fields = errors_by_field([one for one in errors if one["loc"][0] == place], skip=1)
        if place == "path" and "id" in fields and places.get("id"):
            fields[str(places["id"])] = fields.pop("id")
        if fields:
            where = places[place]
            message |= nest_under(where, message.get(where, {}) | fields if where else fields)
    return unprocessable(message).response()
