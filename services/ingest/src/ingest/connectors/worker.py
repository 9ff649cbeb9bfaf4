"""What keeps connectors running: beat, a worker of their queue, and those that listen. Any number may be at work."""

from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass

from flexserve.app import create_app
from flexserve.health import Check
from flexstore.store import Store
from flexwork.beat import Beat
from flexwork.broker import celery_app
from flexwork.event_loop import BackgroundLoop
from flexwork.worker import LEAVE_SECONDS, Worker

from ingest.connectors.listening import Ears
from ingest.connectors.running import Running
from ingest.connectors.tasks import QUEUE, make_beat, make_task
from ingest.connectors.web import Limits, Web, opened
from ingest.settings import IngestSettings
from ingest.storing import Storage

SERVICE = "connectors"


@dataclass(frozen=True, slots=True)
class Parts:
    store: Store
    worker: Worker
    beat: Beat
    ears: Ears


async def prepare(settings: IngestSettings, loop: BackgroundLoop, stack: AsyncExitStack, *, wait: bool) -> Parts:
    """All that works on connectors, at rest; what the stack closes, must be closed on the loop."""
    store = await Store.connect(
        settings.database_url,
        max_size=settings.database_connections,
        application=f"flexmesh {SERVICE}",
        wait=wait,
    )
    stack.push_async_callback(store.close)
    web = await stack.enter_async_context(opened_web(settings))
    storage = Storage()
    app = celery_app(settings, SERVICE)
    make_task(app, loop, Running(store, storage, web))
    worker = Worker(app, queues=[QUEUE], concurrency=settings.worker_concurrency, loop=loop)
    ears = Ears(store, storage, private_addresses=settings.connector_private_addresses)
    return Parts(store, worker, make_beat(app, loop, store), ears)


def opened_web(settings: IngestSettings) -> AbstractAsyncContextManager[Web]:
    limits = Limits(settings.connector_timeout, settings.connector_max_bytes)
    return opened(limits, private_addresses=settings.connector_private_addresses)


def run(settings: IngestSettings) -> int:
    """Be a process of its own until SIGTERM or SIGINT; returns the exit code. Health and metrics are served."""
    loop = BackgroundLoop().start()
    parts = loop.call(prepare(settings, loop, AsyncExitStack(), wait=False))
    checks = [
        Check("database", lambda: parts.store.check(settings.readiness_timeout)),
        Check("broker", parts.worker.check),
    ]
    http = create_app(
        settings, service=SERVICE, title="Flexmesh connectors", checks=checks, docs_url=None, redoc_url=None
    )
    loop.spawn(parts.ears.run())
    parts.beat.start()
    try:
        return parts.worker.run(settings, http)
    finally:
        parts.beat.stop()


@contextmanager
def at_work(settings: IngestSettings) -> Iterator[Worker]:
    """In threads of this process, until the block ends."""
    with BackgroundLoop() as loop:
        stack = AsyncExitStack()
        parts = loop.call(prepare(settings, loop, stack, wait=True))
        listening = loop.spawn(parts.ears.run())
        parts.worker.start()
        parts.beat.start()
        try:
            yield parts.worker
        finally:
            parts.worker.stop(settings.shutdown_grace)
            parts.beat.stop()
            listening.cancel()
            wait((listening,), LEAVE_SECONDS)
            loop.call(stack.aclose())
