"""The HTTP application of a service: its routes, with the errors, health checks, metrics and traces of all services."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.datastructures import Default

from flexserve import health, logs, metrics, tracing
from flexserve.direct_routes import DirectRoutesMiddleware
from flexserve.errors import ErrorStyle, ErrorStyles
from flexserve.head_requests import HeadMiddleware
from flexserve.health import Check
from flexserve.request_observability import RequestObservabilityMiddleware
from flexserve.responses import OrjsonResponse
from flexserve.settings import ServiceSettings

VERSION = version("flexserve")

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[Any]]


def create_app(
    settings: ServiceSettings,
    *,
    service: str,
    title: str,
    routers: Sequence[APIRouter] = (),
    lifespan: Lifespan | None = None,
    checks: Sequence[Check] = (),
    error_styles: Mapping[str, ErrorStyle] | None = None,
    max_body_bytes: int | None = None,
    max_upload_bytes: int | None = None,
) -> FastAPI:
    """Create the application of a service.

    Args:
        settings: The settings of the service.
        service: The name of the service in logs, metrics and traces.
        title: The title of the API.
        routers: The routes of the service.
        lifespan: A context in which the application runs.
        checks: The readiness checks.
        error_styles: The error style of each path prefix.
        max_body_bytes: The largest request body; the limit of the settings if None.
        max_upload_bytes: The largest body of paths that end in `/upload`; the same limit if None.
    """
    tracing.setup(service, VERSION)
    app = FastAPI(
        title=title,
        version=VERSION,
        lifespan=_with_flush(lifespan),
        # `Default` lets routes with a response model keep pydantic's own serializer, which is faster still.
        default_response_class=Default(OrjsonResponse),
        telemetry=tracing.fastapi_telemetry(),
        # Only the gateway publishes a page of its API, and that is its own.
        docs_url=None,
        redoc_url=None,
    )
    styles = ErrorStyles(error_styles)
    styles.install(app)
    app.add_middleware(HeadMiddleware)
    if not tracing.is_on():  # only FastAPI's own dispatch makes spans
        app.add_middleware(DirectRoutesMiddleware, routes=app.router.routes)
    limit = settings.max_body_bytes if max_body_bytes is None else max_body_bytes
    app.add_middleware(
        RequestObservabilityMiddleware,
        service=service,
        styles=styles,
        max_body_bytes=limit,
        max_upload_bytes=max_upload_bytes or limit,
    )
    app.router.routes += health.routes(service, VERSION, checks, settings.readiness_timeout)
    app.router.routes += metrics.routes(service, VERSION)
    for router in routers:
        app.include_router(router)
    return app


def start_logs(settings: ServiceSettings, service: str) -> None:
    """Set up the logs of the process by its settings."""
    logs.setup(service, settings.log_level, settings.log_format)


def _with_flush(lifespan: Lifespan | None) -> Lifespan:
    @asynccontextmanager
    async def flushed(app: FastAPI) -> AsyncIterator[Any]:
        try:
            if lifespan is None:
                yield
            else:
                async with lifespan(app) as state:
                    yield state
        finally:
            tracing.flush()

    return flushed
