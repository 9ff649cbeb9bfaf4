"""The tasks of connectors: beat publishes those that are due, workers run them. Any number of both may run."""

from collections.abc import Sequence

from flexstore.store import Store
from flexwork.beat import Message
from flexwork.contracts import ConnectorMessage, Queue
from flexwork.worker_host import WorkerHost

from ingest.connectors import repository
from ingest.connectors.registry import PULLED
from ingest.connectors.running import Running


def add_tasks(host: WorkerHost, store: Store, running: Running) -> None:
    """Consume the queue of connectors, and publish those that are due."""

    async def run_connector(message: ConnectorMessage) -> None:
        await running.run_due(message.connector)

    async def find_due() -> Sequence[Message]:
        async with store.connection() as con:
            due = await repository.due(con, PULLED)
        return [(Queue.CONNECTOR, ConnectorMessage(connector=number).to_payload()) for number in due]

    host.add_task(Queue.CONNECTOR, ConnectorMessage, run_connector)
    host.add_beat(find_due)
