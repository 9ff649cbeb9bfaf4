"""Backups: a whole database in a file of PostgreSQL's own format, and a description of its content beside it.

The description (rows and a checksum per table, versions) is of the same moment as the file, also while others write. It
allows comparing a restored database with the saved one.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Self

import asyncpg
from flexmodel.errors import Conflict, FlexmeshError, Forbidden, Unavailable
from flexstore import timescale
from flexstore.checksums import (
    DatabaseVersions,
    TableChecksum,
    load_checksums,
    load_revision,
    load_table_names,
    load_versions,
)
from flexstore.store import NO_TIMEOUTS

from flexmesh import postgres_clients, schema

type Tell = Callable[[str], None]
OLDEST_TO_RESTORE_WITH_NEWER = 17
"""The first version whose servers accept the commands of newer versions of `pg_restore`."""


@dataclass(frozen=True)
class Description:
    """Content of a backup: versions, and rows and a checksum per table."""

    taken_at: str
    flexmesh: str
    revision: str | None
    versions: DatabaseVersions
    tables: Mapping[str, TableChecksum]

    @staticmethod
    def description_path(file: Path) -> Path:
        """Return the path of the description of a backup."""
        return file.with_name(file.name + ".json")

    @classmethod
    def read(cls, file: Path) -> Self | None:
        """Return the description of a backup, or None if it has none."""
        if not file.is_file():
            raise FlexmeshError(f"There is no file {file}.")
        path = cls.description_path(file)
        if not path.exists():
            return None
        try:
            found = json.loads(path.read_text())
            found["versions"] = DatabaseVersions(**found["versions"])
            found["tables"] = {name: TableChecksum(**content) for name, content in found["tables"].items()}
            return cls(**found)
        except (ValueError, TypeError, KeyError) as error:
            raise FlexmeshError(f"{path} does not describe a backup: {error}") from error

    def differences(self, found: Mapping[str, TableChecksum]) -> list[str]:
        """Return a sentence for each table whose rows differ from those described."""
        nothing = TableChecksum(0, "0")
        return [
            f"{name}: {self.tables.get(name, nothing).rows} rows were saved, {found.get(name, nothing).rows} are there"
            + ("" if self.tables.get(name, nothing).rows != found.get(name, nothing).rows else ", with other values")
            for name in sorted({*self.tables, *found})
            if self.tables.get(name, nothing) != found.get(name, nothing)
        ]


@asynccontextmanager
async def connect(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Connect to the database without timeouts. Raises `Unavailable`."""
    try:
        con = await asyncpg.connect(url, server_settings=NO_TIMEOUTS | {"timezone": "UTC"})
    except (asyncpg.PostgresError, OSError) as error:
        raise Unavailable("database", f"Cannot connect to the database: {error}") from error
    try:
        yield con
    finally:
        await con.close()


async def describe(con: "asyncpg.Connection[asyncpg.Record]") -> Description:
    """Return the description of the database as it is now."""
    return Description(
        taken_at=datetime.now(UTC).isoformat(timespec="seconds"),
        flexmesh=version("flexmesh"),
        revision=await load_revision(con),
        versions=await load_versions(con),
        tables=await load_checksums(con),
    )


async def dump(url: str, file: Path, tell: Tell) -> Description:
    """Save the whole database in the file, as of one moment. Others may go on writing."""
    part = create_part_file(file)
    try:
        async with connect(url) as con, con.transaction(isolation="repeatable_read", readonly=True):
            await lock_values(con)
            program = await postgres_clients.find_program("pg_dump", (await load_versions(con)).postgresql, newer=True)
            moment = await con.fetchval("select pg_export_snapshot()")
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(save(program, url, part, moment, tell))
                describing = tasks.create_task(describe(con))
            described = describing.result()
        Description.description_path(file).write_text(json.dumps(asdict(described), indent=1))
        part.rename(file)
    except* FlexmeshError as errors:
        raise errors.exceptions[0] from None
    finally:
        part.unlink(missing_ok=True)
    return described


async def lock_values(con: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Keep others from rebuilding or dropping the table of values or its chunks, which the snapshot would then miss.

    A lock reads nothing, so the snapshot is taken only after it is held. Others go on reading and writing.
    """
    try:
        await con.execute("lock table belief in access share mode")
    except asyncpg.UndefinedTableError:
        raise Conflict("There is nothing to save: the database has none of our tables.") from None


def create_part_file(file: Path) -> Path:
    """Create and return the file to write to until the backup is complete."""
    if file.exists():
        raise Conflict(f"{file} exists already. Give the backup another name.")
    part = file.with_name(file.name + ".part")
    try:
        part.touch(mode=0o600)  # it holds the hashes of passwords
    except OSError as error:
        raise FlexmeshError(f"Cannot write {file}: {error.strerror}.") from error
    return part


async def save(program: Path, url: str, part: Path, moment: str, tell: Tell) -> None:
    """Run `pg_dump` on the snapshot."""
    arguments = ["--format=custom", "--no-owner", "--no-privileges", "--verbose"]
    async for said in postgres_clients.run(program, url, [*arguments, f"--snapshot={moment}", f"--file={part}"]):
        if said.startswith("dumping contents"):
            tell(f"saving {said.removeprefix('dumping contents of ')}")


async def restore(url: str, file: Path, tell: Tell) -> Description:
    """Fill an empty database from a backup: all of it or nothing. Compare afterwards if there is a description."""
    described = Description.read(file)
    async with connect(url) as con:
        server = await load_versions(con)
        newer = server.postgresql >= OLDEST_TO_RESTORE_WITH_NEWER
        program = await postgres_clients.find_program("pg_restore", server.postgresql, newer=newer)
        wanted = await check(con, program, file, described)
        async with timescale_restore_mode(con, wanted) if wanted else nullcontext():
            await load(program, url, file, tell)
        tell("comparing")
        await con.execute("analyze", timeout=None)
        found = await describe(con)
    different = described.differences(found.tables) if described else []
    if different:
        raise Conflict(f"The database now differs from what was saved. {'; '.join(different)}.")
    return found


async def check(
    con: "asyncpg.Connection[asyncpg.Record]", program: Path, file: Path, described: Description | None
) -> str | None:
    """Refuse a restore that would fail. Return the version of TimescaleDB that the backup needs, or None."""
    listing = await list_archive(program, file)
    there = await load_table_names(con)
    if there:
        raise Conflict(
            f"The database is not empty: it has {len(there)} tables ({', '.join(there[:3])}, …). Restore into a new "
            "one; for the one-process platform into a new directory: set FLEXMESH_DATA_DIR."
        )
    if described and described.revision and described.revision > schema.newest_revision():
        raise Conflict(
            f"The backup is of Flexmesh {described.flexmesh} (revision {described.revision}), and this is older "
            f"({version('flexmesh')}, revision {schema.newest_revision()}). Install that version or a newer one."
        )
    if " EXTENSION - timescaledb" not in listing:
        return None
    return await check_timescale(con, described)


async def list_archive(program: Path, file: Path) -> str:
    """Return the table of contents that `pg_restore` finds in the file."""
    process = await asyncio.create_subprocess_exec(
        program, "--list", file, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    listing, complaint = await process.communicate()
    if process.returncode:
        raise FlexmeshError(f"{file} is no backup that {program} can read: {complaint.decode().strip()}")
    return listing.decode()


INSTALLABLE = "select version from pg_available_extension_versions where name = 'timescaledb'"


async def check_timescale(con: "asyncpg.Connection[asyncpg.Record]", described: Description | None) -> str:
    """Return the version of TimescaleDB to restore with: chunks are readable only by the version that wrote them."""
    available = {row["version"] for row in await con.fetch(INSTALLABLE)}
    if not available:
        raise Conflict("The backup is of a database with TimescaleDB, and this server does not have it.")
    there = (await load_versions(con)).timescaledb
    wanted = (described and described.versions.timescaledb) or there or max(available)
    if wanted not in available or there not in (None, wanted):
        raise Conflict(
            f"The backup is of TimescaleDB {wanted}, and this server has {there or ', '.join(sorted(available))}. "
            f"Restore where {wanted} is installed; after that, `alter extension timescaledb update`."
        )
    return wanted


@asynccontextmanager
async def timescale_restore_mode(con: "asyncpg.Connection[asyncpg.Record]", wanted: str) -> AsyncIterator[None]:
    """Put TimescaleDB into its restoring mode while its tables are filled."""
    await con.execute(f"create extension if not exists timescaledb version '{wanted}'")
    try:
        await con.execute("select timescaledb_pre_restore()")
    except asyncpg.InsufficientPrivilegeError as error:
        raise Forbidden(
            f"A backup of TimescaleDB's chunks can only be restored by an administrator: {error}. Let one do "
            "it, and make the user of Flexmesh the owner of the tables."
        ) from error
    try:
        yield
    finally:
        await con.execute("select timescaledb_post_restore()")
    await timescale.enable(con)  # a backup does not contain the settings of its database


async def load(program: Path, url: str, file: Path, tell: Tell) -> None:
    """Run `pg_restore` in a single transaction."""
    arguments = ["--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error", "--verbose", str(file)]
    async for said in postgres_clients.run(program, url, arguments):
        if said.startswith(("processing data", "creating INDEX", "creating CONSTRAINT")):
            tell(said)


async def compare(url: str, file: Path | None) -> tuple[Description, list[str]]:
    """Return the content of the database, and its differences from a backup."""
    saved: Description | None = None
    if file is not None:
        saved = Description.read(file)
        if saved is None:
            raise FlexmeshError(
                f"There is no {Description.description_path(file)}, which would say what the backup contains."
            )
    async with connect(url) as con, con.transaction(isolation="repeatable_read", readonly=True):
        found = await describe(con)
    return found, saved.differences(found.tables) if saved else []
