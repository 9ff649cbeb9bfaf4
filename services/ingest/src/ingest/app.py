"""HTTP application of the ingest service: the routes that the gateway calls, with health, metrics and errors."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import Depends, FastAPI
from flexserve import service_token
from flexserve.app import create_app as create_service
from flexserve.health import Check
from flexstore.store import Store

from ingest.batch import routes as batch
from ingest.connectors import connector_metrics
from ingest.context import IngestContext
from ingest.data import routes as data
from ingest.files import routes as files
from ingest.settings import IngestSettings

SERVICE = "ingest"


def create_app(settings: IngestSettings, store: Store | None = None) -> FastAPI:
    """Create the application.

    Args:
        settings: Settings of the service.
        store: A store that the caller owns. Without one, the application opens its own and closes it.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if store is None:
                own = await Store.connect(
                    settings.database_url,
                    max_size=settings.database_connections,
                    application=f"flexmesh {SERVICE}",
                    wait=False,
                )
                stack.push_async_callback(own.close)
                app.state.ingest = IngestContext(own, settings)
            stack.enter_context(connector_metrics.publish_connector_metrics(app.state.ingest.store))
            yield

    async def ping() -> None:
        await app.state.ingest.store.check(settings.readiness_timeout)

    guard = Depends(service_token.RequireServiceToken(service_token.required_token(settings)))
    app = create_service(
        settings,
        service=SERVICE,
        title="Flexmesh ingest",
        lifespan=lifespan,
        checks=[Check("database", ping)],
        max_upload_bytes=settings.upload_max_bytes,
    )
    for router in (data.router, batch.router, files.router):
        app.include_router(router, dependencies=[guard])
    if store is not None:
        app.state.ingest = IngestContext(store, settings)
    return app
