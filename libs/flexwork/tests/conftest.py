"""Fixtures of the tests of flexwork: settings, the log as data, brokers, workers, a store with something in it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from flexserve import logs
from flexserve.settings import ServiceSettings
from flexstore.store import Store
from flexwork.broker import BrokerApp, Publisher, celery_app
from flexwork.event_loop import BackgroundLoop
from flexwork.worker import Worker
from waiting import Seen

LogLines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens to be set where the tests run does not matter to them."""
    import os

    for name in list(os.environ):
        if name.startswith(("FLEXMESH_", "OTEL_")) and name != "FLEXMESH_TEST_AMQP_URL":
            monkeypatch.delenv(name)


@pytest.fixture
def settings() -> ServiceSettings:
    return ServiceSettings(broker_url=f"memory://?queue_prefix={uuid4().hex[:8]}-")


@pytest.fixture
def log_lines(capsys: pytest.CaptureFixture[str]) -> LogLines:
    """The lines logged since the last call, as JSON."""
    logs.setup("testing", "debug", "json")
    capsys.readouterr()
    return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.fixture
async def client_for() -> AsyncIterator[Callable[[Any], httpx.AsyncClient]]:
    """An HTTP client for an application."""
    clients: list[httpx.AsyncClient] = []

    def make(app: Any) -> httpx.AsyncClient:
        clients.append(httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test"))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
def loop() -> Iterator[BackgroundLoop]:
    with BackgroundLoop() as running:
        yield running


@pytest.fixture
def publisher_for() -> Iterator[Callable[[BrokerApp], Publisher]]:
    publishers: list[Publisher] = []

    def make(app: BrokerApp) -> Publisher:
        publishers.append(Publisher(app))
        return publishers[-1]

    yield make
    for publisher in publishers:
        publisher.close()


@pytest.fixture
def worker_for(loop: BackgroundLoop) -> Iterator[Callable[..., Worker]]:
    """Start a worker that is stopped after the test."""
    workers: list[Worker] = []

    def start(app: BrokerApp, *queues: str, concurrency: int = 2) -> Worker:
        worker = Worker(app, queues=queues, concurrency=concurrency, loop=loop)
        workers.append(worker)
        worker.start()
        return worker

    yield start
    for worker in workers:
        worker.stop(grace=0)


@pytest.fixture(params=["memory", "rabbitmq"])
def broker_app(request: pytest.FixtureRequest, settings: ServiceSettings) -> BrokerApp:
    """An application on each kind of broker, with queues of its own."""
    if request.param == "memory":
        return celery_app(settings, "testing")
    url = request.getfixturevalue("fresh_amqp_url")
    return celery_app(ServiceSettings(broker_url=url), "testing")


@pytest.fixture
def seen(broker_app: BrokerApp) -> Seen:
    """With a task `bake` that reports its argument."""
    seen = Seen()

    @broker_app.task(name="bake")
    def bake(job: Any) -> None:
        seen.add(job)

    return seen


@pytest.fixture
def url(database_url: str) -> str:
    """A database with the tables."""
    return database_url


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    store = await Store.connect(url, max_size=20)
    yield store
    await store.close()


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
