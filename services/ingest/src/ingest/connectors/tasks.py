"""The queue `connector`: beat puts on it what is due, workers run it. Several of both may be at work."""

from collections.abc import Sequence

from flexstore.store import Store
from flexwork.beat import Beat, Message
from flexwork.broker import BrokerApp
from flexwork.event_loop import BackgroundLoop

from ingest.connectors import repository
from ingest.connectors.registry import PULLED
from ingest.connectors.running import Running

QUEUE = "connector"


def make_task(app: BrokerApp, loop: BackgroundLoop, running: Running) -> None:
    """Register the task of the queue. The threads that run it share the store through the loop."""

    @app.task(name=QUEUE)
    def run_connector(connector: int) -> None:
        loop.call(running.run_due(connector))


def make_beat(app: BrokerApp, loop: BackgroundLoop, store: Store) -> Beat:
    """What finds the connectors whose time has come."""

    async def find_due() -> Sequence[Message]:
        async with store.connection() as con:
            return [(QUEUE, {"connector": number}) for number in await repository.due(con, PULLED)]

    return Beat(app, loop, find_due)
