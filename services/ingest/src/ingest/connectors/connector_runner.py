"""Runs of connectors: claim, fetch and store part by part, record the outcome."""

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

from ingest.belief_writer import BeliefWriter
from ingest.connectors import repository
from ingest.connectors.connector_kind import FetchRequest, PollingKind
from ingest.connectors.fetched_series import FetchError
from ingest.connectors.http_client import HttpClient
from ingest.connectors.loaded_connector import LoadedConnector, load_connector, mask_secrets
from ingest.connectors.registry import get_kind
from ingest.connectors.repository import Connector
from ingest.connectors.series_writer import StoredSeries, store_series

log = logs.get(__name__)

RUNS = Counter("flexmesh_connector_runs", "Runs of connectors that were due, by kind and outcome.", ("kind", "outcome"))

LEASE = timedelta(seconds=30)
"""A claim that has not been extended for this time is lost."""
HEARTBEAT_SECONDS = 10.0
"""Time between extensions of a claim."""
PART_SECONDS = 240.0
"""Longest time for fetching one part, retries included."""
FIRST_WAIT = timedelta(minutes=1)
MAX_WAIT = timedelta(days=1)
MAX_PARTS = 1_000

type TimeWindow = tuple[datetime, datetime]
type ReportProgress = Callable[[datetime, WriteCounts], None]
"""Called with the end of the last stored part and the counts so far."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """Result of a run."""

    written: WriteCounts = field(default_factory=WriteCounts)
    data_until: datetime | None = None
    """Time up to which all series are known; None if one of them has no value."""


class ConnectorRunner:
    """Runs connectors, any number at the same time."""

    def __init__(self, store: Store, writer: BeliefWriter, http: HttpClient) -> None:
        self.store = store
        self.writer = writer
        self.http = http

    async def run_due(self, number: int) -> None:
        """Run a connector if it is due and nobody else runs it."""
        async with self.store.connection() as con:
            connector = await repository.claim(con, number, LEASE, forced=False)
        if connector is None:
            return
        with logs.bound(connector=connector.id, kind=connector.kind):
            try:
                async with self._failures_recorded(connector):
                    result = await self._run(connector, None, None)
                    await self._record_success(connector, result)
            except Unavailable:
                raise
            except FlexmeshError as error:
                RUNS.labels(connector.kind, "failed").inc()
                log.warning("a connector failed", reason=error.message, failures=connector.failures + 1)
                return
            RUNS.labels(connector.kind, "done").inc()
            log.info("a connector ran", new=result.written.new, changed=result.written.changed)

    async def run_now(
        self, number: int, window: TimeWindow | None = None, report_progress: ReportProgress | None = None
    ) -> RunResult:
        """Run a connector on demand. The outcome is recorded only if no window is given.

        Raises:
            NotFound: There is no such connector.
            Conflict: The connector is running, or is of a kind that listens.
        """
        async with self.store.connection() as con:
            connector_row = await repository.load(con, number)
            if connector_row is None:
                raise NotFound(f"There is no connector with id {number}.")
            if not isinstance(get_kind(connector_row.kind), PollingKind):
                raise Conflict(
                    f"A connector of kind {connector_row.kind} listens all the time: there is nothing to run."
                )
            connector = await repository.claim(con, number, LEASE, forced=True)
        if connector is None:
            raise Conflict(f"Connector {number} is running right now.")
        async with self._failures_recorded(connector) if window is None else self._released_afterwards(connector):
            result = await self._run(connector, window, report_progress)
            if window is None:
                await self._record_success(connector, result)
        return result

    async def _run(
        self, connector: Connector, window: TimeWindow | None, report_progress: ReportProgress | None
    ) -> RunResult:
        loaded = await load_connector(self.store, connector)
        now = datetime.now(UTC)
        kind = loaded.kind
        assert isinstance(kind, PollingKind)
        start, end = window or kind.window(loaded.settings, now, connector.last_success_at)
        result = RunResult()
        async with self._claim_extended(connector):
            for part in split_window(start, end, kind.max_window):
                async with self.store.connection() as con:
                    if not await repository.extend_claim(con, connector, LEASE):
                        raise Conflict("Another run of this connector has taken over.")
                stored = await self._fetch(loaded, kind, part, now)
                result = RunResult(result.written + stored.counts, stored.data_until)
                if report_progress is not None:
                    report_progress(part[1], result.written)
        return result

    @asynccontextmanager
    async def _claim_extended(self, connector: Connector) -> AsyncIterator[None]:
        """Extend the claim regularly within the block."""
        heartbeat = asyncio.create_task(self._extend_claim(connector))
        try:
            yield
        finally:
            heartbeat.cancel()
            await asyncio.gather(heartbeat, return_exceptions=True)

    async def _extend_claim(self, connector: Connector) -> None:
        """Extend the claim until cancelled."""
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            with suppress(Unavailable):
                async with self.store.connection() as con:
                    await repository.extend_claim(con, connector, LEASE)

    async def _fetch(
        self, loaded: LoadedConnector, kind: PollingKind[Any], window: TimeWindow, now: datetime
    ) -> StoredSeries:
        """Fetch and store one part. What was fetched before an error is stored too."""
        request = FetchRequest(loaded.sensors, *window, now, self.http, loaded.locations)
        try:
            async with asyncio.timeout(PART_SECONDS):
                fetched = await kind.fetch(loaded.settings, request)
        except TimeoutError:
            raise FetchError(f"It took longer than {PART_SECONDS:g} seconds.") from None
        except FetchError as error:
            await store_series(self.store, self.writer, loaded, error.partial)
            raise
        return await store_series(self.store, self.writer, loaded, fetched)

    async def _record_success(self, connector: Connector, result: RunResult) -> None:
        async with self.store.connection() as con:
            await repository.record_success(con, connector, result.data_until)

    @asynccontextmanager
    async def _failures_recorded(self, connector: Connector) -> AsyncIterator[None]:
        """Record a failure within the block and the time of the next attempt, and raise it as a readable error."""
        try:
            with readable_errors(connector):
                yield
        except (asyncio.CancelledError, Unavailable):
            await self._release(connector)
            raise
        except FlexmeshError as error:
            async with self.store.connection() as con:
                await repository.record_failure(con, connector, error.message, retry_delay(connector, error))
            raise

    @asynccontextmanager
    async def _released_afterwards(self, connector: Connector) -> AsyncIterator[None]:
        """Release the claim after the block, without a record of the outcome."""
        try:
            with readable_errors(connector):
                yield
        finally:
            await self._release(connector)

    async def _release(self, connector: Connector) -> None:
        async with self.store.connection() as con:
            await repository.release(con, connector)


def split_window(start: datetime, end: datetime, max_length: timedelta) -> Iterator[TimeWindow]:
    """Split a window into parts of at most `max_length`."""
    if start >= end:
        raise Invalid({"to": [f"{end.isoformat()} is not after {start.isoformat()}."]})
    if (end - start) / max_length > MAX_PARTS:
        raise Invalid({"from": [f"At most {MAX_PARTS * max_length.days} days can be fetched at once."]})
    while start < end:
        until = min(start + max_length, end)
        yield start, until
        start = until


def retry_delay(connector: Connector, error: FlexmeshError) -> timedelta:
    """Return the wait after a failure: increasing up to the interval, or as long as the server asks for."""
    wait = min(FIRST_WAIT * 2 ** min(connector.failures, 30), max(connector.every, FIRST_WAIT))
    if isinstance(error, FetchError) and error.retry_after is not None:
        wait = max(wait, min(timedelta(seconds=error.retry_after), MAX_WAIT))
    spread = random.uniform(1.0, 1.1)  # noqa: S311 - spreads the retries of connectors that failed together
    return timedelta(seconds=wait.total_seconds() * spread)


@contextmanager
def readable_errors(connector: Connector) -> Iterator[None]:
    """Raise any exception within the block as an error with a sentence, without secrets."""
    try:
        yield
    except Unavailable:
        raise
    except FlexmeshError as error:
        error.message = mask_secrets(error.message, connector.secrets)
        raise
    except Exception as error:
        log.error("a connector broke", traceback=mask_secrets(format_exc(), connector.secrets))
        raise FetchError(f"Internal error ({type(error).__name__}). Please report it.") from None
