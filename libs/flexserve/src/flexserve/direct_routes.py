"""Direct routes: requests to marked routes skip FastAPI's routing and its resolution of arguments.

FastAPI matches each request against one route after another and resolves the dependencies of the route anew. For a
route marked with `@direct` both are worked out once. Such a route takes nothing but the request and whole numbers from
the path, and returns a response. All other requests, and those whose numbers cannot be parsed, take FastAPI's own way.
"""

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, get_type_hints

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

TEMPLATE = "fastapi.path_template"
"""The key of the scope that holds the path with the names of its parameters."""
_MARK = "is_direct_route"
_NUMBER = re.compile(r"/(\d{1,18})(?=/|$)", re.ASCII)
_PARAMETER = re.compile(r"/\{\w+\}")
_PARAMETER_LISTS = ("path_params", "query_params", "header_params", "cookie_params", "body_params")

RequestHandler = Callable[[Request], Coroutine[Any, Any, Response]]
type RouteTable = dict[tuple[str, str], DirectRoute | None]
type ArgumentSource = str | int | None
"""The source of an argument: a parameter of the path by name, an earlier step by position, or None: the request."""
type Step = tuple[Callable[..., Awaitable[object]], tuple[tuple[str, ArgumentSource], ...]]
"""A dependency or an endpoint, and its arguments by name."""


def direct[Endpoint: Callable[..., Awaitable[object]]](endpoint: Endpoint) -> Endpoint:
    """Mark an endpoint as a direct route. Apply it below the decorator of the route."""
    setattr(endpoint, _MARK, True)
    return endpoint


class WrappingRoute(ABC):
    """A kind of route that does something around its handler, whether the route is direct or not."""

    @abstractmethod
    def wrap(self, handle: RequestHandler) -> RequestHandler:
        """Return the handler with what the route does around it."""


@dataclass(frozen=True, slots=True)
class DirectRoute:
    """A marked route, ready to handle requests."""

    route: APIRoute
    template: str
    parameters: tuple[str, ...]
    """The names of the numbers in the path."""
    endpoint: Callable[..., Any]
    handle: RequestHandler


class DirectRoutesMiddleware:
    """Passes requests to direct routes straight to their handlers, and all others to `app`."""

    def __init__(self, app: ASGIApp, *, routes: list[BaseRoute]) -> None:
        self.app = app
        self._routes = routes
        self._table: RouteTable | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._table is None:  # at the start of the application, when all its routes are there
            self._table = build_table(self._routes)
        found = self._find(self._table, scope) if scope["type"] == "http" and not scope["root_path"] else None
        if found is None:
            await self.app(scope, receive, send)
            return
        scope["route"] = found.route
        scope["endpoint"] = found.endpoint
        scope["path_params"] = dict(zip(found.parameters, _NUMBER.findall(scope["path"]), strict=True))
        scope[TEMPLATE] = found.template
        response = await found.handle(Request(scope, receive, send))
        await response(scope, receive, send)

    def _find(self, table: RouteTable, scope: Scope) -> DirectRoute | None:
        return table.get((scope["method"], _NUMBER.sub("/{}", scope["path"])))


def build_table(routes: list[BaseRoute]) -> RouteTable:
    """Return the routes by method and by path without numbers. The first match wins; None stands for FastAPI's way.

    Raises:
        TypeError: A marked route takes or returns more than a direct route can.
    """
    table: RouteTable = {}
    for context in iter_route_contexts(routes):
        template = context.path_format or ""
        route = context.original_route
        is_marked = getattr(context.endpoint, _MARK, False)
        found = direct_route(route, context, template) if is_marked and isinstance(route, APIRoute) else None
        for method in context.methods or ():
            table.setdefault((method, _PARAMETER.sub("/{}", template)), found)
    return table


def direct_route(route: APIRoute, context: RouteContext, template: str) -> DirectRoute:
    """Prepare a marked route."""
    endpoint = context.endpoint
    assert endpoint is not None  # an APIRoute has one
    result = get_type_hints(endpoint).get("return")
    if not (isinstance(result, type) and issubclass(result, Response)):
        raise TypeError(f"{template} cannot be a direct route: it does not return a response.")
    handler = build_handler(context.dependant, template)
    if isinstance(route, WrappingRoute):
        handler = route.wrap(handler)
    elif type(route).get_route_handler is not APIRoute.get_route_handler:
        raise TypeError(f"{template} cannot be a direct route: its class is no WrappingRoute.")
    parameters = tuple(part[2:-1] for part in _PARAMETER.findall(template))
    return DirectRoute(route, template, parameters, endpoint, handler)


def build_handler(dependant: Dependant, template: str) -> RequestHandler:
    """Return a handler that calls the dependencies of a route, each once, and then its endpoint."""
    steps: list[Step] = []
    positions: dict[Any, int] = {}

    def add(node: Dependant) -> int:
        """Add the steps for a dependency, and return the position of its own."""
        if node.use_cache and node.call in positions:
            return positions[node.call]
        if node.call is None or not is_plain(node):
            raise TypeError(f"{template} cannot be a direct route: {node.call} takes more than numbers of the path.")
        inputs: list[tuple[str, ArgumentSource]] = []
        for dependency in node.dependencies:
            position = add(dependency)
            if dependency.name is not None:
                inputs.append((dependency.name, position))
        if node.request_param_name:
            inputs.append((node.request_param_name, None))
        inputs += [(field.name, field.alias) for field in node.path_params]
        steps.append((node.call, tuple(inputs)))
        positions[node.call] = len(steps) - 1
        return len(steps) - 1

    add(dependant)

    async def handle(request: Request) -> Response:
        results: list[Any] = []
        for call, inputs in steps:
            arguments = {name: _argument(source, request, results) for name, source in inputs}
            results.append(await call(**arguments))
        response: Response = results[-1]
        return response

    return handle


def _argument(source: ArgumentSource, request: Request, results: list[Any]) -> object:
    """Return the value of an argument: the request, a number of the path, or the result of an earlier step."""
    if source is None:
        return request
    return int(request.path_params[source]) if isinstance(source, str) else results[source]


def is_plain(node: Dependant) -> bool:
    """Return whether a dependency takes only the request, whole numbers of the path, and other dependencies."""
    special = [name for name in dir(node) if name.endswith("_param_name") and getattr(node, name) is not None]
    fields = [field for name in _PARAMETER_LISTS for field in getattr(node, name)]
    return (
        set(special) <= {"request_param_name"}
        and len(fields) == len(node.path_params)
        and all(field.field_info.annotation is int and not field.field_info.metadata for field in fields)
        and not node.own_oauth_scopes
        and any(map(inspect.iscoroutinefunction, (node.call, type(node.call).__call__)))
    )
