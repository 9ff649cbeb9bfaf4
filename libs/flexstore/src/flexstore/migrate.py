"""Upgrades of a database to the schema of this version. Safe to run twice, and by several processes at once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flexmodel.errors import Conflict, Forbidden, Unavailable
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from flexstore import timescale
from flexstore.store import CONNECTION_LOST_ERRORS, NO_TIMEOUTS

LOCK = 0x666C6578_6D657368  # "flexmesh"
MIGRATIONS = "flexstore:migrations"


async def upgrade(url: str) -> str:
    """Upgrade the database to the newest revision, and enable TimescaleDB where it is available.

    Args:
        url: The URL of the database.

    Returns:
        The newest revision.

    Raises:
        Unavailable: The database is unreachable.
        Conflict: The database was upgraded by a newer version of Flexmesh.
        Forbidden: The database user lacks privileges.
    """
    async with _open_session(url) as (raw, connection):
        # A lock of the session, not of a transaction, because a migration may commit in between.
        await raw.execute("select pg_advisory_lock($1)", LOCK)
        await connection.run_sync(_upgrade)
        await connection.commit()
        await timescale.enable(raw)
    return head_revision()


async def load_revision(url: str) -> str | None:
    """Load the revision of the database. None if it has no tables yet.

    Raises:
        Unavailable: The database is unreachable.
    """
    async with _open_session(url) as (_, connection):
        return await connection.run_sync(_revision)


def head_revision() -> str:
    """Return the newest revision that this version knows, as Alembic reads it from the migrations."""
    revision = _scripts().get_current_head()
    assert revision is not None
    return revision


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config(connection: Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", MIGRATIONS)
    return config


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _upgrade(connection: Connection) -> None:
    revision = _revision(connection)
    known = {script.revision for script in _scripts().walk_revisions()}
    if revision is not None and revision not in known:
        raise Conflict(
            f"The database is at revision {revision}, which this version of Flexmesh (newest revision "
            f"{head_revision()}) does not know. Install the version that upgraded it, or a newer one."
        )
    connection.commit()
    command.upgrade(_config(connection), "head")


@asynccontextmanager
async def _open_session(url: str) -> AsyncIterator[tuple["asyncpg.Connection[asyncpg.Record]", AsyncConnection]]:
    """Open one session on the database, as a connection of asyncpg and one of SQLAlchemy."""
    try:
        raw: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(url, server_settings=NO_TIMEOUTS)
    except (asyncpg.PostgresError, OSError) as error:
        raise Unavailable("database", f"Cannot connect to the database: {error}") from error

    async def reuse() -> "asyncpg.Connection[asyncpg.Record]":
        return raw

    engine = create_async_engine("postgresql+asyncpg://", async_creator=reuse)
    try:
        async with engine.connect() as connection:
            yield raw, connection
    except CONNECTION_LOST_ERRORS as error:
        raise Unavailable("database") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise _forbidden(error) from error
    except DBAPIError as error:
        if raw.is_closed():
            raise Unavailable("database") from error
        reason = error.orig and error.orig.__cause__
        if isinstance(reason, asyncpg.InsufficientPrivilegeError):
            raise _forbidden(reason) from error
        raise
    finally:
        await engine.dispose()
        await raw.close()


def _forbidden(error: asyncpg.InsufficientPrivilegeError) -> Forbidden:
    return Forbidden(
        f"The database's user may not do that: {error}. Connect as who owns the tables, or let an administrator "
        "make this one the owner of the database and of its tables."
    )
