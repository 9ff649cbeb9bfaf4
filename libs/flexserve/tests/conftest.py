"""What the tests of flexserve share: settings, the log as data, an application with a client."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest
from flexserve import logs
from flexserve.settings import ServiceSettings

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
