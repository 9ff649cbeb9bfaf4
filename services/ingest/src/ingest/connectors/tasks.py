"""Tasks of connectors: beat sends those that are due, workers run them. Any number of both may run."""

from collections.abc import Sequence

from flexstore.store import Store
from flexwork.beat import Message
from flexwork.contracts import ConnectorMessage, Queue
from flexwork.worker_host import WorkerHost

from ingest.connectors import repository
from ingest.connectors.connector_runner import ConnectorRunner
from ingest.connectors.registry import POLLING_KINDS


def add_tasks(host: WorkerHost, store: Store, runner: ConnectorRunner) -> None:
    """Add the task that runs a connector, and the beat that sends those that are due."""

    async def run_connector(message: ConnectorMessage) -> None:
        await runner.run_due(message.connector)

    async def find_due() -> Sequence[Message]:
        async with store.connection() as con:
            due = await repository.announce_due(con, POLLING_KINDS)
        return [(Queue.CONNECTOR, ConnectorMessage(connector=number).to_payload()) for number in due]

    host.add_task(Queue.CONNECTOR, ConnectorMessage, run_connector)
    host.add_beat(find_due)
