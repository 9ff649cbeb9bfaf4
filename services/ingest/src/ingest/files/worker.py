"""What stores uploads that were too large to be stored while their sender waited: a worker of their queue."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from flexserve.app import create_app
from flexserve.health import Check
from flexstore.store import Store
from flexwork.broker import celery_app
from flexwork.event_loop import BackgroundLoop
from flexwork.worker import Worker

from ingest.files.apart import store_apart
from ingest.files.repository import QUEUE
from ingest.files.tasks import Work, make_tasks, work_of
from ingest.settings import IngestSettings

SERVICE = "uploads"


def worker_of(settings: IngestSettings, loop: BackgroundLoop, work: Work) -> Worker:
    app = celery_app(settings, SERVICE)
    make_tasks(app, loop, work)
    return Worker(app, queues=[QUEUE], concurrency=settings.upload_concurrency, loop=loop)


def run(settings: IngestSettings) -> int:
    """Be a process of its own until SIGTERM or SIGINT; returns the exit code. Health and metrics are served."""
    loop = BackgroundLoop().start()
    connecting = Store.connect(
        settings.database_url, max_size=settings.database_connections, application=f"flexmesh {SERVICE}", wait=False
    )
    store = loop.call(connecting)
    worker = worker_of(settings, loop, work_of(store, settings))
    checks = [
        Check("database", lambda: store.check(settings.readiness_timeout)),
        Check("broker", worker.check),
    ]
    http = create_app(settings, service=SERVICE, title="Flexmesh uploads", checks=checks, docs_url=None, redoc_url=None)
    return worker.run(settings, http)


@contextmanager
def at_work(settings: IngestSettings) -> Iterator[Worker]:
    """In threads of this process, until the block ends; what a job takes of memory is that of a process of its own."""
    with BackgroundLoop() as loop:
        worker = worker_of(settings, loop, partial(store_apart, settings))
        worker.start()
        try:
            yield worker
        finally:
            worker.stop(settings.shutdown_grace)
