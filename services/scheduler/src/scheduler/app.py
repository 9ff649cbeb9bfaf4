"""The scheduler's HTTP application: health and metrics, of a worker or of the service itself."""

from collections.abc import Sequence

from fastapi import FastAPI
from flexserve.app import create_app as create_service
from flexserve.health import Check

from scheduler.settings import SchedulerSettings

SERVICE = "scheduler"


def create_app(settings: SchedulerSettings, checks: Sequence[Check] = ()) -> FastAPI:
    """The application; `checks` are the parts that whoever serves it depends on."""
    return create_service(
        settings, service=SERVICE, title="Flexmesh scheduler", checks=checks, docs_url=None, redoc_url=None
    )
