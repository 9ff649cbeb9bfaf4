"""Connectors that listen: each enabled one is kept listening by one process, again after it broke off or was edited."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from flexmodel.errors import FlexmeshError, Unavailable
from flexserve import logs
from flexstore.store import Store

from ingest.connectors import repository
from ingest.connectors.equipment import equip
from ingest.connectors.fetched import Fetched, NotFetched, Passing
from ingest.connectors.keeping import keep
from ingest.connectors.kinds import Listener, Listening
from ingest.connectors.registry import LISTENING
from ingest.connectors.repository import Connector
from ingest.connectors.running import FIRST_WAIT, in_words, wait_after
from ingest.storing import Storage

log = logs.get(__name__)

LOOK_SECONDS = 2.0
LEASE = timedelta(seconds=15)
"""After so long without a sign of life another process takes over."""
NOTE_SECONDS = 10.0
"""How often it is noted that values come, at most."""


@dataclass
class Ear:
    """A connector that listens here, as it was when it began."""

    version: str
    connector: Connector
    task: "asyncio.Task[None]"


class Ears:
    """Those that listen in this process."""

    def __init__(self, store: Store, storage: Storage, *, private_addresses: bool) -> None:
        self.store = store
        self.storage = storage
        self.private_addresses = private_addresses
        self._ears: dict[int, Ear] = {}

    async def run(self) -> None:
        """Until cancelled; then nobody listens here any more."""
        try:
            while True:
                try:
                    await self._look()
                except Unavailable as error:
                    log.warning("connectors that listen cannot be looked up", error=error.message)
                except Exception:  # whatever it is, the others go on listening
                    log.exception("connectors that listen cannot be looked up")
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await self._end(list(self._ears))

    async def _look(self) -> None:
        """Begin, end, and show signs of life, as the table says."""
        async with self.store.connection() as con:
            wanted = await repository.listening(con, LISTENING)
            held = {number: await repository.keep(con, ear.connector, LEASE) for number, ear in self._ears.items()}
        await self._end(
            [
                number
                for number, ear in self._ears.items()
                if ear.task.done() or not held[number] or wanted.get(number) != ear.version
            ]
        )
        for number in wanted.keys() - self._ears.keys():
            async with self.store.connection() as con:
                connector = await repository.claim(con, number, LEASE, forced=False)
            if connector is not None:
                task = asyncio.create_task(self._listen(connector))
                self._ears[number] = Ear(wanted[number], connector, task)

    async def _end(self, numbers: Sequence[int]) -> None:
        tasks = [self._ears.pop(number).task for number in numbers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, connector: Connector) -> None:
        with logs.bound(connector=connector.id, kind=connector.kind):
            try:
                with in_words(connector):
                    await self._listen_until_it_ends(connector)
            except Unavailable as error:
                log.warning("a connector stops listening", reason=error.message)
            except FlexmeshError as error:
                log.warning("a connector stops listening", reason=error.message)
                async with self.store.connection() as con:
                    await repository.fail(con, connector, error.message, rest_after(connector, error))
            finally:
                async with self.store.connection() as con:
                    await repository.free(con, connector)

    async def _listen_until_it_ends(self, connector: Connector) -> None:
        equipped = await equip(self.store, connector)
        assert isinstance(equipped.kind, Listener)
        noted = 0.0

        async def deliver(fetched: Sequence[Fetched]) -> None:
            nonlocal noted
            _, data_until = await keep(self.store, self.storage, equipped, fetched)
            if monotonic() >= noted + NOTE_SECONDS:
                noted = monotonic()
                async with self.store.connection() as con:
                    await repository.hear(con, connector, data_until)

        listening = Listening(connector.id, equipped.sensors, deliver, self.store, self.private_addresses)
        await equipped.kind.listen(equipped.settings, listening)
        raise NotFetched("The other side ended the connection.")


def rest_after(connector: Connector, error: FlexmeshError) -> timedelta:
    """How long to leave the other side alone: longer and longer if it does not want us, not if it is only away."""
    return FIRST_WAIT if isinstance(error, Passing) else wait_after(connector, error)
