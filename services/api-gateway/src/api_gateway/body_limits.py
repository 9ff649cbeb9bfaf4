"""Limits of request bodies: how large one may be, and that the caller is known before a large one is read.

What takes long to parse holds up everybody, so a stranger may send only little.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request
from fastapi.dependencies.models import Dependant
from flexcore.credentials import repository as credentials
from flexmodel.digits import parse_digits
from flexserve.request_observability import limit_body

from api_gateway.auth.access import Public
from api_gateway.auth.credentials import digest_of
from api_gateway.responses import unauthorized

STRANGER_BYTES = 10_000
"""The largest body of a request without a login: logins, sessions, forgotten passwords."""
DEFAULT_BYTES = 5_000_000
"""The largest body of a route that is not marked with `takes_large_bodies`."""


def takes_large_bodies[Endpoint: Callable[..., Awaitable[object]]](endpoint: Endpoint) -> Endpoint:
    """Mark an endpoint that takes bodies up to the limit of the service: values, triggers, problems."""
    endpoint.takes_large_bodies = True  # type: ignore[attr-defined]  # an attribute of our own
    return endpoint


def is_public(dependant: Dependant) -> bool:
    """Return whether anyone may use a route."""
    return any(isinstance(one.call, Public) or is_public(one) for one in dependant.dependencies)


class BodyLimit:
    """The limit of one route. It is checked before anything else."""

    def __init__(self, endpoint: Callable[..., Any], dependant: Dependant) -> None:
        self.is_public = is_public(dependant)
        large = getattr(endpoint, "takes_large_bodies", False)
        self.bytes = STRANGER_BYTES if self.is_public else None if large else DEFAULT_BYTES

    async def apply(self, request: Request) -> Request:
        """Return the request with its body limited.

        Raises:
            ApiError: The body is not small, and its sender is not logged in.
        """
        announced = request.headers.get("content-length")
        if announced is None and "transfer-encoding" not in request.headers:
            return request  # it has no body
        if announced is not None and parse_digits(announced, STRANGER_BYTES) is not None:
            return request
        if not self.is_public:
            await check_login(request)
        if self.bytes is None:
            return request
        return Request(request.scope, limit_body(request.receive, dict(request.scope["headers"]), self.bytes))


async def check_login(request: Request) -> None:
    """Refuse a request whose token is missing or unknown. What its caller may do, the route decides."""
    gateway = request.app.state.gateway
    token = digest_of(request)
    async with gateway.store.connection() as con:
        caller = await credentials.identify(con, token, gateway.settings.seen_every)
    if caller is None:
        raise unauthorized()
