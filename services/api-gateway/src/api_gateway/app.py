"""The application of the gateway: the public API, with authentication, formats and error envelopes."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from fastapi import APIRouter, FastAPI
from flexmodel.quantities import check_unit
from flexserve import server
from flexserve.app import create_app as create_service
from flexserve.errors import problem_details
from flexserve.health import Check
from flexserve.service_client import ServiceClient
from flexstore.store import Store
from flexwork.broker import Publisher, celery_app

from api_gateway.accounts.routes import router as accounts
from api_gateway.annotations.routes import router as annotations
from api_gateway.assets.routes import router as assets
from api_gateway.audit.changes import router as changes
from api_gateway.audit.routes import router as audit
from api_gateway.auth.routes import router as auth
from api_gateway.charts.routes import router as charts
from api_gateway.data.routes import router as data
from api_gateway.data.uploads import many as uploads_of_many
from api_gateway.data.uploads import router as uploads
from api_gateway.events.feed import ActivityFeed
from api_gateway.events.routes import router as events
from api_gateway.events.service import reach_of_tokens
from api_gateway.explanations.routes import router as explanations
from api_gateway.forecasts.routes import router as forecasts
from api_gateway.gateway import GatewayContext
from api_gateway.home.routes import router as home
from api_gateway.home.versions import API_VERSION
from api_gateway.jobs.routes import router as job_routes
from api_gateway.keys.routes import router as keys
from api_gateway.openapi.document import document
from api_gateway.openapi.routes import router as api_page
from api_gateway.optimize.routes import router as optimize
from api_gateway.passwords.routes import page as password_page
from api_gateway.passwords.routes import router as passwords
from api_gateway.rate_limits import RateLimiter
from api_gateway.response_headers import ResponseHeadersMiddleware
from api_gateway.responses import envelope
from api_gateway.schedules.routes import router as schedules
from api_gateway.sensors.routes import router as sensors
from api_gateway.series.routes import router as series
from api_gateway.sessions.routes import router as sessions
from api_gateway.settings import GatewaySettings
from api_gateway.sources.routes import router as sources
from api_gateway.tokens.routes import router as tokens
from api_gateway.users.routes import router as users
from api_gateway.webhooks.routes import router as webhooks

SERVICE = "gateway"


def create_app(
    settings: GatewaySettings,
    *,
    ingest: ServiceClient,
    scheduler: ServiceClient,
    store: Store | None = None,
) -> FastAPI:
    """Create the gateway. It opens a store of its own unless it is given one, and closes its service clients."""
    # It publishes nothing: readiness says whether the broker, which the workers need, responds.
    broker = Publisher(celery_app(settings, SERVICE))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            opened = store
            if opened is None:
                opened = await Store.connect(
                    settings.database_url,
                    max_size=settings.database_connections,
                    application="flexmesh gateway",
                    wait=False,
                )
                stack.push_async_callback(opened.close)
            stack.callback(broker.close)
            stack.push_async_callback(ingest.close)
            stack.push_async_callback(scheduler.close)
            gateway = create_context(settings, opened, ingest, scheduler)
            await stack.enter_async_context(running_feed(gateway.feed))
            app.state.gateway = gateway
            # The first use of units takes half a second, for which no request should have to wait.
            warming = asyncio.create_task(asyncio.to_thread(check_unit, "kW"))
            yield
            await warming

    app = create_service(
        settings,
        service=SERVICE,
        title="Flexmesh",
        routers=[version_3(), version_1(), auth, password_page, home, api_page],
        lifespan=lifespan,
        checks=[
            Check("database", lambda: app.state.gateway.store.check(settings.readiness_timeout)),
            Check("broker", broker.ping),
        ],
        max_upload_bytes=int(settings.upload_max_mb * 1_000_000),
        error_styles={"/api": envelope, "/api/v1": problem_details},
    )
    app.add_middleware(ResponseHeadersMiddleware)
    document(app)
    return app


def version_3() -> APIRouter:
    """Return the routes below `/api/v3_0`."""
    router = APIRouter(prefix=f"/api/{API_VERSION}")
    # Routes are matched in this order, so those that machines call all day come first.
    for noun in (data, uploads, schedules, job_routes, sensors, assets, forecasts, annotations, audit, charts, sources):
        router.include_router(noun)
    for noun in (users, accounts):
        router.include_router(noun)
    return router


def version_1() -> APIRouter:
    """Return the routes below `/api/v1`, which add to `/api/v3_0`."""
    router = APIRouter(prefix="/api/v1")
    for noun in (series, uploads_of_many, optimize, explanations, events, webhooks):
        router.include_router(noun)
    for noun in (sessions, passwords, tokens, keys, changes):
        router.include_router(noun)
    return router


def create_context(
    settings: GatewaySettings, store: Store, ingest: ServiceClient, scheduler: ServiceClient
) -> GatewayContext:
    feed = ActivityFeed(store, reach_of_tokens(store))
    return GatewayContext(store, settings, ingest, scheduler, RateLimiter(store), feed)


@asynccontextmanager
async def running_feed(feed: ActivityFeed) -> AsyncIterator[None]:
    """Run the feed of activities. Its streams end when the server begins to stop, which waits for open responses."""
    server.shutdown_callbacks.add(feed.close)
    try:
        async with background_tasks(feed.run()):
            yield
    finally:
        server.shutdown_callbacks.discard(feed.close)


@asynccontextmanager
async def background_tasks(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run the coroutines as long as the block lasts."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
