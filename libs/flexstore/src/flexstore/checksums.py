"""Checksums of all tables, to compare two databases, and the versions of a database."""

from dataclasses import dataclass

from flexstore.store import Connection

SELECT_TABLES = """
select quote_ident(relname) from pg_class
where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
    and not exists (select from pg_depend where objid = pg_class.oid and deptype = 'e')
order by relname
"""
SELECT_CHECKSUM = """
select count(*) as rows, coalesce(sum(hash_record_extended("whole row", 0)::numeric), 0)::text as checksum
from {table} "whole row"
"""
SELECT_VERSIONS = """
select current_setting('server_version_num')::int / 10000 as postgresql,
    (select extversion from pg_extension where extname = 'timescaledb') as timescaledb
"""
SELECT_REVISION = "select version_num from alembic_version"


@dataclass(frozen=True, slots=True)
class TableChecksum:
    """The row count and checksum of a table: equal for tables with the same rows, in whatever order and chunks."""

    rows: int
    checksum: str


@dataclass(frozen=True, slots=True)
class DatabaseVersions:
    """The major version of PostgreSQL, and the version of TimescaleDB; None where it is not installed."""

    postgresql: int
    timescaledb: str | None


async def load_table_names(con: Connection) -> list[str]:
    """Load the quoted names of all tables, except those of extensions."""
    return [row[0] for row in await con.fetch(SELECT_TABLES)]


async def load_checksums(con: Connection) -> dict[str, TableChecksum]:
    """Compute the checksum of every table. They are consistent in a transaction of isolation level repeatable read."""
    checksums = {}
    for table in await load_table_names(con):
        row = await con.fetchrow(SELECT_CHECKSUM.format(table=table))
        assert row is not None
        checksums[table] = TableChecksum(row["rows"], row["checksum"])
    return checksums


async def load_versions(con: Connection) -> DatabaseVersions:
    """Load the versions of the server and of TimescaleDB."""
    row = await con.fetchrow(SELECT_VERSIONS)
    assert row is not None
    return DatabaseVersions(row["postgresql"], row["timescaledb"])


async def load_revision(con: Connection) -> str | None:
    """Load the revision of the schema. None if the database has no tables of Flexmesh."""
    if "alembic_version" not in await load_table_names(con):
        return None
    revision: str | None = await con.fetchval(SELECT_REVISION)
    return revision
