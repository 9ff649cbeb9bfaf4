"""The connection to the database: one asyncpg pool that starts without the database and recovers when it is back."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Self

import asyncpg
import orjson
from asyncpg.pool import PoolConnectionProxy
from flexmodel.errors import Unavailable

from flexstore.migrations import newest_revision

log = logging.getLogger(__name__)

type PooledConnection = PoolConnectionProxy[asyncpg.Record]
type Connection = asyncpg.Connection[asyncpg.Record] | PooledConnection

CONNECTION_LOST_ERRORS = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.DatabaseDroppedError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.TooManyConnectionsError,
)
"""What the server says, or asyncpg in its place, when a connection ends or cannot begin."""

CONNECT_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""How asyncpg fails to open a connection, also when it breaks off half way. A TimeoutError is an OSError."""
CLOSE_SECONDS = 5.0
TIMEOUT_MESSAGE = "The database is too busy to answer in time. Please try again shortly."

NO_TIMEOUTS = {"statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0"}
"""For what takes as long as it takes, also where sessions are otherwise cut short: upgrades and backups."""
MAX_IDLE_KEPT = 4
"""So many connections are not given back to the pool while nobody waits for one: its ways of giving and taking back
cost more than a short statement does."""


class Store:
    """A pool of connections. A database that is away raises `Unavailable("database")`, and only while it is away."""

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
        """Open `min_size` connections; more are opened when needed, at most `max_size`.

        With `wait` unset, a database that is away does not matter yet: the first use connects.
        """
        pool = asyncpg.create_pool(
            url,
            min_size=0,  # asyncpg would fail now, or keep complaining later, when it cannot keep up a minimum
            max_size=max_size,
            timeout=acquire_timeout,
            command_timeout=statement_timeout + CLOSE_SECONDS,  # a server that lives cancels the statement before that
            init=_set_json_codec,
            reset=_skip_reset,
            server_settings={
                "application_name": application,
                "statement_timeout": str(round(1000 * statement_timeout)),
                "timezone": "UTC",
                "jit": "off",  # our statements are short: compiling them takes longer than running them
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
        """Have this many connections open at once, so that the first requests need not wait for them."""
        async with AsyncExitStack() as held:
            for _ in range(count):
                await held.enter_async_context(self.connection())

    def connection(self) -> "_ConnectionContext":
        """A connection on which every statement is its own transaction."""
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
        """End the use of a connection. What was done on it is done, whatever happens to it now."""
        if healthy and not self._waiting and len(self._kept) < MAX_IDLE_KEPT and not self._closing:
            self._kept.append(con)
            return
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            await self.pool.release(con)

    @property
    def in_use(self) -> int:
        """How many connections somebody uses at the moment."""
        return self.pool.get_size() - self.pool.get_idle_size() - len(self._kept)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PooledConnection]:
        """A connection in a transaction: committed at the end, rolled back when anything is raised."""
        async with self.connection() as con, con.transaction():
            yield con

    async def check(self, timeout: float = 2.0) -> None:  # noqa: ASYNC109 - it is what the caller wants to say
        """Raise `Unavailable` unless the database answers in time and has the tables that this version needs."""
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
        """Call `heard` at every notification on the channel, until cancelled or the connection ends.

        It is called once at the start too: what was said before we listened went unheard. The connection is not one of
        the pool, so listening takes nothing from the others.
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
        """Close the pool; connections still in use after a while are cut."""
        self._closing = True
        while self._kept:
            await self._release(self._kept.pop(), healthy=False)
        try:
            await asyncio.wait_for(self.pool.close(), CLOSE_SECONDS)
        except (TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            self.pool.terminate()


class _ConnectionContext:
    """The use of a connection, from taking it to giving it back."""

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
        dying = _is_closing(error)
        if dying:
            self._con.terminate()
        away = dying or _is_connection_lost(error, self._con)
        await self._store._release(self._con, healthy=False)
        if away:
            raise Unavailable("database") from error
        if isinstance(error, asyncpg.QueryCanceledError):
            # It took too long, most likely waiting for somebody: an upgrade that rebuilds the table of values, say.
            raise Unavailable("database", TIMEOUT_MESSAGE) from error


def _is_closing(error: BaseException) -> bool:
    """Whether the server has just said goodbye, and asyncpg had not noticed when it was asked to use the connection.

    What it says then may be hidden behind what went wrong when the transaction was to be rolled back.
    """
    if isinstance(error, asyncpg.InterfaceError) and error.__context__ is not None:
        return _is_closing(error.__context__)
    return isinstance(error, asyncpg.InternalClientError)


def _is_connection_lost(error: BaseException, con: PooledConnection) -> bool:
    """Whether what went wrong says that the database is away."""
    # The latter can also be mistakes of the caller, or trouble with something else: then the connection still lives.
    return isinstance(error, CONNECTION_LOST_ERRORS) or (
        isinstance(error, (asyncpg.InterfaceError, OSError)) and _has_ended(con)
    )


def _has_ended(con: PooledConnection) -> bool:
    try:
        return con.is_closed()
    except asyncpg.InterfaceError:  # the pool has already taken it back, because it has ended
        return True


def _to_json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY).decode()


async def _set_json_codec(con: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Make `jsonb` come and go as plain Python values."""
    await con.set_type_codec("jsonb", schema="pg_catalog", encoder=_to_json, decoder=orjson.loads)


async def _skip_reset(con: Any) -> None:
    """Nothing of ours leaves settings, locks or cursors on a connection, so no round trip is spent on tidying it."""
