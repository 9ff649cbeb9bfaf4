"""TimescaleDB, when the database has it: beliefs are kept in chunks of time. Everything works without it."""

import logging
from datetime import timedelta

import asyncpg

log = logging.getLogger(__name__)

CHUNK = timedelta(days=30)
"""The stretch of time that lies together."""

INSTALLED = "select exists (select from pg_extension where extname = 'timescaledb')"
AVAILABLE = "select exists (select from pg_available_extensions where name = 'timescaledb')"
PRELOADED = "select 'timescaledb' = any(regexp_split_to_array(current_setting('shared_preload_libraries'), '[, ]+'))"
IS_HYPERTABLE = "select exists (select from timescaledb_information.hypertables where hypertable_name = 'belief')"
MAKE_HYPERTABLE = """
select create_hypertable('belief', 'event_start', chunk_time_interval => $1::interval,
                         create_default_indexes => false, migrate_data => true)
"""


async def use(con: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """Turn `belief` into a hypertable if the extension is installed or can be. Returns whether it is one now."""
    if not await _installed(con):
        return False
    if not await con.fetchval(IS_HYPERTABLE):
        await con.execute(MAKE_HYPERTABLE, CHUNK)
    return True


async def _installed(con: "asyncpg.Connection[asyncpg.Record]") -> bool:
    if await con.fetchval(INSTALLED):
        return True
    if not await con.fetchval(AVAILABLE):
        return False
    try:
        # A server that has not preloaded the library would end the session at `create extension`.
        if not await con.fetchval(PRELOADED):
            return False
        await con.execute("create extension if not exists timescaledb")
    except asyncpg.PostgresError as error:
        log.warning("TimescaleDB is available but cannot be installed, so we do without it: %s", error)
        return False
    return True
