"""Worker of connectors: beat, the task of their queue, and the supervisor of listeners. Any number may run."""

from contextlib import AbstractAsyncContextManager, AbstractContextManager

from flexwork import worker_host
from flexwork.worker import Worker
from flexwork.worker_host import WorkerHost

from ingest.belief_writer import BeliefWriter
from ingest.connectors.connector_runner import ConnectorRunner
from ingest.connectors.http_client import HttpClient, ResponseLimits, open_client
from ingest.connectors.listener_supervisor import ListenerSupervisor
from ingest.connectors.tasks import add_tasks
from ingest.settings import IngestSettings

SERVICE = "connectors"


def run(settings: IngestSettings) -> int:
    """Run as a worker process until SIGTERM or SIGINT. Returns the exit code."""
    return worker_host.run(settings, SERVICE, lambda host: set_up(host, settings))


def running_in_threads(settings: IngestSettings) -> AbstractContextManager[Worker]:
    """Run in threads of this process until the block ends."""
    return worker_host.running_in_threads(settings, SERVICE, lambda host: set_up(host, settings))


async def set_up(host: WorkerHost, settings: IngestSettings) -> None:
    """Add the tasks of connectors and the supervisor of listeners to a worker."""
    store, writer = await host.open_store(), BeliefWriter()
    http = await host.stack.enter_async_context(open_http_client(settings))
    add_tasks(host, store, ConnectorRunner(store, writer, http))
    supervisor = ListenerSupervisor(store, writer, private_addresses=settings.connector_private_addresses)
    host.add_background(supervisor.run)


def open_http_client(settings: IngestSettings) -> AbstractAsyncContextManager[HttpClient]:
    """Open the HTTP client of connectors, with the limits of the settings."""
    limits = ResponseLimits(settings.connector_timeout, settings.connector_max_bytes)
    return open_client(limits, private_addresses=settings.connector_private_addresses)
