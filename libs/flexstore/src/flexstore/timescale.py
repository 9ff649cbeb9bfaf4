"""TimescaleDB, when the database has it: beliefs are kept in chunks of time, old ones compressed. All works without it.

Chunks come with any TimescaleDB; compression and continuous aggregates only with its community licence.
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
"""The stretch of time that lies together."""

INSTALLED = "select exists (select from pg_extension where extname = 'timescaledb')"
VERSION = """
select coalesce(installed_version, default_version) from pg_available_extensions where name = 'timescaledb'
"""
OLDEST_VERSION = (2, 18)
PRELOADED = "select exists (select from pg_settings where name = 'timescaledb.max_background_workers')"
"""`shared_preload_libraries` would say so, too, but not to everybody."""
LICENCE = "select current_setting('timescaledb.license', true)"
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
"""Many late values at once may touch more than the 100,000 compressed ones that are allowed by default."""


async def enable(con: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """Turn `belief` into a hypertable if the extension is installed or can be. Returns whether it is one now."""
    if not await _installed(con):
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


async def _installed(con: "asyncpg.Connection[asyncpg.Record]") -> bool:
    # A server that has not preloaded the library would end the session at `create extension`.
    version = await con.fetchval(VERSION) if await con.fetchval(PRELOADED) else None
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
    """Whether beliefs are kept in chunks."""
    return bool(await con.fetchval(INSTALLED)) and bool(await con.fetchval(IS_HYPERTABLE))


async def has_community_licence(con: Connection) -> bool:
    """Whether this TimescaleDB may compress and aggregate."""
    return bool(await con.fetchval(INSTALLED)) and await con.fetchval(LICENCE) == COMMUNITY


async def describe(con: Connection) -> str:
    """What of TimescaleDB there is, in words."""
    version = await con.fetchval("select extversion from pg_extension where extname = 'timescaledb'")
    if version is None:
        return "without TimescaleDB"
    if await has_community_licence(con):
        return f"TimescaleDB {version}"
    return f"TimescaleDB {version} without its community licence: nothing is compressed, and days are summed up by us"


async def is_fully_enabled(con: Connection) -> bool:
    """Whether beliefs are kept in chunks that may be compressed and aggregated."""
    return await is_enabled(con) and await has_community_licence(con)


COMPRESSES_AFTER = """
select (config ->> 'compress_after')::interval from timescaledb_information.jobs
where proc_name in ('policy_compression', 'policy_recompression') and hypertable_name = 'belief'
"""

COMPRESS_AFTER = "select add_compression_policy('belief', compress_after => $1::interval, if_not_exists => true)"


async def compress_after(con: Connection, age: timedelta) -> bool:
    """Have chunks compressed once all their events are so old; with no age, never. Returns whether they will be."""
    if not await is_fully_enabled(con):
        return False
    wanted = age or None
    if await con.fetchval(COMPRESSES_AFTER) != wanted:
        await con.execute("select remove_compression_policy('belief', if_exists => true)")
        if wanted:
            await con.execute(COMPRESS_AFTER, wanted)
    return wanted is not None


CHUNKS = """
select format('%I.%I', chunk_schema, chunk_name), range_start, range_end from timescaledb_information.chunks
where hypertable_name = 'belief' and range_end <= $1 order by range_start
"""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The beliefs about the events that start in [start, end)."""

    name: str
    start: datetime
    end: datetime


async def load_chunks_until(con: Connection, end: datetime) -> list[Chunk]:
    return [Chunk(*row) for row in await con.fetch(CHUNKS, end)]


async def drop_chunk(con: Connection, chunk: Chunk, before: Mapping[int, datetime]) -> dict[int, int]:
    """Drop a chunk if all sensors in it are rid of what started before the moment given for them, as far as it reaches.

    Returns how many beliefs each sensor lost: nothing if it was not dropped. Inside a transaction of the caller's.
    """
    rid = [sensor for sensor, moment in before.items() if moment >= chunk.end]
    if await con.fetchval(IS_KEPT.format(chunk=chunk.name), rid):
        return {}
    await con.execute(f"lock table {chunk.name} in share mode")  # nobody adds a value that somebody keeps
    rows = await con.fetch(f"select sensor_id, count(*) from {chunk.name} group by sensor_id")  # noqa: S608 - TimescaleDB named it
    if not {row["sensor_id"] for row in rows} <= set(rid):
        return {}
    await con.execute(DUE_IN_CHUNK.format(chunk=chunk.name), chunk.start, chunk.end)
    await con.execute(DROP_CHUNKS, chunk.start, chunk.end)
    return {row["sensor_id"]: row["count"] for row in rows}


IS_KEPT = """
select exists (
    select from sensor cross join lateral (select from {chunk} where sensor_id = sensor.id limit 1) kept
    where sensor.id <> all($1::int[])
)
"""
"""Found at once where somebody keeps something, so that nothing is locked and counted every hour as long as they do."""
DROP_CHUNKS = "select drop_chunks('belief', newer_than => $1::timestamptz, older_than => $2::timestamptz)"
DUE_IN_CHUNK = """
insert into belief_day_due (sensor_id, first_event, last_event)
select distinct sensor_id, $1::timestamptz, $2::timestamptz from {chunk}
"""
