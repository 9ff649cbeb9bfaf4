"""One run of a connector: claim it, fetch part by part, store each part, and note how it went."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from traceback import format_exc
from typing import Any

from flexmodel.errors import Conflict, FlexmeshError, Invalid, NotFound, Unavailable
from flexserve import logs
from flexstore.series import WriteCounts
from flexstore.store import Store
from prometheus_client import Counter

from ingest.connectors import repository
from ingest.connectors.configuration import mask
from ingest.connectors.equipment import Equipped, equip
from ingest.connectors.fetched import NotFetched
from ingest.connectors.keeping import Kept, keep
from ingest.connectors.kinds import Ask, Puller
from ingest.connectors.registry import kind_of
from ingest.connectors.repository import Connector
from ingest.connectors.web import Web
from ingest.storing import Storage

log = logs.get(__name__)

RUNS = Counter("flexmesh_connector_runs", "Runs of connectors that were due, by kind and outcome.", ("kind", "outcome"))

LEASE = timedelta(seconds=30)
"""A run that has shown no sign of life for so long is thought dead."""
SIGN_SECONDS = 10.0
"""From one sign of life to the next."""
PART_SECONDS = 240.0
"""For fetching one part, attempts included."""
FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(days=1)
MOST_PARTS = 1_000

type Window = tuple[datetime, datetime]
type Tell = Callable[[datetime, WriteCounts], None]
"""Told up to when a run has come, and what it has stored until then."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a run."""

    written: WriteCounts = field(default_factory=WriteCounts)
    data_until: datetime | None = None
    """How far all series reach; None if one of them had nothing."""


class Running:
    """Runs connectors, any number at a time."""

    def __init__(self, store: Store, storage: Storage, web: Web) -> None:
        self.store = store
        self.storage = storage
        self.web = web

    async def run_due(self, number: int) -> None:
        """A run at its hour, if it is due and nobody else has begun it."""
        async with self.store.connection() as con:
            connector = await repository.claim(con, number, LEASE, forced=False)
        if connector is None:
            return
        with logs.bound(connector=connector.id, kind=connector.kind):
            try:
                async with self._noted(connector):
                    ran = await self._run(connector, None, None)
                    await self._succeed(connector, ran)
            except Unavailable:
                raise
            except FlexmeshError as error:
                RUNS.labels(connector.kind, "failed").inc()
                log.warning("a connector failed", reason=error.message, failures=connector.failures + 1)
                return
            RUNS.labels(connector.kind, "done").inc()
            log.info("a connector ran", new=ran.written.new, changed=ran.written.changed)

    async def run_now(self, number: int, window: Window | None = None, tell: Tell | None = None) -> Ran:
        """A run that somebody asked for. One over a window of its own says nothing about how the connector does."""
        async with self.store.connection() as con:
            found = await repository.find(con, number)
            if found is None:
                raise NotFound(f"There is no connector with id {number}.")
            if not isinstance(kind_of(found.kind), Puller):
                raise Conflict(f"A connector of kind {found.kind} listens all the time: there is nothing to run.")
            connector = await repository.claim(con, number, LEASE, forced=True)
        if connector is None:
            raise Conflict(f"Connector {number} is running right now.")
        async with self._noted(connector) if window is None else self._unnoted(connector):
            ran = await self._run(connector, window, tell)
            if window is None:
                await self._succeed(connector, ran)
        return ran

    async def _run(self, connector: Connector, window: Window | None, tell: Tell | None) -> Ran:
        equipped = await equip(self.store, connector)
        now = datetime.now(UTC)
        kind = equipped.kind
        assert isinstance(kind, Puller)
        start, end = window or kind.window(equipped.settings, now, connector.last_success_at)
        ran = Ran()
        async with self._alive(connector):
            for part in parts(start, end, kind.longest):
                async with self.store.connection() as con:
                    if not await repository.keep(con, connector, LEASE):
                        raise Conflict("Another run of this connector has taken over.")
                written, data_until = await self._fetch(equipped, kind, part, now)
                ran = Ran(ran.written + written, data_until)
                if tell is not None:
                    tell(part[1], ran.written)
        return ran

    @asynccontextmanager
    async def _alive(self, connector: Connector) -> AsyncIterator[None]:
        """Show signs of life for as long as it takes, so that nobody else takes over."""
        showing = asyncio.create_task(self._show_signs(connector))
        try:
            yield
        finally:
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)

    async def _show_signs(self, connector: Connector) -> None:
        while True:
            await asyncio.sleep(SIGN_SECONDS)
            with suppress(Unavailable):
                async with self.store.connection() as con:
                    await repository.keep(con, connector, LEASE)

    async def _fetch(self, equipped: Equipped, kind: Puller[Any], window: Window, now: datetime) -> Kept:
        ask = Ask(equipped.sensors, *window, now, self.web, equipped.places)
        try:
            async with asyncio.timeout(PART_SECONDS):
                fetched = await kind.fetch(equipped.settings, ask)
        except TimeoutError:
            raise NotFetched(f"It took longer than {PART_SECONDS:g} seconds.") from None
        except NotFetched as error:
            await keep(self.store, self.storage, equipped, error.fetched)
            raise
        return await keep(self.store, self.storage, equipped, fetched)

    async def _succeed(self, connector: Connector, ran: Ran) -> None:
        async with self.store.connection() as con:
            await repository.succeed(con, connector, ran.data_until)

    @asynccontextmanager
    async def _noted(self, connector: Connector) -> AsyncIterator[None]:
        """Note what goes wrong within, and when to try again. Raises it as an error with a sentence."""
        try:
            with in_words(connector):
                yield
        except (asyncio.CancelledError, Unavailable):
            await self._free(connector)
            raise
        except FlexmeshError as error:
            async with self.store.connection() as con:
                await repository.fail(con, connector, error.message, wait_after(connector, error))
            raise

    @asynccontextmanager
    async def _unnoted(self, connector: Connector) -> AsyncIterator[None]:
        try:
            with in_words(connector):
                yield
        finally:
            await self._free(connector)

    async def _free(self, connector: Connector) -> None:
        async with self.store.connection() as con:
            await repository.free(con, connector)


def parts(start: datetime, end: datetime, longest: timedelta) -> Iterator[Window]:
    """The window in parts that may be asked for at once."""
    if start >= end:
        raise Invalid({"to": [f"{end.isoformat()} is not after {start.isoformat()}."]})
    if (end - start) / longest > MOST_PARTS:
        raise Invalid({"from": [f"At most {MOST_PARTS * longest.days} days can be fetched at once."]})
    while start < end:
        until = min(start + longest, end)
        yield start, until
        start = until


def wait_after(connector: Connector, error: FlexmeshError) -> timedelta:
    """How long to wait after a failure: longer and longer up to the usual interval, or as long as the server says."""
    wait = min(FIRST_WAIT * 2 ** min(connector.failures, 30), max(connector.every, FIRST_WAIT))
    if isinstance(error, NotFetched) and error.retry_after is not None:
        wait = max(wait, min(timedelta(seconds=error.retry_after), LONGEST_WAIT))
    spread = random.uniform(1.0, 1.1)  # noqa: S311 - those that failed together should not return together
    return timedelta(seconds=wait.total_seconds() * spread)


@contextmanager
def in_words(connector: Connector) -> Iterator[None]:
    """Whatever goes wrong within is raised as an error with a sentence, in which there is no secret."""
    try:
        yield
    except Unavailable:
        raise
    except FlexmeshError as error:
        error.message = mask(error.message, connector.secrets)
        raise
    except Exception as error:
        log.error("a connector broke", traceback=mask(format_exc(), connector.secrets))
        raise NotFetched(f"Internal error ({type(error).__name__}). Please report it.") from None
