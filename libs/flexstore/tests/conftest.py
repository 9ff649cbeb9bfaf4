"""Fixtures of the tests of the store: databases with and without tables, and data in them."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest
from database import in_thread, run, scratch_database, with_database
from flexstore.store import Store

type AddHouse = Callable[..., Awaitable[int]]


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
def unprivileged_url() -> Iterator[Callable[[str], str]]:
    """A function that returns the URL of a database for a new role without privileges."""
    name = f"unprivileged_{uuid4().hex[:12]}"
    servers = []

    def with_new_role(url: str) -> str:
        servers.append(with_database(url, "postgres"))
        in_thread(run(servers[-1], f"create role {name} login"))
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=f"{name}@{parts.netloc.rpartition('@')[2]}"))

    yield with_new_role
    for server in servers:
        in_thread(run(server, f"drop role {name}"))


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    store = await Store.connect(url, max_size=20)
    yield store
    await store.close()


@pytest.fixture(params=["postgresql", "timescale"])
async def either_store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """A store without TimescaleDB, and one with it if it is available."""
    url = request.getfixturevalue("url" if request.param == "postgresql" else "timescale_url")
    store = await Store.connect(url, max_size=20)
    yield store
    await store.close()


@pytest.fixture
def add_house() -> Callable[[Store], AddHouse]:
    """A function that adds sensors to a store, each in a house of its own."""
    names = itertools.count(1)

    def adder(store: Store) -> AddHouse:
        async def add(timezone: str = "UTC", **attributes: Mapping[str, object]) -> int:
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
def house(either_store: Store, add_house: Callable[[Store], AddHouse]) -> AddHouse:
    """A function that adds a sensor in a house of its own to `either_store`, and returns its id."""
    return add_house(either_store)
