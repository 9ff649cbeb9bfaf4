"""Migrations make the tables that are declared, once, however often and by however many they are run."""

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import flexstore.tables
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flexmodel.errors import Conflict, Forbidden, Unavailable
from flexstore import migrate, timescale
from flexstore.checksums import TableChecksum, load_checksums
from flexstore.store import Store
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from waiting import until

TYPES = ["solar", "wind", "one-way_evse", "two-way_evse", "battery", "building", "process", "heat-storage"]
ROLES = {"admin", "admin-reader", "account-admin", "account-reader", "consultant"}


async def differences(url: str) -> list[Any]:
    """What Alembic would change to make the database what `flexstore.tables` declares."""

    def compare(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        found: list[Any] = compare_metadata(context, flexstore.tables.SQLModel.metadata)
        return found

    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url))
    async with engine.connect() as connection:
        found = await connection.run_sync(compare)
    await engine.dispose()
    return found


async def test_the_database_is_what_the_tables_declare(empty_url: str) -> None:
    assert await differences(empty_url) != []
    await migrate.upgrade(empty_url)
    assert await differences(empty_url) == []


async def test_it_can_run_twice_and_by_several_at_once(empty_url: str) -> None:
    assert await migrate.load_revision(empty_url) is None
    assert set(await asyncio.gather(*(migrate.upgrade(empty_url) for _ in range(4)))) == {migrate.head_revision()}
    assert await migrate.upgrade(empty_url) == migrate.head_revision()
    assert await migrate.load_revision(empty_url) == migrate.head_revision()


async def test_a_database_is_of_use_when_it_has_the_tables_of_this_version(empty_url: str) -> None:
    store = await Store.connect(empty_url)
    with pytest.raises(Unavailable, match=r"has no tables yet\. Run `flexmesh db upgrade`"):
        await store.check()
    await migrate.upgrade(empty_url)
    await store.check()
    async with store.connection() as con:
        await con.execute("update alembic_version set version_num = '0011'")
        with pytest.raises(Unavailable, match=f"at revision 0011, and this version needs {migrate.head_revision()}"):
            await store.check()
        await con.execute("update alembic_version set version_num = '9999'")  # another replica is newer already
        await store.check()
    await store.close()


async def test_values_survive_every_step_from_the_first_revision(empty_url: str) -> None:
    revisions = [script.revision for script in migrate._scripts().walk_revisions()][::-1]

    async def at(revision: str) -> None:
        async with migrate._open_session(empty_url) as (_, connection):
            await connection.run_sync(lambda sync: command.upgrade(migrate._config(sync), revision))
            await connection.commit()

    async def beliefs() -> TableChecksum:
        con = await asyncpg.connect(empty_url)
        found = await load_checksums(con)
        await con.close()
        return found["belief"]

    await at(revisions[0])
    con = await asyncpg.connect(empty_url)
    await con.execute(
        "insert into belief select n % 3, to_timestamp(900 * n), now(), 1, 0.5, n from generate_series(1, 500) n"
    )
    await con.close()
    before = await beliefs()
    assert before.rows == 500
    for revision in revisions[1:]:
        await at(revision)
        assert await beliefs() == before, revision
    await migrate.upgrade(empty_url)
    assert await beliefs() == before


async def test_asset_types_and_roles_are_there(store: Store) -> None:
    async with store.connection() as con:
        types = await con.fetch("select id, name from asset_type order by id")
        roles = await con.fetch("select name from role")
        added = await con.fetchval("insert into asset_type (name) values ('kettle') returning id")
    assert [(row["id"], row["name"]) for row in types] == list(enumerate([*TYPES, "transmission zone"], 1))
    assert {row["name"] for row in roles} == ROLES
    assert added == 10


async def test_a_database_of_a_newer_version_is_refused_in_words(empty_url: str) -> None:
    await migrate.upgrade(empty_url)
    con = await asyncpg.connect(empty_url)
    await con.execute("update alembic_version set version_num = '9999'")
    await con.close()
    with pytest.raises(Conflict, match=r"revision 9999, which this version of Flexmesh \(newest revision \d+\) does"):
        await migrate.upgrade(empty_url)


@pytest.mark.parametrize("url", ["postgresql://nobody@127.0.0.1:1/nothing"])
async def test_a_database_that_is_away_is_said_to_be(url: str) -> None:
    with pytest.raises(Unavailable, match="Cannot connect to the database: "):
        await migrate.upgrade(url)


async def test_who_may_not_is_told_so(url: str, somebody: Callable[[str], str]) -> None:
    with pytest.raises(Forbidden, match="may not do that: permission denied for table alembic_version"):
        await migrate.upgrade(somebody(url))


async def test_an_upgrade_takes_as_long_as_it_takes(empty_url: str) -> None:
    con = await asyncpg.connect(empty_url)
    await con.execute(f'alter database "{urlsplit(empty_url).path[1:]}" set statement_timeout = 1')
    await con.close()
    assert await migrate.upgrade(empty_url) == migrate.head_revision()


async def test_a_migration_that_loses_the_database_says_so_and_leaves_nothing_half_done(empty_url: str) -> None:
    blocker = await asyncpg.connect(empty_url)
    await blocker.execute("select pg_advisory_lock($1)", migrate.LOCK)
    waiting = asyncio.create_task(migrate.upgrade(empty_url))
    await until(
        lambda: blocker.fetchval(
            "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and not granted"
            " and database = (select oid from pg_database where datname = current_database())"
        )
    )
    with pytest.raises(Unavailable):
        await waiting
    await blocker.close()
    assert await migrate.load_revision(empty_url) is None


async def test_timescale_is_used_if_and_only_if_the_server_has_it(url: str) -> None:
    con = await asyncpg.connect(url)
    offered = await con.fetchval(timescale.SELECT_VERSION) is not None and await con.fetchval(timescale.IS_PRELOADED)
    assert await timescale.enable(con) == offered
    await con.close()


async def test_a_deleted_sensor_takes_its_beliefs_along(store: Store, add_site: Any, add_sensor: Any) -> None:
    account, asset = await add_site()
    gone, kept = await add_sensor(asset), await add_sensor((await add_site("other"))[1])
    add_belief = "insert into belief values ($1, now(), now(), 1, 0.5, 1)"
    async with store.connection() as con:
        await con.execute(add_belief, gone)
        await con.execute(add_belief, kept)
        await con.execute("delete from account where id = $1", account)
        assert [row["sensor_id"] for row in await con.fetch("select sensor_id from belief")] == [kept]
