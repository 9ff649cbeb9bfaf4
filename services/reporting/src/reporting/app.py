"""The reporting service's application: it delivers webhooks, and shows health and metrics."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from flexserve.app import create_app as create_service
from flexserve.health import Check
from flexstore.store import Store

from reporting.settings import ReportingSettings
from reporting.webhooks.working import working

SERVICE = "reporting"


def create_app(settings: ReportingSettings, store: Store | None = None) -> FastAPI:
    """The application, which works while its lifespan lasts. A store that the caller passes stays the caller's."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            opened = store
            if opened is None:
                opened = await Store.connect(
                    settings.database_url,
                    max_size=settings.database_connections,
                    application=f"flexmesh {SERVICE}",
                    wait=False,
                )
                stack.push_async_callback(opened.close)
            app.state.store = opened
            await stack.enter_async_context(working(opened, settings))
            yield

    async def ping() -> None:
        await app.state.store.check(settings.readiness_timeout)

    app = create_service(
        settings,
        service=SERVICE,
        title="Flexmesh reporting",
        lifespan=lifespan,
        checks=[Check("database", ping)],
        docs_url=None,
        redoc_url=None,
    )
    return app
