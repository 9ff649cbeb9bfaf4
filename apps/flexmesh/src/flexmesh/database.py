"""The database of a command: the one in FLEXMESH_DATABASE_URL, else that of the one-process platform."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg
from flexmodel.errors import Conflict, Unavailable
from flexserve.settings import ServiceSettings, load
from flexstore.store import Connection, Store

from flexmesh import schema
from flexmesh.data_directory import DataDirectory, Lock, default_directory
from flexmesh.postgres import Postgres

type Query[T] = Callable[[Connection], Awaitable[T]]

LOCK_SECONDS = 10


@contextmanager
def database_url(*, ready: bool = True) -> Iterator[str]:
    """Yield the URL to connect to. Start the embedded database for the time of the command, unless it runs already.

    If `ready`, the embedded database has the tables of this version.
    """
    if os.environ.get("FLEXMESH_DATABASE_URL"):
        yield load(ServiceSettings).database_url
        return
    directory = DataDirectory(default_directory())
    directory.create()
    running = directory.read_running()
    if running is not None:
        yield str(running["database_url"])
        return
    with embedded(directory) as url:
        if ready:
            asyncio.run(schema.ensure(url))
        yield url


@contextmanager
def embedded(directory: DataDirectory) -> Iterator[str]:
    """Start the embedded database, yield its URL, and stop it."""
    lock = Lock(directory)
    acquire_with_retry(lock)
    server = Postgres(directory)
    try:
        yield server.start()
    finally:
        server.stop()
        lock.release()


def acquire_with_retry(lock: Lock) -> None:
    """Acquire the lock, and wait if another command uses the database for a moment."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return lock.acquire()
        except Conflict:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@asynccontextmanager
async def open_store(url: str) -> AsyncIterator[Store]:
    """Connect a store. Raises `Unavailable` if its tables are those of another version."""
    store = await Store.connect(url, max_size=4, application="flexmesh command")
    try:
        yield store
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
        message = "The database does not have the tables of this version: run `flexmesh db upgrade`."
        raise Unavailable("database", message) from None
    finally:
        await store.close()


def run_with_store[T](task: Callable[[Store], Awaitable[T]]) -> T:
    """Run a task on the database."""

    async def run(url: str) -> T:
        async with open_store(url) as store:
            return await task(store)

    with database_url() as url:
        return asyncio.run(run(url))


def run_in_transaction[T](task: Query[T]) -> T:
    """Run a task in one transaction."""

    async def run(store: Store) -> T:
        async with store.transaction() as connection:
            return await task(connection)

    return run_with_store(run)
