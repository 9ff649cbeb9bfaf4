"""Checks of `flexmesh doctor`. Each returns a finding and, if something is wrong, its remedy."""

import asyncio
import io
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from dataclasses import dataclass
from importlib.metadata import version

from api_gateway.settings import GatewaySettings
from flexmodel.errors import FlexmeshError
from flexserve.settings import load
from flexstore import timescale
from flexstore.store import Store
from flexwork.broker import Publisher, celery_app

from flexmesh import schema
from flexmesh.data_directory import DataDirectory, default_directory
from flexmesh.postgres import run as run_program

OLDEST_DATABASE = 15
ENOUGH_DISK = 1_000_000_000


@dataclass(frozen=True)
class Finding:
    """Result of a check, with the remedy if something is wrong."""

    found: str
    remedy: str | None = None


def run() -> Iterator[tuple[str, Finding]]:
    """Run the checks one after another, and yield the name and finding of each."""
    yield "python", Finding(f"{sys.version.split()[0]}, Flexmesh {version('flexmesh')}")
    settings, finding = read_settings()
    yield "settings", finding
    if settings is None:
        return
    directory = DataDirectory(default_directory())
    running = directory.read_running()
    if os.environ.get("FLEXMESH_DATABASE_URL"):
        yield "database", run_check(lambda: asyncio.run(check_database(settings.database_url)), "")
        yield "broker", run_check(lambda: check_broker(settings), "Is FLEXMESH_BROKER_URL right, and RabbitMQ running?")
    else:
        yield "data directory", check_directory(directory, running is not None)
        if running is not None:
            yield "database", run_check(lambda: asyncio.run(check_database(str(running["database_url"]))), "")
        yield (
            "embedded PostgreSQL",
            run_check(lambda: Finding(run_program("postgres", "--version").strip()), "`uv sync`"),
        )
    yield "port", check_port(settings, running is not None)


def run_check(check: Callable[[], Finding], remedy: str) -> Finding:
    """Return the finding of the check. An error of the check becomes a finding with the remedy."""
    try:
        return check()
    except FlexmeshError as error:
        return Finding(error.message, remedy or "Is FLEXMESH_DATABASE_URL right, and the database running?")


def read_settings() -> tuple[GatewaySettings | None, Finding]:
    """Load the settings. They are None if they are invalid."""
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            settings = load(GatewaySettings)
    except SystemExit:
        return None, Finding(said.getvalue().strip(), "Correct or unset these variables.")
    given = sorted(name for name in os.environ if name.startswith("FLEXMESH_"))
    return settings, Finding(", ".join(given) or "none set: the one-process platform with its own database")


async def check_database(url: str) -> Finding:
    """Check the version of the server and the revision of the tables."""
    store = await Store.connect(url, max_size=1)
    try:
        async with store.connection() as con:
            number = int(await con.fetchval("show server_version_num"))
            extension = await timescale.describe(con)
    finally:
        await store.close()
    major, minor = divmod(number, 10_000)
    found = f"PostgreSQL {major}.{minor}, {extension}"
    if major < OLDEST_DATABASE:
        return Finding(found, f"Flexmesh needs PostgreSQL {OLDEST_DATABASE} or newer.")
    if not await schema.is_current(url):
        return Finding(f"{found}; its tables are not those of this version", "Run `flexmesh db upgrade`.")
    return Finding(found)


def check_broker(settings: GatewaySettings) -> Finding:
    """Check that the message broker answers."""
    publisher = Publisher(celery_app(settings, "doctor"))
    try:
        asyncio.run(publisher.ping())
    finally:
        publisher.close()
    kind = "in memory: for one process only" if settings.broker_url.startswith("memory") else "answers"
    return Finding(kind)


def check_directory(directory: DataDirectory, running: bool) -> Finding:
    """Check that the data directory is writable and has free space."""
    existing = next(path for path in (directory.path, *directory.path.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    found = f"{directory.path}, {free / 1e9:.0f} GB free{', in use by a running platform' if running else ''}"
    if not os.access(existing, os.W_OK):
        return Finding(found, f"{existing} cannot be written to: set FLEXMESH_DATA_DIR to another directory.")
    if free < ENOUGH_DISK:
        return Finding(found, "Make room, or set FLEXMESH_DATA_DIR to another disk.")
    return Finding(found)


def check_port(settings: GatewaySettings, running: bool) -> Finding:
    """Check that the port is free, or in use by the running platform."""
    with socket.socket() as probe:
        taken = probe.connect_ex((settings.host, settings.port)) == 0
    if taken and not running:
        return Finding(f"{settings.port} is in use by another program", "Choose another with --port or FLEXMESH_PORT.")
    return Finding(f"{settings.port} is {'in use by the running platform' if taken else 'free'}")
