"""Fixtures of the tests of flexserve: settings, the log as data, and clients of applications."""

import json
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from fixture_types import ClientFor, LogLines
from flexserve import logs
from flexserve.settings import ServiceSettings


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the environment of the test run, so that it sets nothing."""
    import os

    for name in list(os.environ):
        if name.startswith(("FLEXMESH_", "OTEL_")) and name != "FLEXMESH_TEST_AMQP_URL":
            monkeypatch.delenv(name)


@pytest.fixture
def settings() -> ServiceSettings:
    return ServiceSettings(broker_url=f"memory://?queue_prefix={uuid4().hex[:8]}-")


@pytest.fixture
def log_lines(capsys: pytest.CaptureFixture[str]) -> LogLines:
    """Return a function that returns the lines logged since its last call, as JSON."""
    logs.setup("testing", "debug", "json")
    capsys.readouterr()
    return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.fixture
async def client_for() -> AsyncIterator[ClientFor]:
    """Yield a function that returns an HTTP client of an application."""
    clients: list[httpx.AsyncClient] = []

    def make(app: FastAPI) -> httpx.AsyncClient:
        clients.append(httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test"))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()
