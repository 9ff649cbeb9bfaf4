"""What a database holds, in numbers that can be compared: rows and a checksum per table."""

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
    """Two tables with the same rows have the same numbers, in whatever order and chunks the rows lie."""

    rows: int
    checksum: str


@dataclass(frozen=True, slots=True)
class DatabaseVersions:
    postgresql: int
    timescaledb: str | None


async def load_table_names(con: Connection) -> list[str]:
    """The names of all tables, those of extensions aside."""
    return [row[0] for row in await con.fetch(SELECT_TABLES)]


async def load_checksums(con: Connection) -> dict[str, TableChecksum]:
    """Every table. In a transaction that sees one moment, it is what there was at that moment."""
    found = {}
    for table in await load_table_names(con):
        row = await con.fetchrow(SELECT_CHECKSUM.format(table=table))
        assert row is not None
        found[table] = TableChecksum(**row)
    return found


async def load_versions(con: Connection) -> DatabaseVersions:
    row = await con.fetchrow(SELECT_VERSIONS)
    assert row is not None
    return DatabaseVersions(row["postgresql"], row["timescaledb"])


async def load_revision(con: Connection) -> str | None:
    """The revision of the tables; None if there are none of ours."""
    if "alembic_version" not in await load_table_names(con):
        return None
    found: str | None = await con.fetchval(SELECT_REVISION)
    return found
