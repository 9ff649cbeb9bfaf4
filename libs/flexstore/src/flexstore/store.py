"""Connections to the database: an asyncpg pool that starts without the database and recovers when it is back.

Types of connections, for signatures:

* **`Connection` is what a function takes** that executes SQL: `async def load_job(con: Connection, …)`. It accepts a
  connection of the pool and one opened directly with asyncpg. The caller decides whether it is in a transaction.
* `PooledConnection` is what `Store.connection` and `Store.transaction` yield. Only functions that pass on such a
  connection of the pool return this type; no function needs to demand it.
* `Store` is taken by functions that open connections themselves: those that run long, need several transactions, or
  listen for notifications.

Whoever sets a session-level setting, lock or cursor must undo it: connections return to the pool as they are.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Self

import asyncpg
import orjson
from asyncpg.pool import PoolConnectionProxy
from flexmodel.errors import Unavailable

from flexstore.migrations import newest_revision

log = logging.getLogger(__name__)

type PooledConnection = PoolConnectionProxy[asyncpg.Record]
"""A connection of the pool of a `Store`, valid until it is returned to the pool."""
type Connection = asyncpg.Connection[asyncpg.Record] | PooledConnection
"""Any connection to the database: the type of the parameter `con` of every function that executes SQL."""

CONNECTION_LOST_ERRORS = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.DatabaseDroppedError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.TooManyConnectionsError,
)
"""The errors of the server, or of asyncpg in its place, when a connection ends or cannot be opened."""

CONNECT_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""The errors of asyncpg when it cannot open a connection, including interruptions. A TimeoutError is an OSError."""
CLOSE_SECONDS = 5.0
TIMEOUT_MESSAGE = "The database is too busy to answer in time. Please try again shortly."

NO_TIMEOUTS = {"statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0"}
"""Server settings for sessions without time limits, whatever the defaults of the database: upgrades and backups."""
MAX_IDLE_KEPT = 4
"""The most connections that are kept outside the pool for reuse while no task waits for one: the pool's own acquire and
release take longer than a short statement."""


class Store:
    """A pool of connections to the database.

    While the database is unreachable, every use raises `Unavailable("database")`; afterwards it works again.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", url: str, acquire_timeout: float) -> None:
        self.pool = pool
        self.url = url
        self.acquire_timeout = acquire_timeout
        self._kept: list[PooledConnection] = []
        self._waiting = 0
        self._closing = False

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        min_size: int = 1,
        max_size: int = 10,
        application: str = "flexmesh",
        wait: bool = True,
        statement_timeout: float = 60.0,
        acquire_timeout: float = 5.0,
    ) -> Self:
        """Create a pool and open its first connections.

        Args:
            url: The URL of the database, `postgresql://…`.
            min_size: The number of connections to open now.
            max_size: The most connections that are open at a time.
            application: The application name that the server shows for the connections.
            wait: Raise if the database is unreachable. If False, the first use connects.
            statement_timeout: Seconds after which the server cancels a statement.
            acquire_timeout: Seconds to wait for a connection.

        Raises:
            Unavailable: The database is unreachable, and `wait` is set.
        """
        pool = asyncpg.create_pool(
            url,
            min_size=0,  # asyncpg would fail or log errors while it cannot maintain a minimum
            max_size=max_size,
            timeout=acquire_timeout,
            command_timeout=statement_timeout + CLOSE_SECONDS,  # a healthy server cancels the statement before that
            init=_set_json_codec,
            reset=_skip_reset,
            server_settings={
                "application_name": application,
                "statement_timeout": str(round(1000 * statement_timeout)),
                "timezone": "UTC",
                "jit": "off",  # statements are short: compiling them takes longer than running them
            },
        )
        await pool
        store = cls(pool, url, acquire_timeout)
        try:
            await store._open(min_size)
        except Unavailable:
            if wait:
                await store.close()
                raise
        return store

    async def _open(self, count: int) -> None:
        """Open this many connections, so that the first requests need not wait for them."""
        async with AsyncExitStack() as held:
            for _ in range(count):
                await held.enter_async_context(self.connection())

    def connection(self) -> "_ConnectionContext":
        """Acquire a connection on which every statement is its own transaction, as an async context manager.

        Raises:
            Unavailable: The database is unreachable, the connection ended, or a statement took too long.
        """
        return _ConnectionContext(self)

    async def _acquire(self) -> PooledConnection:
        while self._kept:
            con = self._kept.pop()
            if not _has_ended(con):
                return con
        self._waiting += 1
        try:
            return await self.pool.acquire(timeout=self.acquire_timeout)
        except CONNECT_ERRORS as error:
            log.warning("No connection to the database: %s: %s", type(error).__name__, error)
            raise Unavailable("database") from error
        finally:
            self._waiting -= 1

    async def _release(self, con: PooledConnection, *, healthy: bool) -> None:
        """Return a connection. Errors are ignored, because they cannot affect what was executed on it."""
        if healthy and not self._waiting and len(self._kept) < MAX_IDLE_KEPT and not self._closing:
            self._kept.append(con)
            return
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            await self.pool.release(con)

    @property
    def in_use(self) -> int:
        """The number of connections in use."""
        return self.pool.get_size() - self.pool.get_idle_size() - len(self._kept)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PooledConnection]:
        """Acquire a connection in a transaction: committed at the end, rolled back on any exception.

        Raises:
            Unavailable: As for `connection`.
        """
        async with self.connection() as con, con.transaction():
            yield con

    async def check(self, timeout: float = 2.0) -> None:  # noqa: ASYNC109 - part of the interface
        """Check that the database responds in time and has the tables that this version needs.

        Raises:
            Unavailable: It does not.
        """
        try:
            async with asyncio.timeout(timeout), self.connection() as con:
                revision = await con.fetchval("select version_num from alembic_version")
        except TimeoutError as error:
            raise Unavailable("database") from error
        except asyncpg.UndefinedTableError as error:
            raise Unavailable("database", "The database has no tables yet. Run `flexmesh db upgrade`.") from error
        if revision is None or revision < newest_revision():
            sentence = f"The database is at revision {revision}, and this version needs {newest_revision()}."
            raise Unavailable("database", f"{sentence} Run `flexmesh db upgrade`.")

    async def listen(self, channel: str, on_notification: Callable[[], None]) -> None:
        """Call `on_notification` at every notification on a channel, until cancelled or the connection ends.

        It is also called once at the start, because earlier notifications were missed. The connection is a separate
        one, so listening does not use up the pool.

        Raises:
            Unavailable: The connection cannot be opened, or has ended.
        """
        try:
            con: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(self.url, timeout=self.acquire_timeout)
        except CONNECT_ERRORS as error:
            raise Unavailable("database") from error
        ended = asyncio.Event()
        try:
            con.add_termination_listener(lambda _: ended.set())
            await con.add_listener(channel, lambda *_: on_notification())
            on_notification()
            await ended.wait()
        except (*CONNECTION_LOST_ERRORS, asyncpg.InterfaceError, OSError) as error:
            raise Unavailable("database") from error
        finally:
            con.terminate()
        raise Unavailable("database")

    async def close(self) -> None:
        """Close the pool. Connections still in use after `CLOSE_SECONDS` are terminated."""
        self._closing = True
        while self._kept:
            await self._release(self._kept.pop(), healthy=False)
        try:
            await asyncio.wait_for(self.pool.close(), CLOSE_SECONDS)
        except (TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            self.pool.terminate()


class _ConnectionContext:
    """The use of a connection from acquire to release, with errors translated to `Unavailable`."""

    __slots__ = ("_con", "_store")

    def __init__(self, store: Store) -> None:
        self._store = store
        self._con: PooledConnection

    async def __aenter__(self) -> PooledConnection:
        self._con = await self._store._acquire()
        return self._con

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None:
            await self._store._release(self._con, healthy=True)
            return
        closing = _is_closing(error)
        if closing:
            self._con.terminate()
        lost = closing or _is_connection_lost(error, self._con)
        await self._store._release(self._con, healthy=False)
        if lost:
            raise Unavailable("database") from error
        if isinstance(error, asyncpg.QueryCanceledError):
            # A timeout is most likely due to a lock, for example of an upgrade that rebuilds the table of beliefs.
            raise Unavailable("database", TIMEOUT_MESSAGE) from error


def _is_closing(error: BaseException) -> bool:
    """Return whether the server was closing the connection before asyncpg noticed.

    The error of asyncpg may be the context of the one that was raised by the attempt to roll back.
    """
    if isinstance(error, asyncpg.InterfaceError) and error.__context__ is not None:
        return _is_closing(error.__context__)
    return isinstance(error, asyncpg.InternalClientError)


def _is_connection_lost(error: BaseException, con: PooledConnection) -> bool:
    """Return whether an error means that the connection to the database is lost."""
    # The latter can also be mistakes of the caller or unrelated errors: then the connection is still open.
    return isinstance(error, CONNECTION_LOST_ERRORS) or (
        isinstance(error, (asyncpg.InterfaceError, OSError)) and _has_ended(con)
    )


def _has_ended(con: PooledConnection) -> bool:
    try:
        return con.is_closed()
    except asyncpg.InterfaceError:  # released to the pool already, because it has ended
        return True


def _to_json(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY).decode()


async def _set_json_codec(con: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Encode and decode `jsonb` as plain Python values."""
    await con.set_type_codec("jsonb", schema="pg_catalog", encoder=_to_json, decoder=orjson.loads)


async def _skip_reset(_: object) -> None:
    """Replace the reset of a returned connection, a round trip: users of connections leave no session state behind."""
