"""The scheduler's HTTP application, of a worker or of the service itself: problems to solve at once, and its health."""

from collections.abc import Sequence

from fastapi import Depends, FastAPI
from flexserve import service_token
from flexserve.app import create_app as create_service
from flexserve.health import Check

from scheduler.optimize.routes import router as optimize
from scheduler.optimize.service import Optimizer
from scheduler.settings import SchedulerSettings

SERVICE = "scheduler"


def create_app(settings: SchedulerSettings, checks: Sequence[Check] = ()) -> FastAPI:
    """The application; `checks` are the parts that whoever serves it depends on."""
    app = create_service(
        settings, service=SERVICE, title="Flexmesh scheduler", checks=checks, docs_url=None, redoc_url=None
    )
    # A worker can do without the token; then nobody could prove to be a service, so nobody is listened to.
    if settings.service_token is not None:
        app.state.optimizer = Optimizer(settings)
        app.include_router(optimize, dependencies=[Depends(service_token.RequireServiceToken(settings.service_token))])
    return app
