"""Supervisor of connectors that listen: each enabled one runs in one process, also after failures and edits."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from flexmodel.errors import FlexmeshError, Unavailable
from flexserve import logs
from flexstore.store import Store

from ingest.belief_writer import BeliefWriter
from ingest.connectors import repository
from ingest.connectors.connector_kind import ListenerContext, ListeningKind
from ingest.connectors.connector_runner import FIRST_WAIT, readable_errors, retry_delay
from ingest.connectors.fetched_series import FetchedSeries, FetchError, TemporaryFetchError
from ingest.connectors.loaded_connector import load_connector
from ingest.connectors.registry import LISTENING_KINDS
from ingest.connectors.repository import Connector
from ingest.connectors.series_writer import store_series

log = logs.get(__name__)

SYNCHRONIZE_SECONDS = 2.0
LEASE = timedelta(seconds=15)
"""Another process takes over after this time without an extension of the claim."""
RECORD_SECONDS = 10.0
"""Shortest time between two records that values were received."""


@dataclass
class RunningListener:
    """A connector that listens in this process, as it was at its start."""

    version: str
    connector: Connector
    task: "asyncio.Task[None]"


class ListenerSupervisor:
    """Keeps the listeners of this process running."""

    def __init__(self, store: Store, writer: BeliefWriter, *, private_addresses: bool) -> None:
        self.store = store
        self.writer = writer
        self.private_addresses = private_addresses
        self._listeners: dict[int, RunningListener] = {}

    async def run(self) -> None:
        """Run until cancelled, and stop all listeners then."""
        try:
            while True:
                try:
                    await self._synchronize()
                except Unavailable as error:
                    log.warning("connectors that listen cannot be looked up", error=error.message)
                except Exception:  # must not end the other listeners
                    log.exception("connectors that listen cannot be looked up")
                await asyncio.sleep(SYNCHRONIZE_SECONDS)
        finally:
            await self._stop(list(self._listeners))

    async def _synchronize(self) -> None:
        """Extend the claims, and start and stop listeners as the table says."""
        async with self.store.connection() as con:
            wanted_versions = await repository.load_listening_versions(con, LISTENING_KINDS)
            held = {
                number: await repository.extend_claim(con, listener.connector, LEASE)
                for number, listener in self._listeners.items()
            }
        await self._stop(
            [
                number
                for number, listener in self._listeners.items()
                if listener.task.done() or not held[number] or wanted_versions.get(number) != listener.version
            ]
        )
        for number in wanted_versions.keys() - self._listeners.keys():
            async with self.store.connection() as con:
                connector = await repository.claim(con, number, LEASE, forced=False)
            if connector is not None:
                task = asyncio.create_task(self._run_listener(connector))
                self._listeners[number] = RunningListener(wanted_versions[number], connector, task)

    async def _stop(self, numbers: Sequence[int]) -> None:
        tasks = [self._listeners.pop(number).task for number in numbers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run_listener(self, connector: Connector) -> None:
        with logs.bound(connector=connector.id, kind=connector.kind):
            try:
                with readable_errors(connector):
                    await self._deliver_until_closed(connector)
            except Unavailable as error:
                log.warning("a connector stops listening", reason=error.message)
            except FlexmeshError as error:
                log.warning("a connector stops listening", reason=error.message)
                async with self.store.connection() as con:
                    await repository.record_failure(con, connector, error.message, restart_delay(connector, error))
            finally:
                async with self.store.connection() as con:
                    await repository.release(con, connector)

    async def _deliver_until_closed(self, connector: Connector) -> None:
        loaded = await load_connector(self.store, connector)
        assert isinstance(loaded.kind, ListeningKind)
        last_record = 0.0

        async def deliver(series: Sequence[FetchedSeries]) -> None:
            nonlocal last_record
            stored = await store_series(self.store, self.writer, loaded, series)
            if monotonic() >= last_record + RECORD_SECONDS:
                last_record = monotonic()
                async with self.store.connection() as con:
                    await repository.record_values(con, connector, stored.data_until)

        context = ListenerContext(connector.id, loaded.sensors, deliver, self.store, self.private_addresses)
        await loaded.kind.listen(loaded.settings, context)
        raise FetchError("The other side ended the connection.")


def restart_delay(connector: Connector, error: FlexmeshError) -> timedelta:
    """Return the time until a restart: increasing after refusals, short after lost connections."""
    return FIRST_WAIT if isinstance(error, TemporaryFetchError) else retry_delay(connector, error)
