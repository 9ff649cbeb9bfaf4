"""The worker of connectors: beat, the tasks of their queue, and the listening ones. Any number may run."""

from contextlib import AbstractAsyncContextManager, AbstractContextManager

from flexwork import worker_host
from flexwork.worker import Worker
from flexwork.worker_host import WorkerHost

from ingest.connectors.listening import Ears
from ingest.connectors.running import Running
from ingest.connectors.tasks import add_tasks
from ingest.connectors.web import Limits, Web, opened
from ingest.settings import IngestSettings
from ingest.storing import Storage

SERVICE = "connectors"


def run(settings: IngestSettings) -> int:
    """Be a worker process until SIGTERM or SIGINT. Returns the exit code."""
    return worker_host.run(settings, SERVICE, lambda host: set_up(host, settings))


def running_in_threads(settings: IngestSettings) -> AbstractContextManager[Worker]:
    """Work in threads of this process, until the block ends."""
    return worker_host.running_in_threads(settings, SERVICE, lambda host: set_up(host, settings))


async def set_up(host: WorkerHost, settings: IngestSettings) -> None:
    """Run connectors that are due, and keep up those that listen."""
    store, storage = await host.open_store(), Storage()
    web = await host.stack.enter_async_context(opened_web(settings))
    add_tasks(host, store, Running(store, storage, web))
    host.add_background(Ears(store, storage, private_addresses=settings.connector_private_addresses).run)


def opened_web(settings: IngestSettings) -> AbstractAsyncContextManager[Web]:
    """Return the way of connectors into the network."""
    limits = Limits(settings.connector_timeout, settings.connector_max_bytes)
    return opened(limits, private_addresses=settings.connector_private_addresses)
