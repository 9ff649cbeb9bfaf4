"""Fixtures of the tests of flexwork: settings, the log as data, brokers, workers, a store with something in it."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
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
    """Remove the settings of the environment in which the tests run."""
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
async def client_for() -> AsyncIterator[Callable[[FastAPI], httpx.AsyncClient]]:
    """A function that returns an HTTP client for an application."""
    clients: list[httpx.AsyncClient] = []

    def make(app: FastAPI) -> httpx.AsyncClient:
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
    """A function that starts a worker, which is stopped after the test."""
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
    """The arguments of the task `bake`, which this fixture registers."""
    seen = Seen()

    @broker_app.task(name="bake")
    def bake(job: object) -> None:
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
