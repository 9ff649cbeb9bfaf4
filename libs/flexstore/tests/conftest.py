"""What the tests of the store share: databases with and without tables, and something in them."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest
from database import in_thread, run, scratch_database, with_database
from flexstore.store import Store


@pytest.fixture
def url(database_url: str) -> str:
    """A database with the tables."""
    return database_url


@pytest.fixture
def empty_url(database_server: str) -> Iterator[str]:
    """A database without tables."""
    with scratch_database(database_server) as url:
        yield url


@pytest.fixture
def somebody() -> Iterator[Callable[[str], str]]:
    """The URL of a database for somebody who may do nothing yet."""
    name = f"somebody_{uuid4().hex[:12]}"
    servers = []

    def with_somebody(url: str) -> str:
        servers.append(with_database(url, "postgres"))
        in_thread(run(servers[-1], f"create role {name} login"))
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=f"{name}@{parts.netloc.rpartition('@')[2]}"))

    yield with_somebody
    for server in servers:
        in_thread(run(server, f"drop role {name}"))


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    store = await Store.connect(url, max_size=20)
    yield store
    await store.close()


@pytest.fixture(params=["postgresql", "timescale"])
async def either_store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """A store without TimescaleDB, and one with it if there is one to test with."""
    url = request.getfixturevalue("url" if request.param == "postgresql" else "timescale_url")
    store = await Store.connect(url, max_size=20)
    yield store
    await store.close()


@pytest.fixture
def add_house() -> Callable[[Store], Callable[..., Awaitable[int]]]:
    """Add sensors to a store, each in a house of its own."""
    names = itertools.count(1)

    def adder(store: Store) -> Callable[..., Awaitable[int]]:
        async def add(timezone: str = "UTC", **attributes: Any) -> int:
            name = f"house {next(names)}"
            async with store.transaction() as con:
                account = await con.fetchval(
                    "insert into account (name, attributes) values ($1, $2) returning id",
                    name, attributes.get("account", {}),
                )  # fmt: skip
                asset = await con.fetchval(
                    "insert into asset (name, account_id, asset_type_id) values ($1, $2, 6) returning id", name, account
                )
                sensor: int = await con.fetchval(
                    "insert into sensor (asset_id, name, unit, event_resolution, timezone, attributes)"
                    " values ($1, 'power', 'kW', '1 hour', $2, $3) returning id",
                    asset, timezone, attributes.get("sensor", {}),
                )  # fmt: skip
            return sensor

        return add

    return adder


@pytest.fixture
def house(either_store: Store, add_house: Any) -> Callable[..., Awaitable[int]]:
    """Add a sensor in a house of its own to `either_store`; returns the id of the sensor."""
    add: Callable[..., Awaitable[int]] = add_house(either_store)
    return add


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
