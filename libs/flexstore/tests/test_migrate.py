"""Migrations create the declared tables, however often and by however many processes they are run."""

import asyncio
from collections.abc import Awaitable, Callable
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

type AddSite = Callable[..., Awaitable[tuple[int, int]]]
type AddSensor = Callable[..., Awaitable[int]]

TYPES = ["solar", "wind", "one-way_evse", "two-way_evse", "battery", "building", "process", "heat-storage"]
ROLES = {"admin", "admin-reader", "account-admin", "account-reader", "consultant"}


async def differences(url: str) -> list[Any]:
    """Return the changes that Alembic would make so that the database matches `flexstore.tables`."""

    def compare(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        found: list[Any] = compare_metadata(context, flexstore.tables.SQLModel.metadata)
        return found

    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url))
    async with engine.connect() as connection:
        found = await connection.run_sync(compare)
    await engine.dispose()
    return found


async def test_the_schema_matches_the_declared_tables(empty_url: str) -> None:
    assert await differences(empty_url) != []
    await migrate.upgrade(empty_url)
    assert await differences(empty_url) == []


async def test_upgrades_can_run_twice_and_concurrently(empty_url: str) -> None:
    assert await migrate.load_revision(empty_url) is None
    assert set(await asyncio.gather(*(migrate.upgrade(empty_url) for _ in range(4)))) == {migrate.head_revision()}
    assert await migrate.upgrade(empty_url) == migrate.head_revision()
    assert await migrate.load_revision(empty_url) == migrate.head_revision()


async def test_the_check_requires_the_tables_of_this_version(empty_url: str) -> None:
    store = await Store.connect(empty_url)
    with pytest.raises(Unavailable, match=r"has no tables yet\. Run `flexmesh db upgrade`"):
        await store.check()
    await migrate.upgrade(empty_url)
    await store.check()
    async with store.connection() as con:
        await con.execute("update alembic_version set version_num = '0011'")
        with pytest.raises(Unavailable, match=f"at revision 0011, and this version needs {migrate.head_revision()}"):
            await store.check()
        await con.execute("update alembic_version set version_num = '9999'")  # upgraded by a newer replica
        await store.check()
    await store.close()


async def test_values_survive_every_migration(empty_url: str) -> None:
    revisions = [script.revision for script in migrate._scripts().walk_revisions()][::-1]

    async def upgrade_to(revision: str) -> None:
        async with migrate._open_session(empty_url) as (_, connection):
            await connection.run_sync(lambda sync: command.upgrade(migrate._config(sync), revision))
            await connection.commit()

    async def belief_checksum() -> TableChecksum:
        con = await asyncpg.connect(empty_url)
        found = await load_checksums(con)
        await con.close()
        return found["belief"]

    await upgrade_to(revisions[0])
    con = await asyncpg.connect(empty_url)
    await con.execute(
        "insert into belief select n % 3, to_timestamp(900 * n), now(), 1, 0.5, n from generate_series(1, 500) n"
    )
    await con.close()
    before = await belief_checksum()
    assert before.rows == 500
    for revision in revisions[1:]:
        await upgrade_to(revision)
        assert await belief_checksum() == before, revision
    await migrate.upgrade(empty_url)
    assert await belief_checksum() == before


async def test_asset_types_and_roles_exist(store: Store) -> None:
    async with store.connection() as con:
        types = await con.fetch("select id, name from asset_type order by id")
        roles = await con.fetch("select name from role")
        added = await con.fetchval("insert into asset_type (name) values ('kettle') returning id")
    assert [(row["id"], row["name"]) for row in types] == list(enumerate([*TYPES, "transmission zone"], 1))
    assert {row["name"] for row in roles} == ROLES
    assert added == 10


async def test_databases_of_a_newer_version_are_rejected(empty_url: str) -> None:
    await migrate.upgrade(empty_url)
    con = await asyncpg.connect(empty_url)
    await con.execute("update alembic_version set version_num = '9999'")
    await con.close()
    with pytest.raises(Conflict, match=r"revision 9999, which this version of Flexmesh \(newest revision \d+\) does"):
        await migrate.upgrade(empty_url)


@pytest.mark.parametrize("url", ["postgresql://nobody@127.0.0.1:1/nothing"])
async def test_unreachable_databases_are_reported(url: str) -> None:
    with pytest.raises(Unavailable, match="Cannot connect to the database: "):
        await migrate.upgrade(url)


async def test_missing_privileges_are_reported(url: str, unprivileged_url: Callable[[str], str]) -> None:
    with pytest.raises(Forbidden, match="may not do that: permission denied for table alembic_version"):
        await migrate.upgrade(unprivileged_url(url))


async def test_upgrades_have_no_time_limit(empty_url: str) -> None:
    con = await asyncpg.connect(empty_url)
    await con.execute(f'alter database "{urlsplit(empty_url).path[1:]}" set statement_timeout = 1')
    await con.close()
    assert await migrate.upgrade(empty_url) == migrate.head_revision()


async def test_an_upgrade_that_loses_the_connection_leaves_nothing(empty_url: str) -> None:
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


async def test_timescale_is_used_if_available(url: str) -> None:
    con = await asyncpg.connect(url)
    offered = await con.fetchval(timescale.SELECT_VERSION) is not None and await con.fetchval(timescale.IS_PRELOADED)
    assert await timescale.enable(con) == offered
    await con.close()


async def test_beliefs_are_deleted_with_their_sensor(store: Store, add_site: AddSite, add_sensor: AddSensor) -> None:
    account, asset = await add_site()
    gone, kept = await add_sensor(asset), await add_sensor((await add_site("other"))[1])
    add_belief = "insert into belief values ($1, now(), now(), 1, 0.5, 1)"
    async with store.connection() as con:
        await con.execute(add_belief, gone)
        await con.execute(add_belief, kept)
        await con.execute("delete from account where id = $1", account)
        assert [row["sensor_id"] for row in await con.fetch("select sensor_id from belief")] == [kept]
