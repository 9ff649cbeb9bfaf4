"""A reporting service over a real database, and a web server that webhooks can be sent to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from flexstore.store import Store
from reporting.settings import ReportingSettings
from reporting.webhooks.working import working


@dataclass
class Receiver:
    """A web server that keeps what it was sent, and answers as it is told to."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    """The statuses of the next answers; 200 after the last."""
    delay: float = 0.0
    delays: dict[str, float] = field(default_factory=dict)
    """Longer ones, by path."""
    endless: bool = False
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    arrival: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.received.append(({name.decode(): value.decode() for name, value in scope["headers"]}, body))
        self.arrival.set()
        status = self.answers.pop(0) if self.answers else 200
        await asyncio.sleep(self.delays.get(scope["path"], self.delay))
        headers = [(b"location", self.url.encode())] if status in (301, 302, 307) else []
        await send({"type": "http.response.start", "status": status, "headers": headers})
        while self.endless:
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"thanks"})

    async def until(self, count: int, seconds: float = 10.0) -> None:
        """Wait until it has been sent so many messages."""
        async with asyncio.timeout(seconds):
            while len(self.received) < count:
                self.arrival.clear()
                await self.arrival.wait()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    config = uvicorn.Config(receiver, host="127.0.0.1", port=0, lifespan="off", log_config=None)
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    receiver.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/hook"
    yield receiver
    server.should_exit = True
    await serving


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
def delivering(store: Store, database_url: str) -> Callable[..., Any]:
    """`async with delivering(…)`: the service is at work, with these settings."""

    @asynccontextmanager
    async def deliver(**settings: Any) -> AsyncIterator[None]:
        chosen = {"webhook_private_addresses": True, "webhook_timeout": 0.5} | settings
        async with working(store, ReportingSettings(database_url=database_url, **chosen)):
            yield

    return deliver


@pytest.fixture
def attempts(store: Store) -> Callable[[int], Awaitable[list[Any]]]:
    """The attempts in the log, as soon as there are so many."""

    async def wait(count: int) -> list[Any]:
        async with asyncio.timeout(10):
            rows: list[Any] = []
            while len(rows) < count:
                await asyncio.sleep(0.02)
                async with store.connection() as con:
                    rows = await con.fetch("select * from webhook_delivery order by id")
            return rows

    return wait
