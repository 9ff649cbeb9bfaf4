"""What stores uploads that were too large to be stored while their sender waited: a worker of their queue."""

from collections.abc import Iterator
from contextlib import contextmanager

from flexserve.app import create_app
from flexserve.broker import celery_app
from flexserve.health import Check
from flexserve.loop import Loop
from flexserve.worker import Worker
from flexstore.store import Store

from ingest.data.repository import UserSources
from ingest.files.repository import QUEUE
from ingest.files.service import Uploading, limits_of
from ingest.files.tasks import make_tasks
from ingest.settings import IngestSettings
from ingest.storing import Storage

SERVICE = "uploads"


def connect(settings: IngestSettings, loop: Loop, *, wait: bool) -> Store:
    return loop.call(
        Store.connect(
            settings.database_url,
            max_size=settings.database_connections,
            application=f"flexmesh {SERVICE}",
            wait=wait,
        )
    )


def worker_of(settings: IngestSettings, loop: Loop, store: Store) -> Worker:
    app = celery_app(settings, SERVICE)
    make_tasks(app, store, loop, Uploading(Storage(), UserSources(), limits_of(settings)))
    return Worker(app, queues=[QUEUE], concurrency=settings.upload_concurrency, loop=loop)


def run(settings: IngestSettings) -> int:
    """Be a process of its own until SIGTERM or SIGINT; returns the exit code. Health and metrics are served."""
    loop = Loop().start()
    store = connect(settings, loop, wait=False)
    worker = worker_of(settings, loop, store)
    checks = [
        Check("database", lambda: store.ping(settings.readiness_timeout)),
        Check("broker", worker.check),
    ]
    http = create_app(settings, service=SERVICE, title="Flexmesh uploads", checks=checks, docs_url=None, redoc_url=None)
    return worker.run(settings, http)


@contextmanager
def at_work(settings: IngestSettings) -> Iterator[Worker]:
    """In threads of this process, until the block ends."""
    with Loop() as loop:
        store = connect(settings, loop, wait=True)
        worker = worker_of(settings, loop, store)
        worker.start()
        try:
            yield worker
        finally:
            worker.stop(settings.shutdown_grace)
            loop.call(store.close())
