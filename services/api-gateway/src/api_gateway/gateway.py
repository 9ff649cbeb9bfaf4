"""The context of routes: the store, the settings and the other services."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from flexcore.credentials.passwords import Passwords
from flexserve.service_client import ServiceClient
from flexstore.store import PooledConnection, Store

from api_gateway.events.feed import ActivityFeed
from api_gateway.idempotency import attempts
from api_gateway.rate_limits import RateLimiter
from api_gateway.settings import GatewaySettings


@dataclass(slots=True)
class GatewayContext:
    """The store, the settings and the clients that every route may use."""

    store: Store
    settings: GatewaySettings
    ingest: ServiceClient
    scheduler: ServiceClient
    limiter: RateLimiter
    feed: ActivityFeed
    passwords: Passwords = field(default_factory=Passwords)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PooledConnection]:
        """Yield a transaction for the changes of a request. It also seals the request's `Idempotency-Key`."""
        attempt = attempts.CURRENT.get()
        async with self.store.transaction() as con:
            yield con
            if attempt is not None:
                await attempt.seal(con)


async def gateway_of(request: Request) -> GatewayContext:
    """Return the context that the application set up when it started."""
    context: GatewayContext = request.app.state.gateway
    return context


Gateway = Annotated[GatewayContext, Depends(gateway_of)]
"""A dependency of routes: `gateway: Gateway`. Other functions use it as the type of the same parameter."""
