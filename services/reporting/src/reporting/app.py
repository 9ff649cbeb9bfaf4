"""The application of the reporting service: notifications, upkeep, and the relay of tasks; health and metrics."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from flexcore import upkeep as platform_upkeep
from flexserve.app import create_app as create_service
from flexserve.health import Check
from flexstore.store import Store
from flexwork.background import running
from flexwork.broker import Publisher, celery_app
from flexwork.relay import task_relay
from flexwork.upkeep import Upkeep, register_job_sweep

from reporting.notifications import relays
from reporting.settings import ReportingSettings

SERVICE = "reporting"


def create_app(settings: ReportingSettings, store: Store | None = None) -> FastAPI:
    """Create the application, which works as long as its lifespan lasts.

    Args:
        settings: The settings of the service.
        store: The store of the caller, who closes it; the service opens its own if None.
    """

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
            publisher = Publisher(celery_app(settings, SERVICE))
            stack.callback(publisher.close)
            await stack.enter_async_context(relays.notifying(opened, settings))
            upkeep = upkeep_of(opened, settings)
            await stack.enter_async_context(running(task_relay(opened, publisher).run, upkeep.run))
            yield

    async def ping() -> None:
        await app.state.store.check(settings.readiness_timeout)

    app = create_service(
        settings,
        service=SERVICE,
        title="Flexmesh reporting",
        lifespan=lifespan,
        checks=[Check("database", ping)],
    )
    return app


def upkeep_of(store: Store, settings: ReportingSettings) -> Upkeep:
    """Return the duties of the reporting service, which always runs: those of the whole platform."""
    upkeep = Upkeep(store)
    register_job_sweep(upkeep, store)
    platform_upkeep.register_duties(upkeep, store, settings.keeping_times)
    relays.register_duties(upkeep, store, settings)
    return upkeep
