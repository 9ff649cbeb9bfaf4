"""Straight from the request to its route: what FastAPI works out at every request, worked out once.

A route qualifies when all that it and its dependencies want is the request and whole numbers in the path, and when it
returns a response. Every other request takes FastAPI's own way, as does one whose numbers cannot be read.
"""

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, get_type_hints

from fastapi.routing import APIRoute, iter_route_contexts
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

TEMPLATE = "fastapi.path_template"
"""Under this key of the scope the path stands with the names of its parameters."""
_NUMBER = re.compile(r"/(\d{1,18})(?=/|$)", re.ASCII)
_PARAMETER = re.compile(r"/\{\w+\}")
_PARAMETERS = ("path_params", "query_params", "header_params", "cookie_params", "body_params")

RequestHandler = Callable[[Request], Coroutine[Any, Any, Response]]


class WrappingRoute(ABC):
    """A kind of route that does something around its handler, whichever way requests come to it."""

    @abstractmethod
    def wrap(self, handle: RequestHandler) -> RequestHandler:
        """The handler with what is done around it."""


@dataclass(frozen=True, slots=True)
class DirectRoute:
    """A route that requests can go straight to."""

    route: APIRoute
    template: str
    names: tuple[str, ...]
    """Of the numbers in the path."""
    endpoint: Callable[..., Any]
    handle: RequestHandler


class DirectRoutesMiddleware:
    """Sends what it can straight to its route, and everything else to `app`."""

    def __init__(self, app: ASGIApp, *, routes: list[BaseRoute]) -> None:
        self.app = app
        self._routes = routes
        self._table: dict[tuple[str, str], DirectRoute | None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._find(scope) if scope["type"] == "http" and not scope["root_path"] else None
        if found is None:
            await self.app(scope, receive, send)
            return
        scope["route"] = found.route
        scope["endpoint"] = found.endpoint
        scope["path_params"] = dict(zip(found.names, _NUMBER.findall(scope["path"]), strict=True))
        scope[TEMPLATE] = found.template
        response = await found.handle(Request(scope, receive, send))
        await response(scope, receive, send)

    def _find(self, scope: Scope) -> DirectRoute | None:
        if self._table is None:  # routes are added until the first request
            self._table = routes_by_method_and_path(self._routes)
        return self._table.get((scope["method"], _NUMBER.sub("/{}", scope["path"])))


def routes_by_method_and_path(routes: list[BaseRoute]) -> dict[tuple[str, str], DirectRoute | None]:
    """The routes by method and by path with numbers left out. The first wins; nothing stands for FastAPI's own way."""
    table: dict[tuple[str, str], DirectRoute | None] = {}
    for context in iter_route_contexts(routes):
        template = context.path_format or ""
        straight = direct_route(context, template) if isinstance(context.original_route, APIRoute) else None
        for method in context.methods or ():
            table.setdefault((method, _PARAMETER.sub("/{}", template)), straight)
    return table


def direct_route(context: Any, template: str) -> DirectRoute | None:
    """The short way to a route, if there is one."""
    route: APIRoute = context.original_route
    result = get_type_hints(context.endpoint).get("return")
    run = _plan(context.dependant) if isinstance(result, type) and issubclass(result, Response) else None
    if run is None:
        return None
    if isinstance(route, WrappingRoute):
        run = route.wrap(run)
    elif type(route).get_route_handler is not APIRoute.get_route_handler:
        return None  # it does something that we know nothing of
    names = tuple(part[2:-1] for part in _PARAMETER.findall(template))
    return DirectRoute(route, template, names, context.endpoint, run)


def _plan(dependant: Any) -> RequestHandler | None:
    """What to call in which order for a route, each dependency once; nothing if it wants more than we can give."""
    steps: list[tuple[Callable[..., Awaitable[Any]], tuple[tuple[str, Any], ...]]] = []
    positions: dict[Any, int] = {}

    def add(node: Any) -> int | None:
        if node.use_cache and node.call in positions:
            return positions[node.call]
        if not _is_plain(node):
            return None
        inputs: list[tuple[str, Any]] = []
        for inner in node.dependencies:
            position = add(inner)
            if position is None:
                return None
            if inner.name is not None:
                inputs.append((inner.name, position))
        if node.request_param_name:
            inputs.append((node.request_param_name, _REQUEST))
        inputs += [(field.name, field.alias) for field in node.path_params]
        steps.append((node.call, tuple(inputs)))
        positions[node.call] = len(steps) - 1
        return len(steps) - 1

    if add(dependant) is None:
        return None

    async def run(request: Request) -> Response:
        results: list[Any] = []
        for call, inputs in steps:
            arguments = {name: _input(source, request, results) for name, source in inputs}
            results.append(await call(**arguments))
        answer: Response = results[-1]
        return answer

    return run


_REQUEST = object()


def _input(source: Any, request: Request, results: list[Any]) -> Any:
    """A value for a parameter: the request, a number from the path, or what another dependency gave."""
    if source is _REQUEST:
        return request
    return int(request.path_params[source]) if isinstance(source, str) else results[source]


def _is_plain(node: Any) -> bool:
    """Whether a dependency wants nothing but the request, whole numbers of the path, and others like it."""
    wants = [name for name in dir(node) if name.endswith("_param_name") and getattr(node, name) is not None]
    fields = [field for name in _PARAMETERS for field in getattr(node, name)]
    return (
        set(wants) <= {"request_param_name"}
        and len(fields) == len(node.path_params)
        and all(field.field_info.annotation is int and not field.field_info.metadata for field in fields)
        and not node.own_oauth_scopes
        and any(map(inspect.iscoroutinefunction, (node.call, type(node.call).__call__)))
    )
