"""HTTP application of the scheduler, in a worker or on its own: solving of self-contained problems, and health."""

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
    """Create the application; `checks` are the readiness checks of the process that serves it."""
    app = create_service(settings, service=SERVICE, title="Flexmesh scheduler", checks=checks)
    # A worker can do without the token. Then no caller could prove to be a service, so there are no routes.
    if settings.service_token is not None:
        app.state.optimizer = Optimizer(settings)
        app.include_router(optimize, dependencies=[Depends(service_token.RequireServiceToken(settings.service_token))])
    return app
