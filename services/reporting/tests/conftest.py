"""Fixtures: a database with an account, the delivery of notifications, and a receiver of webhook messages."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asyncpg import Record
from flexstore.store import Store
from reporting.notifications.relays import notifying
from reporting.settings import ReportingSettings
from serving import serving
from waiting import until
from webhook_receiver import Attempts, Delivering, Receiver


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with serving(receiver) as url:
        receiver.url = f"{url}/hook"
        yield receiver


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    store = await Store.connect(database_url, max_size=20)
    yield store
    await store.close()


@pytest.fixture
async def account(store: Store) -> int:
    async with store.connection() as con:
        number: int = await con.fetchval("insert into account (name) values ('grower') returning id")
    return number


@pytest.fixture
def delivering(store: Store, database_url: str) -> Delivering:
    """A function that delivers notifications within a block, with the given settings."""

    @asynccontextmanager
    async def deliver(**settings: object) -> AsyncIterator[None]:
        chosen: dict[str, Any] = {"webhook_private_addresses": True, "webhook_timeout": 0.5} | settings
        async with notifying(store, ReportingSettings(database_url=database_url, **chosen)):
            yield

    return deliver


@pytest.fixture
def attempts(store: Store) -> Attempts:
    """A function that waits for a number of logged attempts, and returns them."""

    rows: list[Record] = []

    async def are_logged(count: int) -> bool:
        async with store.connection() as con:
            rows[:] = await con.fetch("select * from webhook_delivery order by id")
        return len(rows) >= count

    async def wait(count: int) -> list[Record]:
        await until(lambda: are_logged(count))
        return list(rows)

    return wait
