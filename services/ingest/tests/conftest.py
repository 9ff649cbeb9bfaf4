"""Fixtures: an ingest service over a real database, a server for connectors, and connectors."""

from collections.abc import AsyncIterator

import httpx
import pytest
from flexserve.service_client import USER_HEADER
from flexstore.store import Store
from ingest.app import create_app
from ingest.belief_writer import BeliefWriter
from ingest.connectors import http_client
from ingest.connectors.connector_runner import ConnectorRunner
from ingest.connectors.http_client import ResponseLimits, open_client
from ingest.settings import IngestSettings
from ingest_service import ConnectorBench, Provider, Service
from serving import serving

TOKEN = "a token for the tests"


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


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    provider = Provider()
    async with serving(provider) as url:
        provider.url = url
        yield provider


@pytest.fixture
async def bench(service: Service, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ConnectorBench]:
    monkeypatch.setattr(http_client, "FIRST_WAIT", 0.01)
    sensor = await service.add_sensor("EUR/MWh", 60)
    async with open_client(ResponseLimits(seconds=2, max_bytes=1_000_000), private_addresses=True) as client:
        yield ConnectorBench(ConnectorRunner(service.store, BeliefWriter(), client), sensor, provider)
