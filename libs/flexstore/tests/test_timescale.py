"""With a real TimescaleDB: upgrades of a database in use, and late values in compressed chunks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import asyncpg
import numpy as np
import pytest
from alembic import command
from database import scratch_database
from flexstore import daily_rollups, migrate, timescale
from flexstore.checksums import TableChecksum, load_checksums
from flexstore.series import (
    BeliefBatch,
    SeriesQuery,
    WriteCounts,
    load_series,
    load_source_statistics,
    to_datetime64,
    write_beliefs,
)
from flexstore.store import Connection, Store

type AddHouse = Callable[..., Awaitable[int]]

HOUR = np.timedelta64(3_600_000_000, "us")
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
FIRST = TODAY - timedelta(days=100)


@pytest.fixture
def empty_timescale(timescale_server: str) -> Iterator[str]:
    """A database without tables, on a server with TimescaleDB."""
    with scratch_database(timescale_server) as url:
        yield url


@pytest.fixture
async def plain(empty_timescale: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with the tables but without TimescaleDB, on a server that has it."""
    with monkeypatch.context() as patch:
        patch.setattr(timescale, "SELECT_VERSION", "select null")
        await migrate.upgrade(empty_timescale)
    return empty_timescale


@pytest.fixture
async def store(timescale_url: str) -> AsyncIterator[Store]:
    store = await Store.connect(timescale_url, max_size=20)
    yield store
    await store.close()


def year(sensor: int, source: int = 1, hours: int = 2400, value: float = 1.0) -> BeliefBatch:
    starts = to_datetime64(FIRST) + np.arange(hours) * HOUR
    return BeliefBatch(sensor, starts, to_datetime64(FIRST), value + (np.arange(hours) % 24).astype(np.float64), source)


async def belief_checksum(url: str) -> TableChecksum:
    con = await asyncpg.connect(url)
    found = await load_checksums(con)
    await con.close()
    return found["belief"]


async def chunk_count(url: str) -> int:
    con = await asyncpg.connect(url)
    count: int = await con.fetchval(
        "select count(*) from timescaledb_information.chunks where hypertable_name = 'belief'"
    )
    await con.close()
    return count


async def test_a_plain_database_with_values_is_converted_once(plain: str) -> None:
    store = await Store.connect(plain)
    async with store.connection() as con:
        await write_beliefs(con, year(1))
    before = await belief_checksum(plain)
    assert before.rows == 2400
    for _ in range(2):
        assert await migrate.upgrade(plain) == migrate.head_revision()
        assert await belief_checksum(plain) == before
        assert await chunk_count(plain) >= 4
    await store.close()


async def test_the_owner_of_the_database_can_install_the_extension(
    timescale_server: str, unprivileged_url: Callable[[str], str]
) -> None:
    with scratch_database(timescale_server) as url:
        owner = unprivileged_url(url)
        con = await asyncpg.connect(url)
        await con.execute(f'alter database "{urlsplit(url).path[1:]}" owner to "{urlsplit(owner).username}"')
        await con.close()
        await migrate.upgrade(owner)
        con = await asyncpg.connect(owner)
        assert await timescale.is_fully_enabled(con)
        await con.close()


async def test_versions_that_are_too_old_are_not_used_but_logged(
    empty_timescale: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(timescale, "SELECT_VERSION", "select '2.17.2'")
    await migrate.upgrade(empty_timescale)
    con = await asyncpg.connect(empty_timescale)
    assert not await timescale.is_enabled(con)
    await con.close()
    assert "TimescaleDB 2.17.2 is too old" in caplog.text


async def test_writers_continue_during_upgrades(plain: str) -> None:
    """Several processes upgrade while others write: every acknowledged value is stored once."""
    store = await Store.connect(plain, max_size=10)
    finished = asyncio.Event()
    acknowledged: list[int] = []

    async def writer(sensor: int) -> None:
        post = 0
        while not finished.is_set():
            async with store.connection() as con:
                hours = (post * 7 + np.arange(1 + 150 * (post % 2))) % 2400
                starts = to_datetime64(FIRST) + np.unique(hours) * HOUR
                value = np.full(len(starts), float(post))
                written = await write_beliefs(
                    con, BeliefBatch(sensor, starts, to_datetime64(FIRST) + post * HOUR, value, 1)
                )
            acknowledged.append(written.new)
            post += 1

    async with asyncio.TaskGroup() as tasks:
        for sensor in range(4):
            tasks.create_task(writer(sensor))
        await asyncio.sleep(0.3)
        revisions = await asyncio.gather(*(migrate.upgrade(plain) for _ in range(3)))
        await asyncio.sleep(0.3)
        finished.set()
    assert set(revisions) == {migrate.head_revision()}
    assert await chunk_count(plain) >= 1
    assert (await belief_checksum(plain)).rows == sum(acknowledged) > 1000
    await store.close()


REVISIONS = [script.revision for script in migrate._scripts().walk_revisions() if not script.is_head]


@pytest.mark.parametrize("revision", REVISIONS)
async def test_every_older_revision_can_be_upgraded(
    empty_timescale: str, revision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with migrate._open_session(empty_timescale) as (_, connection):
        await connection.run_sync(lambda sync: command.upgrade(migrate._config(sync), revision))
        await connection.commit()
    con = await asyncpg.connect(empty_timescale)
    await con.execute(
        "insert into belief select 1, $1::timestamptz + n * interval '1 hour', $1, 1, 0.5, n"
        " from generate_series(1, 2000) n",
        FIRST,
    )
    await con.close()
    before = await belief_checksum(empty_timescale)
    assert await migrate.upgrade(empty_timescale) == migrate.head_revision()
    assert await belief_checksum(empty_timescale) == before
    assert await chunk_count(empty_timescale) >= 3


async def test_rollups_from_before_timescale_are_made_again(plain: str, add_house: Callable[[Store], AddHouse]) -> None:
    store = await Store.connect(plain)
    sensor = await add_house(store)("Europe/Amsterdam")
    async with store.connection() as con:
        await con.execute("insert into source (name, type) values ('meter', 'user')")
        await write_beliefs(con, year(sensor))
        await daily_rollups.refresh(store)
        before = await load_source_statistics(con, sensor)
        assert await con.fetchval("select count(*) from belief_day") > 90
        await migrate.upgrade(plain)
        assert await load_source_statistics(con, sensor) == before
        await daily_rollups.refresh(store)
        assert await con.fetchval("select count(*) from belief_day") == 0
        assert await con.fetchval("select sum(beliefs) from belief_per_day") > 2000
        assert await load_source_statistics(con, sensor) == before
    await store.close()


async def compress(con: Connection) -> None:
    """Run TimescaleDB's background job."""
    job = await con.fetchval("select job_id from timescaledb_information.jobs where proc_name = 'policy_compression'")
    await con.execute(f"call run_job({job})")


async def load_compression_states(con: Connection) -> list[bool]:
    """Load whether each chunk is compressed, in order of time."""
    rows = await con.fetch(
        "select is_compressed from timescaledb_information.chunks where hypertable_name = 'belief' order by range_end"
    )
    return [row["is_compressed"] for row in rows]


async def test_only_old_chunks_are_compressed_at_the_configured_age(store: Store) -> None:
    async with store.connection() as con:
        await write_beliefs(con, year(1))
        assert await timescale.compress_after(con, timedelta(days=200))
        await compress(con)
        assert not any(await load_compression_states(con))
        for _ in range(2):
            assert await timescale.compress_after(con, timedelta(days=7))
        await compress(con)
        states = await load_compression_states(con)
        assert all(states[:-2])
        assert not states[-1]
        assert not await timescale.compress_after(con, timedelta(0))
        assert (
            await con.fetchval("select count(*) from timescaledb_information.jobs where hypertable_name = 'belief'")
            == 0
        )
        [found] = await load_series(con, [SeriesQuery(1, FIRST, TODAY + timedelta(days=1))])
        assert len(found) == 2400


@pytest.fixture
async def old_values(store: Store) -> int:
    """Sensors 1 and 2 with compressed values. Returns their number per sensor."""
    async with store.connection() as con:
        for sensor in (1, 2):
            await write_beliefs(con, year(sensor))
        await timescale.compress_after(con, timedelta(days=7))
        await compress(con)
        assert any(await load_compression_states(con))
    return 2400


@pytest.mark.parametrize("count", [1, 50, 900])
async def test_late_values_are_written_into_compressed_chunks(store: Store, old_values: int, count: int) -> None:
    starts = to_datetime64(FIRST) + (5 * 24 + np.arange(count)) * HOUR

    def late(hours: int, value: float) -> BeliefBatch:
        return BeliefBatch(1, starts, to_datetime64(FIRST) + hours * HOUR, np.full(count, value), 1)

    async with store.connection() as con:
        before = await con.fetchval("select sum(event_value) from belief where sensor_id = 2")
        assert await write_beliefs(con, late(1, 100.0)) == WriteCounts(new=count)
        assert await write_beliefs(con, late(1, 100.0)) == WriteCounts(unchanged=count)
        assert await write_beliefs(con, late(2, 100.0)) == WriteCounts(unchanged=count)
        assert await write_beliefs(con, late(1, 200.0)) == WriteCounts(changed=count)
        assert await write_beliefs(con, late(0, 300.0)) == WriteCounts(changed=count)
        [found] = await load_series(con, [SeriesQuery(1, FIRST, TODAY + timedelta(days=1))])
        assert len(found) == old_values
        assert (found.values == 200.0).sum() == count
        assert await con.fetchval("select count(*) from belief where sensor_id = 1") == old_values + count
        assert await con.fetchval("select sum(event_value) from belief where sensor_id = 2") == before
        await compress(con)
        [again] = await load_series(con, [SeriesQuery(1, FIRST, TODAY + timedelta(days=1))])
        assert (again.values == found.values).all()


async def test_concurrent_writers_of_late_values(store: Store, old_values: int) -> None:
    async def writer(number: int) -> WriteCounts:
        async with store.connection() as con:
            starts, values = year(1).event_start[:600], np.full(600, 100.0 + number)
            return await write_beliefs(con, BeliefBatch(1, starts, to_datetime64(FIRST) + number * HOUR, values, 1))

    written = await asyncio.gather(*(writer(number) for number in range(1, 9)))
    assert sum(one.new for one in written) == 8 * 600
    async with store.connection() as con:
        [found] = await load_series(con, [SeriesQuery(1, FIRST, TODAY + timedelta(days=1))])
        assert (found.values[:600] == 108.0).all()
        assert await con.fetchval("select count(*) from belief where sensor_id = 1") == old_values + 8 * 600


async def test_more_compressed_values_may_change_than_the_default_limit(timescale_url: str) -> None:
    await migrate.upgrade(timescale_url)  # settings of a database are not copied from its template
    store = await Store.connect(timescale_url)
    count = 30_000
    starts = to_datetime64(FIRST) + np.tile(np.arange(count // 10), 10) * (HOUR // 12)
    sensors = np.repeat(np.arange(1, 11), count // 10)

    def all_of(value: float) -> BeliefBatch:
        return BeliefBatch(sensors, starts, to_datetime64(FIRST), np.full(count, value), 1)

    async with store.connection() as con:
        await write_beliefs(con, all_of(1.0))
        await timescale.compress_after(con, timedelta(days=7))
        await compress(con)
        assert await con.fetchval("show timescaledb.max_tuples_decompressed_per_dml_transaction") == "0"
        await con.execute("set timescaledb.max_tuples_decompressed_per_dml_transaction = 1000")
        with pytest.raises(asyncpg.PostgresError, match="tuple decompression limit exceeded"):
            await write_beliefs(con, all_of(2.0))
        await con.execute("reset timescaledb.max_tuples_decompressed_per_dml_transaction")
        assert await write_beliefs(con, all_of(2.0)) == WriteCounts(changed=count)
    await store.close()


async def test_without_the_community_licence_only_chunks_are_used(
    store: Store, add_house: Callable[[Store], AddHouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The licence is only simulated: the server would allow compression."""
    monkeypatch.setattr(timescale, "SELECT_LICENCE", "select 'apache'")
    sensor = await add_house(store)()
    async with store.connection() as con:
        await con.execute("insert into source (name, type) values ('meter', 'user')")
        await write_beliefs(con, year(sensor))
        assert await timescale.is_enabled(con)
        assert not await timescale.compress_after(con, timedelta(days=7))
        before = await load_source_statistics(con, sensor)
        await daily_rollups.refresh(store)
        assert await con.fetchval("select count(*) from belief_day") > 80
        assert await load_source_statistics(con, sensor) == before
        assert "without its community licence" in await timescale.describe(con)
