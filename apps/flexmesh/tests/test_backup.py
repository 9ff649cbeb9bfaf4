"""Backups: a restored database equals the saved one, or nothing is restored and the error says why."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import numpy as np
import pytest
from commands import Command
from database import scratch_database
from flexmesh import backup, postgres_clients
from flexmodel.errors import Conflict, FlexmeshError, Unavailable
from flexstore import daily_rollups, migrate, sources, timescale
from flexstore.checksums import TableChecksum, load_checksums, load_table_names
from flexstore.series import BeliefBatch, load_source_statistics, to_datetime64, write_beliefs
from flexstore.store import Store

FIRST = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=60)
HOUR = np.timedelta64(3_600_000_000, "us")


COMPRESS = "select compress_chunk(chunk) from show_chunks('belief', older_than => $1::timestamptz) chunk"


def silent(_: str) -> None:
    """Ignore progress."""


async def fill(url: str) -> None:
    """Insert a row of everything that is hard to restore: documents, arrays, durations, hashes, special numbers."""
    store = await Store.connect(url)
    async with store.connection() as con:
        account = await con.fetchval(
            "insert into account (name, attributes) values ('Ünïcode \"quoted\"', $1) returning id",
            {"a": [1, None, "x"]},
        )
        await con.execute(
            "insert into users (account_id, email, username, password_hash) values ($1, 'a@b.c', 'a', '$argon2id$x')",
            account,
        )
        asset = await con.fetchval(
            "insert into asset (name, account_id, asset_type_id) values ('a', $1, 5) returning id", account
        )
        sensor = await con.fetchval(
            "insert into sensor (asset_id, name, unit, event_resolution) values ($1, 'p', 'kW', '15 min') returning id",
            asset,
        )
        source = await sources.ensure(con, "meter", "user", version="1.10")
        values = np.array([1e-300, 1e100, 0.1, -7.0] * 350)
        await write_beliefs(
            con,
            BeliefBatch(sensor, to_datetime64(FIRST) + np.arange(1400) * HOUR, to_datetime64(FIRST), values, source),
        )
    await store.close()


async def content_of(url: str) -> dict[str, TableChecksum]:
    con = await asyncpg.connect(url)
    found = await load_checksums(con)
    await con.close()
    return found


async def table_names(url: str) -> list[str]:
    con = await asyncpg.connect(url)
    found = await load_table_names(con)
    await con.close()
    return found


@pytest.fixture
def empty(database_server: str) -> Iterator[str]:
    with scratch_database(database_server) as url:
        yield url


@pytest.fixture
async def saved(database_url: str, tmp_path: Path) -> Path:
    """A backup of a database with something in it."""
    await fill(database_url)
    await backup.dump(database_url, tmp_path / "it.dump", silent)
    return tmp_path / "it.dump"


async def test_what_is_restored_is_what_was_saved(database_url: str, empty: str, saved: Path) -> None:
    told: list[str] = []
    found = await backup.restore(empty, saved, told.append)
    assert await content_of(empty) == await content_of(database_url) == found.tables
    assert found.tables["belief"].rows == 1400
    assert any("belief" in line for line in told)
    con = await asyncpg.connect(empty)
    assert await con.fetchval("insert into account (name) values ('next') returning id") == 2
    await con.close()
    assert await migrate.upgrade(empty) == migrate.head_revision()


def test_only_its_owner_may_read_a_backup(saved: Path) -> None:
    assert saved.stat().st_mode & 0o777 == 0o600
    assert not list(saved.parent.glob("*.part"))


async def test_a_backup_is_of_one_moment_while_others_write(database_url: str, empty: str, tmp_path: Path) -> None:
    await fill(database_url)
    over = asyncio.Event()
    store = await Store.connect(database_url)

    async def write_on() -> None:
        number = 0
        while not over.is_set():
            async with store.connection() as con:
                at = np.array([to_datetime64(FIRST) + number * HOUR])
                await write_beliefs(con, BeliefBatch(99, at, to_datetime64(FIRST), np.array([1.0 * number]), 1))
            number += 1

    async with asyncio.TaskGroup() as work:
        work.create_task(write_on())
        described = await backup.dump(database_url, tmp_path / "it.dump", silent)
        over.set()
    await store.close()
    assert (await backup.restore(empty, tmp_path / "it.dump", silent)).tables == described.tables
    assert (await content_of(database_url))["belief"].rows > described.tables["belief"].rows


async def test_nobody_rebuilds_values_while_they_are_saved(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(database_url)
    find = postgres_clients.find_program
    con = await asyncpg.connect(database_url, server_settings={"lock_timeout": "50"})

    async def find_while_somebody_rebuilds(program: str, server: int, *, newer: bool) -> Path:
        with pytest.raises(asyncpg.LockNotAvailableError):
            await con.execute("truncate belief")
        return await find(program, server, newer=newer)

    monkeypatch.setattr(postgres_clients, "find_program", find_while_somebody_rebuilds)
    described = await backup.dump(database_url, tmp_path / "it.dump", silent)
    await con.close()
    assert described.tables["belief"].rows == 1400


async def test_a_database_that_is_not_empty_is_left_alone(database_url: str, saved: Path) -> None:
    before = await content_of(database_url)
    with pytest.raises(Conflict, match=r"not empty: it has \d+ tables \(account, .*set FLEXMESH_DATA_DIR"):
        await backup.restore(database_url, saved, silent)
    assert await content_of(database_url) == before


async def test_a_backup_that_exists_is_not_overwritten(database_url: str, saved: Path) -> None:
    before = saved.read_bytes()  # noqa: ASYNC240 - nothing else is to be done
    with pytest.raises(Conflict, match="exists already"):
        await backup.dump(database_url, saved, silent)
    assert saved.read_bytes() == before  # noqa: ASYNC240 - nothing else is to be done


async def test_a_directory_that_is_not_there(database_url: str, tmp_path: Path) -> None:
    with pytest.raises(FlexmeshError, match=r"Cannot write .*No such file or directory"):
        await backup.dump(database_url, tmp_path / "none" / "it.dump", silent)


async def test_an_empty_database_is_not_saved(empty: str, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="nothing to save"):
        await backup.dump(empty, tmp_path / "it.dump", silent)
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - nothing else is to be done


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])


def muddle(file: Path) -> None:
    file.write_bytes(b"something else")


@pytest.mark.parametrize(
    ("damage", "told"), [(cut, "pg_restore"), (muddle, "is no backup that"), (Path.unlink, "no file")]
)
async def test_of_a_damaged_backup_nothing_is_restored(
    empty: str, saved: Path, damage: Callable[[Path], None], told: str
) -> None:
    damage(saved)
    with pytest.raises(FlexmeshError, match=told):
        await backup.restore(empty, saved, silent)
    assert await table_names(empty) == []


async def test_what_differs_is_named(empty: str, saved: Path) -> None:
    description = saved.with_name("it.dump.json")
    told = json.loads(description.read_text())
    told["tables"]["belief"]["rows"] += 1
    told["tables"]["asset"]["checksum"] = "5"
    description.write_text(json.dumps(told))
    with pytest.raises(Conflict) as refused:
        await backup.restore(empty, saved, silent)
    assert (
        "asset: 1 rows were saved, 1 are there, with other values; belief: 1401 rows were saved, 1400 are there"
        in str(refused.value)
    )


async def test_a_backup_without_description_is_restored_and_not_compared(empty: str, saved: Path) -> None:
    saved.with_name("it.dump.json").unlink()
    assert (await backup.restore(empty, saved, silent)).tables["belief"].rows == 1400
    with pytest.raises(FlexmeshError, match=r"no .*it\.dump\.json"):
        await backup.compare(empty, saved)


async def test_a_backup_of_a_newer_version_is_refused(empty: str, saved: Path) -> None:
    description = saved.with_name("it.dump.json")
    description.write_text(json.dumps(json.loads(description.read_text()) | {"revision": "9999", "flexmesh": "77.0"}))
    with pytest.raises(Conflict, match=r"is of Flexmesh 77\.0 \(revision 9999\), and this is older"):
        await backup.restore(empty, saved, silent)
    assert await table_names(empty) == []


async def test_commands_save_compare_and_restore(
    database_url: str, empty: str, tmp_path: Path, flexmesh: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(database_url)
    file = tmp_path / "it.dump"

    async def run(url: str, *arguments: object, code: int = 0) -> str:
        monkeypatch.setenv("FLEXMESH_DATABASE_URL", url)
        output: str = (await asyncio.to_thread(flexmesh, *arguments, code=code)).output
        return output

    assert f"tables in {file} (0." in await run(database_url, "db", "dump", file)
    output = await run(empty, "db-ops", "restore", file)
    assert "Restored 14" in output
    assert "They are those that were saved." in output
    output = await run(empty, "db", "check", file)
    assert "belief\t1400\t" in output
    assert f"This is what {file} has." in output
    con = await asyncpg.connect(empty)
    await con.execute("update belief set event_value = 5 where event_start = $1", FIRST)
    await con.close()
    assert "belief: 1400 rows were saved, 1400 are there, with other values" in await run(
        empty, "db", "check", file, code=1
    )


@pytest.mark.parametrize(
    ("there", "server", "newer", "found"),
    [([15, 17, 18], 17, True, 17), ([15, 18], 17, True, 18), ([15, 18], 15, False, 15)],
)
async def test_the_program_that_suits_the_server_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: list[int], server: int, newer: bool, found: int
) -> None:
    use_programs(tmp_path, monkeypatch, there)
    assert await postgres_clients.find_program("pg_dump", server, newer=newer) == tmp_path / str(found) / "pg_dump"


@pytest.mark.parametrize(
    ("there", "newer", "told"),
    [
        ([], True, "pg_dump of PostgreSQL 17 or newer, as the server is, and there is none here"),
        ([15, 16], True, "there is only that of 15, 16. Install it"),
        ([18], False, "of PostgreSQL 17, as the server is, and there is only that of 18"),
    ],
)
async def test_without_a_suitable_program_it_is_said_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: list[int], newer: bool, told: str
) -> None:
    use_programs(tmp_path, monkeypatch, there)
    with pytest.raises(Unavailable) as refused:
        await postgres_clients.find_program("pg_dump", 17, newer=newer)
    assert told in refused.value.message


def use_programs(directory: Path, monkeypatch: pytest.MonkeyPatch, versions: list[int]) -> None:
    for version in versions:
        program = directory / str(version) / "pg_dump"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}.3 (Debian {version}.3-1)'\n")
        program.chmod(0o755)
    monkeypatch.setattr(
        postgres_clients, "program_directories", lambda: [directory / str(version) for version in versions]
    )


async def test_a_password_is_not_where_others_see_it(tmp_path: Path) -> None:
    program = tmp_path / "pg_dump"
    program.write_text('#!/bin/sh\necho "pg_dump: $* and $PGPASSWORD" >&2\n')
    program.chmod(0o755)
    said = [
        line
        async for line in postgres_clients.run(program, "postgresql://me:s%40cret@host:5/db?sslmode=require", ["-v"])
    ]
    assert said == ["--dbname=postgresql://me@host:5/db?sslmode=require -v and s@cret"]


async def test_timescale_is_saved_and_restored_with_all_it_made(
    timescale_url: str, timescale_server: str, empty: str, tmp_path: Path
) -> None:
    await fill(timescale_url)
    store = await Store.connect(timescale_url)
    async with store.connection() as con:
        await timescale.compress_after(con, timedelta(days=7))
        await con.execute(COMPRESS, FIRST + timedelta(days=50))
        await daily_rollups.refresh(store)
        before = await load_source_statistics(con, 1)
    await store.close()
    file = tmp_path / "it.dump"
    described = await backup.dump(timescale_url, file, silent)
    with scratch_database(timescale_server) as url:
        assert (await backup.restore(url, file, silent)).tables == described.tables
        restored = await Store.connect(url)
        async with restored.connection() as con:
            assert await timescale.is_fully_enabled(con)
            assert await con.fetchval("select sum(beliefs) from belief_per_day") > 1000
            assert await con.fetchval(
                "select bool_or(is_compressed) from timescaledb_information.chunks where hypertable_name = 'belief'"
            )
            assert await timescale.compress_after(con, timedelta(days=7))
            assert await load_source_statistics(con, 1) == before
            starts = to_datetime64(FIRST) + np.arange(200) * HOUR
            await write_beliefs(con, BeliefBatch(1, starts, to_datetime64(FIRST) + HOUR, np.arange(200.0), 1))
            await daily_rollups.refresh(restored)
            assert (await load_source_statistics(con, 1))[0].count == 1600
        await restored.close()
    async with backup.connect(empty) as con:
        plain = not await con.fetchval("select exists (select from pg_available_extensions where name = 'timescaledb')")
    if plain:
        with pytest.raises(Conflict, match="with TimescaleDB, and this server does not have it"):
            await backup.restore(empty, file, silent)
