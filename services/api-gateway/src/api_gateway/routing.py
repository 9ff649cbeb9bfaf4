"""How a request becomes the arguments of a route: strict JSON, and where a route's answer names wrong fields."""

import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from flexcore.fields import DEEPEST, holds_nul, is_too_deep
from flexserve.direct_routes import RequestHandler, WrappingRoute
from flexserve.validation_messages import errors_by_field
from pydantic import BaseModel, ValidationError

from api_gateway.idempotency.replay import handle_once
from api_gateway.responses import Rejected, nested, plain, unprocessable

Endpoint = TypeVar("Endpoint", bound=Callable[..., Awaitable[Any]])

DEFAULT_PLACES: dict[str, str | None] = {"body": "json", "query": "query", "path": "path"}
COMBINED: dict[str, str | None] = {
    **dict.fromkeys(DEFAULT_PLACES, "combined_sensor_data_description"),
    "id": "sensor",
}
"""The endpoints of sensor data name everything under one key, and the id in the path `sensor`."""
FLAT: dict[str, str | None] = dict.fromkeys(DEFAULT_PLACES, None)


class StrictRequest(Request):
    """A request whose JSON has no NaN, no infinity, no field twice, and no size in any way that exhausts anyone."""

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            body = await self.body()
            parts = body.count(b"{") + body.count(b"[")
            if parts > MOST_PARTS:
                raise orjson.JSONDecodeError(f"it has more than {MOST_PARTS} objects and lists", "", 0)
            self._json = orjson.loads(body)
            check_fields(self._body)
            if parts > DEEPEST and is_too_deep(self._json):
                raise too_deep()
            if b"\\u0000" in self._body and holds_nul(self._json):
                raise orjson.JSONDecodeError("the character NUL cannot be stored", "", self._body.find(b"\\u0000"))
        return self._json


class WireRoute(WrappingRoute, APIRoute):
    """A route that reads strict JSON and refuses every other kind of body by name."""

    def get_route_handler(self) -> RequestHandler:
        return self.wrap(super().get_route_handler())

    def wrap(self, handle: RequestHandler) -> RequestHandler:
        async def strictly(request: Request) -> Response:
            try:
                return await handle_once(StrictRequest(request.scope, request.receive), handle)
            except orjson.JSONDecodeError as error:
                return broken(error.msg).answer()
            except Rejected as rejected:
                return rejected.answer()
            except RequestValidationError as error:
                return await explained(error, request)

        return strictly


MOST_PARTS = 200_000
"""Objects and lists in a message: twice what a thousand devices with a day of values each need."""
MOST_FIELDS = 10_000
"""Of one object. If they are all wrong, that is told of each."""


def check_fields(body: bytes) -> None:
    """Refuse valid JSON in which an object has too many fields, or one of them twice: nobody knows which counts."""

    def check(fields: list[tuple[str, Any]]) -> None:
        if len(fields) > MOST_FIELDS:
            raise orjson.JSONDecodeError(f"an object has more than {MOST_FIELDS} fields", "", 0)
        names = [name for name, _ in fields]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise orjson.JSONDecodeError(f"the field '{twice}' is there twice", "", 0)

    try:
        json.loads(body, object_pairs_hook=check)
    except RecursionError as error:
        raise too_deep() from error


def too_deep() -> orjson.JSONDecodeError:
    return orjson.JSONDecodeError(f"it is nested too deeply, more than {DEEPEST} levels", "", 0)


async def message_in(request: Request) -> Any:
    """The JSON in the body, for routes whose messages are read elsewhere."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise wrong_type(request)
    return await request.json()


Message = Annotated[Any, Depends(message_in)]


class QueryReader[Q: BaseModel]:
    """Reads query parameters into a model, five times as fast as FastAPI does: for routes that are asked all day."""

    def __init__(self, model: type[Q]) -> None:
        self.model = model

    async def __call__(self, request: Request) -> Q:
        try:
            return self.model.model_validate(dict(request.query_params))
        except ValidationError as error:
            errors = [{**one, "loc": ("query", *one["loc"])} for one in error.errors(include_url=False)]
            raise RequestValidationError(errors) from error


def parameters_of(model: type[BaseModel]) -> dict[str, Any]:
    """What the documentation says of query parameters that FastAPI does not read itself."""
    schema = model.model_json_schema()
    required = schema.get("required", ())
    parameters = [
        {"in": "query", "name": name, "required": name in required, "schema": field}
        for name, field in schema["properties"].items()
    ]
    return {"parameters": parameters}


def broken(reason: str) -> Rejected:
    return plain(400, f"The body is not valid JSON: {reason}.")


def wrong_type(request: Request) -> Rejected:
    sent = request.headers.get("content-type", "no Content-Type")
    return plain(415, f"Send JSON, with the header Content-Type: application/json (got {sent[:80]}).")


def body_of(model: type[BaseModel], media_type: str = "application/json") -> dict[str, Any]:
    """What the documentation says of a body that the route passes on unread."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    return {"requestBody": {"required": True, "content": {media_type: {"schema": schema}}}}


def names_fields_under(places: dict[str, str | None]) -> Callable[[Endpoint], Endpoint]:
    """Say under which keys this route's answers name wrong fields of the body, the query and the path."""

    def mark(endpoint: Endpoint) -> Endpoint:
        endpoint.field_places = places  # type: ignore[attr-defined]
        return endpoint

    return mark


def is_of_another_kind(error: RequestValidationError) -> bool:
    """Whether the body was not even sent as JSON."""
    return any(one["loc"] == ("body",) and isinstance(one.get("input"), bytes) for one in error.errors())


def missing_fields(request: Request) -> list[Any]:
    """What a route needs that got no body at all: the same as if it had got an empty object."""
    body = getattr(request.scope.get("route"), "body_field", None)
    if body is None:
        return []
    _value, errors = body.validate({}, loc=("body",))
    return list(errors)


async def explained(error: RequestValidationError, request: Request) -> Response:
    """Invalid input as existing clients know it."""
    errors = error.errors()
    for one in errors:
        if one["type"] == "json_invalid":
            reason = (one.get("ctx") or {}).get("error", one["msg"])
            return broken(reason).answer()
    if is_of_another_kind(error):
        return wrong_type(request).answer()
    if any(one["loc"] == ("body",) and one["type"] == "missing" for one in errors):
        rest = [one for one in errors if one["loc"] != ("body",)]
        errors = rest + missing_fields(request) or errors
    places = getattr(request.scope.get("endpoint"), "field_places", DEFAULT_PLACES)
    message: dict[str, Any] = {}
    for place in ("path", "query", "body"):
        here = [one for one in errors if one["loc"][0] == place]
        fields = errors_by_field(here, skip=1)
        if place == "path" and "id" in fields and places.get("id"):
            fields[str(places["id"])] = fields.pop("id")
        if fields:
            where = places[place]
            message |= nested(where, message.get(where, {}) | fields if where else fields)
    return unprocessable(message).answer()
