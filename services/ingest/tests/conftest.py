"""An ingest service over a real database, with a user who may send values; and a server that connectors can ask."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from flexserve.service_client import USER_HEADER
from flexstore import series
from flexstore.store import Store
from ingest.app import create_app
from ingest.settings import IngestSettings
from serving import serving

TOKEN = "a token for the tests"


@dataclass
class Service:
    """The service, and direct access to what it stored."""

    store: Store
    client: httpx.AsyncClient
    user: int
    asset: int
    account: int

    async def add_sensor(self, unit: str = "kW", minutes: float = 15, timezone: str = "Europe/Amsterdam") -> int:
        async with self.store.connection() as con:
            number = await con.fetchval("select count(*) from sensor")
            sensor: int = await con.fetchval(
                "insert into sensor (asset_id, name, unit, event_resolution, timezone) values ($1, $2, $3, $4, $5)"
                " returning id",
                self.asset, f"sensor {number}", unit, timedelta(minutes=minutes), timezone,
            )  # fmt: skip
        return sensor

    async def post(self, sensor: int, /, **message: Any) -> httpx.Response:
        return await self.client.post(f"/internal/sensors/{sensor}/data", json=message)

    async def upload(self, sensor: int, /, *files: tuple[str, bytes | str], **fields: str) -> httpx.Response:
        parts = [("uploaded-files", (name, content)) for name, content in files]
        fields = {name.replace("_", "-"): value for name, value in fields.items()}
        return await self.client.post(f"/internal/sensors/{sensor}/data/upload", files=parts, data=fields)

    async def values(
        self, sensor: int, start: str = "2000-01-01T00:00Z", end: str = "2100-01-01T00:00Z", **query: Any
    ) -> dict[datetime, float]:
        """What counts now, by start of the event."""
        async with self.store.connection() as con:
            asked = series.SeriesQuery(sensor, datetime.fromisoformat(start), datetime.fromisoformat(end), **query)
            [found] = await series.load_series(con, [asked])
        starts = [time.replace(tzinfo=UTC) for time in found.event_start.tolist()]
        return dict(zip(starts, found.values.tolist(), strict=True))

    async def rows(self, sensor: int) -> Sequence[Any]:
        async with self.store.connection() as con:
            return await con.fetch(
                "select * from belief where sensor_id = $1 order by event_start, belief_time", sensor
            )


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    settings = IngestSettings(
        database_url=database_url, service_token=TOKEN, post_max_events=10_000, upload_max_mb=30, upload_at_once_mb=1
    )
    store = await Store.connect(database_url, max_size=20)
    async with store.transaction() as con:
        account = await con.fetchval("insert into account (name) values ('grower') returning id")
        user = await con.fetchval(
            "insert into users (account_id, email, username, password_hash) values ($1, 'a@b.cd', 'ada', '')"
            " returning id",
            account,
        )
        asset = await con.fetchval(
            "insert into asset (name, account_id, asset_type_id) values ('greenhouse', $1, 6) returning id", account
        )
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(settings, store)),
        base_url="http://ingest",
        headers={"Authorization": f"Bearer {TOKEN}", USER_HEADER: str(user)},
    )
    async with client:
        yield Service(store, client, user, asset, account)
    await store.close()


@dataclass
class Reply:
    """How the provider answers one request."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    endless: bool = False
    """Goes on sending the body for ever."""


@dataclass
class Provider:
    """A server of somebody else's. It keeps what it was asked, and answers as it is told to; the last answer stays."""

    url: str = ""
    replies: list[Reply] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        query = dict(httpx.QueryParams(scope["query_string"].decode()))
        sent = {
            "path": scope["path"],
            "query": query,
            "headers": headers,
            "body": body,
            "client": tuple(scope["client"]),
        }
        self.asked.append(sent)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        await asyncio.sleep(reply.delay)
        told = [(name.lower().encode(), value.encode()) for name, value in reply.headers.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": told})
        while reply.endless:
            await send({"type": "http.response.body", "body": reply.body, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": reply.body})

    def answer(self, body: bytes | str = b"", status: int = 200, **how: Any) -> None:
        """One more answer."""
        self.replies.append(Reply(body.encode() if isinstance(body, str) else body, status, **how))


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    provider = Provider()
    async with serving(provider) as url:
        provider.url = url
        yield provider
