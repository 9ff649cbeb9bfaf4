"""A reporting service over a real database, and a web server that webhooks can be sent to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from flexstore.store import Store
from reporting.notifications.relays import notifying
from reporting.settings import ReportingSettings
from serving import serving
from waiting import until


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

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.received.append(({name.decode(): value.decode() for name, value in scope["headers"]}, body))
        status = self.answers.pop(0) if self.answers else 200
        await asyncio.sleep(self.delays.get(scope["path"], self.delay))
        headers = [(b"location", self.url.encode())] if status in (301, 302, 307) else []
        await send({"type": "http.response.start", "status": status, "headers": headers})
        while self.endless:
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"thanks"})

    async def until(self, count: int) -> None:
        """Wait until it has been sent so many messages."""
        await until(lambda: len(self.received) >= count)


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
def delivering(store: Store, database_url: str) -> Callable[..., Any]:
    """`async with delivering(…)`: the service is at work, with these settings."""

    @asynccontextmanager
    async def deliver(**settings: Any) -> AsyncIterator[None]:
        chosen = {"webhook_private_addresses": True, "webhook_timeout": 0.5} | settings
        async with notifying(store, ReportingSettings(database_url=database_url, **chosen)):
            yield

    return deliver


@pytest.fixture
def attempts(store: Store) -> Callable[[int], Awaitable[list[Any]]]:
    """The attempts in the log, as soon as there are so many."""

    rows: list[Any] = []

    async def are(count: int) -> bool:
        async with store.connection() as con:
            rows[:] = await con.fetch("select * from webhook_delivery order by id")
        return len(rows) >= count

    async def wait(count: int) -> list[Any]:
        await until(lambda: are(count))
        return list(rows)

    return wait
