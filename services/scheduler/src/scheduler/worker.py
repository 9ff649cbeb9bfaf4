"""The scheduler's worker: takes jobs from the broker until it is told to stop."""

from flexserve.broker import celery_app
from flexserve.health import Check
from flexserve.loop import Loop
from flexserve.worker import Worker
from flexstore.store import Store

from scheduler.app import SERVICE, create_app
from scheduler.settings import SchedulerSettings
from scheduler.tasks import QUEUE, make_tasks


def run(settings: SchedulerSettings) -> int:
    """Work until SIGTERM or SIGINT; returns the exit code. Health and metrics are served meanwhile."""
    loop = Loop().start()
    store = loop.call(
        Store.connect(
            settings.database_url,
            max_size=settings.database_connections,
            application=f"flexmesh {SERVICE}",
            wait=False,
        )
    )
    app = celery_app(settings, SERVICE)
    make_tasks(app, store, loop, settings)
    worker = Worker(app, queues=[QUEUE], concurrency=settings.worker_concurrency, loop=loop)
    checks = [
        Check("database", lambda: store.ping(settings.readiness_timeout)),
        Check("broker", worker.check),
    ]
    return worker.run(settings, create_app(settings, checks))
