"""Revision of a database's tables, checked without importing the migration tools, and its upgrade."""

import subprocess
import sys
from importlib.resources import files

import asyncpg
from flexmodel.errors import Unavailable


def newest_revision() -> str:
    """Return the newest revision. The file names of migrations begin with their revision."""
    names = (entry.name for entry in files("flexstore.migrations").joinpath("versions").iterdir())
    return max(name.split("_")[0] for name in names if name[0].isdigit())


async def is_current(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url)
    except (asyncpg.PostgresError, OSError) as error:
        raise Unavailable("database", f"Cannot connect to the database: {error}") from error
    try:
        found: str | None = await connection.fetchval("select version_num from alembic_version")
    except asyncpg.UndefinedTableError:
        return False
    finally:
        await connection.close()
    return found == newest_revision()


async def ensure(url: str) -> bool:
    """Migrate the database if needed, and return True if it was.

    The migration runs in a process of its own: its tools take 50 MB, which a platform would keep as long as it runs.
    """
    if await is_current(url):
        return False
    program = "import asyncio, sys; from flexstore import migrate; asyncio.run(migrate.upgrade(sys.stdin.read()))"
    done = subprocess.run(  # noqa: S603, ASYNC221 - our own program, and there is nothing to be done meanwhile
        [sys.executable, "-c", program], input=url, text=True, capture_output=True, check=False
    )
    if done.returncode:
        raise Unavailable("database", f"The database could not be upgraded: {done.stderr.strip().splitlines()[-1]}")
    return True
