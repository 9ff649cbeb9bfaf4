"""TimescaleDB, if available: the table of beliefs is a hypertable, split into chunks of time; old ones are compressed.

Hypertables work with any TimescaleDB; compression and continuous aggregates only with its community licence.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from flexstore.store import Connection

log = logging.getLogger(__name__)

CHUNK_INTERVAL = timedelta(days=30)
"""The period that a chunk covers."""

IS_INSTALLED = "select exists (select from pg_extension where extname = 'timescaledb')"
SELECT_VERSION = """
select coalesce(installed_version, default_version) from pg_available_extensions where name = 'timescaledb'
"""
OLDEST_VERSION = (2, 18)
IS_PRELOADED = "select exists (select from pg_settings where name = 'timescaledb.max_background_workers')"
"""`shared_preload_libraries` contains the same information, but only privileged users may read it."""
SELECT_LICENCE = "select current_setting('timescaledb.license', true)"
COMMUNITY = "timescale"
IS_HYPERTABLE = "select exists (select from timescaledb_information.hypertables where hypertable_name = 'belief')"
MAKE_HYPERTABLE = """
select create_hypertable('belief', 'event_start', chunk_time_interval => $1::interval,
                         create_default_indexes => false, migrate_data => true)
"""
ALLOW_COMPRESSION = """
alter table belief set (
    timescaledb.compress, timescaledb.compress_segmentby = 'sensor_id',
    timescaledb.compress_orderby = 'event_start, belief_time'
)
"""
IS_COMPRESSIBLE = """
select compression_enabled from timescaledb_information.hypertables where hypertable_name = 'belief'
"""
ALLOW_LATE_VALUES = "alter database {database} set timescaledb.max_tuples_decompressed_per_dml_transaction = 0"
"""Many late values at once may decompress more rows than the default limit of 100,000."""


async def enable(con: Connection) -> bool:
    """Turn `belief` into a hypertable if the extension is installed or can be.

    Returns:
        Whether `belief` is a hypertable now.
    """
    if not await _install(con):
        return False
    if not await is_enabled(con):
        await con.execute(MAKE_HYPERTABLE, CHUNK_INTERVAL)
    if await has_community_licence(con):
        if not await con.fetchval(IS_COMPRESSIBLE):
            await con.execute(ALLOW_COMPRESSION)
        allow = ALLOW_LATE_VALUES.format(database=await con.fetchval("select quote_ident(current_database())"))
        try:
            await con.execute(allow)
        except asyncpg.InsufficientPrivilegeError as error:
            log.warning("Very many late values at once may be refused: %s. Let the owner say: %s;", error, allow)
    return True


async def _install(con: Connection) -> bool:
    """Install the extension if it is available. Return whether it is installed."""
    # A server that has not preloaded the library would end the session at `create extension`.
    version = await con.fetchval(SELECT_VERSION) if await con.fetchval(IS_PRELOADED) else None
    if version is None:
        return False
    if tuple(int(number) for number in re.findall(r"\d+", version)) < OLDEST_VERSION:
        log.warning("TimescaleDB %s is too old, so we do without it. Update it to 2.18 or newer.", version)
        return False
    try:
        await con.execute("create extension if not exists timescaledb")
    except asyncpg.PostgresError as error:
        log.warning(
            "TimescaleDB is available but cannot be installed, so we do without it: %s. To use it, let an administrator"
            " say in this database: create extension timescaledb; and upgrade again.",
            error.args[0],
        )
        return False
    return True


async def is_enabled(con: Connection) -> bool:
    """Return whether `belief` is a hypertable."""
    return bool(await con.fetchval(IS_INSTALLED)) and bool(await con.fetchval(IS_HYPERTABLE))


async def has_community_licence(con: Connection) -> bool:
    """Return whether the licence of TimescaleDB includes compression and continuous aggregates."""
    return bool(await con.fetchval(IS_INSTALLED)) and await con.fetchval(SELECT_LICENCE) == COMMUNITY


async def describe(con: Connection) -> str:
    """Describe the installed TimescaleDB in words."""
    version = await con.fetchval("select extversion from pg_extension where extname = 'timescaledb'")
    if version is None:
        return "without TimescaleDB"
    if await has_community_licence(con):
        return f"TimescaleDB {version}"
    return f"TimescaleDB {version} without its community licence: nothing is compressed, and days are summed up by us"


async def is_fully_enabled(con: Connection) -> bool:
    """Return whether `belief` is a hypertable with compression and continuous aggregates."""
    return await is_enabled(con) and await has_community_licence(con)


SELECT_COMPRESSION_AGE = """
select (config ->> 'compress_after')::interval from timescaledb_information.jobs
where proc_name in ('policy_compression', 'policy_recompression') and hypertable_name = 'belief'
"""

ADD_COMPRESSION_POLICY = (
    "select add_compression_policy('belief', compress_after => $1::interval, if_not_exists => true)"
)


async def compress_after(con: Connection, age: timedelta) -> bool:
    """Set the age of events from which chunks are compressed.

    Args:
        con: A connection.
        age: The age of the latest event in a chunk. Zero: never compress.

    Returns:
        Whether chunks will be compressed.
    """
    if not await is_fully_enabled(con):
        return False
    new_age = age or None
    if await con.fetchval(SELECT_COMPRESSION_AGE) != new_age:
        await con.execute("select remove_compression_policy('belief', if_exists => true)")
        if new_age:
            await con.execute(ADD_COMPRESSION_POLICY, new_age)
    return new_age is not None


CHUNKS = """
select format('%I.%I', chunk_schema, chunk_name), range_start, range_end from timescaledb_information.chunks
where hypertable_name = 'belief' and range_end <= $1 order by range_start
"""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk of the hypertable: the beliefs about the events that start in [start, end)."""

    name: str
    start: datetime
    end: datetime


async def load_chunks_until(con: Connection, end: datetime) -> list[Chunk]:
    """Load the chunks that end at a time or before, in order."""
    return [Chunk(*row) for row in await con.fetch(CHUNKS, end)]


async def drop_chunk(con: Connection, chunk: Chunk, before: Mapping[int, datetime]) -> dict[int, int]:
    """Drop a chunk if everything in it is expired.

    Args:
        con: A connection in a transaction.
        chunk: The chunk.
        before: By sensor id, the start of the first event to keep. Sensors that are absent keep all events.

    Returns:
        The number of deleted beliefs by sensor id. Empty if the chunk was not dropped.
    """
    expired = [sensor for sensor, time in before.items() if time >= chunk.end]
    if await con.fetchval(SELECT_HAS_KEPT.format(chunk=chunk.name), expired):
        return {}
    await con.execute(f"lock table {chunk.name} in share mode")  # so that no value is added meanwhile
    rows = await con.fetch(f"select sensor_id, count(*) from {chunk.name} group by sensor_id")  # noqa: S608 - TimescaleDB named it
    if not {row["sensor_id"] for row in rows} <= set(expired):
        return {}
    await con.execute(INSERT_DUE_IN_CHUNK.format(chunk=chunk.name), chunk.start, chunk.end)
    await con.execute(DROP_CHUNKS, chunk.start, chunk.end)
    return {row["sensor_id"]: row["count"] for row in rows}


SELECT_HAS_KEPT = """
select exists (
    select from sensor cross join lateral (select from {chunk} where sensor_id = sensor.id limit 1) kept
    where sensor.id <> all($1::int[])
)
"""
"""Fast where a sensor keeps values, so that a chunk is not locked and counted in every run as long as it is needed."""
DROP_CHUNKS = "select drop_chunks('belief', newer_than => $1::timestamptz, older_than => $2::timestamptz)"
INSERT_DUE_IN_CHUNK = """
insert into belief_day_due (sensor_id, first_event, last_event)
select distinct sensor_id, $1::timestamptz, $2::timestamptz from {chunk}
"""
