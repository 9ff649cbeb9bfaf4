"""The services of a platform in this process, with a worker that works when it is told to."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import ingest.app
import pytest
from api_gateway.app import create_app
from api_gateway.settings import GatewaySettings
from flexcore.accounts import service as accounts
from flexcore.assets import service as assets
from flexcore.credentials.passwords import HASHER
from flexcore.sensors import service as sensors
from flexcore.users import service as users
from flexserve import service_token
from flexserve.service_client import ServiceClient
from flexstore.store import Connection, Store
from flexwork import job_runner
from ingest.settings import IngestSettings
from platforms import Platform, base_environment, free_port
from scheduler.settings import SchedulerSettings
from scheduler.tasks import make_handler
from waiting import eventually

EMAIL, PASSWORD, USERNAME = "toy-user@flexmeasures.io", "toy-password", "toy-user"


@dataclass
class Services:
    client: httpx.AsyncClient
    store: Store
    names: dict[str, Any]
    """Things that are there from the start, by the names that cases use."""

    async def work(self) -> None:
        """Run every schedule job that waits."""
        handler = make_handler(SchedulerSettings())
        for job_id in await self._waiting():
            await job_runner.run(self.store, job_id, handler)

    async def _waiting(self) -> list[UUID]:
        async with self.store.connection() as con:
            rows = await con.fetch(
                "select id from job where status = 'QUEUED' and queue = 'schedule' order by created_at"
            )
        return [row["id"] for row in rows]


@asynccontextmanager
async def services(database_url: str) -> AsyncIterator[Services]:
    """Gateway and ingest, with the toy account and a public price sensor."""
    token = service_token.generate_token()
    store = await Store.connect(database_url, max_size=10)
    names = await settle(store)
    back = ingest.app.create_app(IngestSettings(database_url=database_url, service_token=token), store)
    front = create_app(
        GatewaySettings(
            database_url=database_url,
            service_token=token,
            triggers_per_minute=0,
            forecasts=True,
            patience=timedelta(0),
        ),
        ingest=ServiceClient("ingest", back, token),
        scheduler=ServiceClient("scheduler", "http://nowhere", token),
        store=store,
    )
    async with front.router.lifespan_context(front), asyncio.timeout(120):
        transport = httpx.ASGITransport(front)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:5000") as client:
            yield Services(client, store, names)
    await store.close()


@pytest.fixture(scope="module")
def open_services() -> Callable[[str], AbstractAsyncContextManager[Services]]:
    return services


async def add_toy_building(con: Connection, account: int) -> None:
    """Something that lists show: an asset with a child and a sensor."""
    at = {"latitude": 52.37, "longitude": 4.89, "account_id": account}
    building = await assets.create(con, None, {"name": "toy-building", "generic_asset_type_id": 6, **at})
    battery = {"name": "toy-battery", "generic_asset_type_id": 5, "parent_asset_id": building, **at}
    await assets.create(con, None, battery)
    power = {"name": "power", "unit": "kW", "event_resolution": timedelta(minutes=15), "generic_asset_id": building}
    await sensors.create(con, None, power)


async def settle(store: Store) -> dict[str, Any]:
    async with store.transaction() as con:
        account = await accounts.create(con, None, "Toy Account")
        user = await users.create(
            con,
            None,
            account,
            EMAIL,
            USERNAME,
            HASHER.hash(PASSWORD),
            roles=["account-admin"],
            timezone="Europe/Amsterdam",
        )
        await add_toy_building(con, account)
        zone = await assets.create(
            con, None, {"name": "NL transmission zone", "generic_asset_type_id": 9, "account_id": None}
        )
        public = {
            "name": "day-ahead prices",
            "unit": "EUR/MWh",
            "timezone": "Europe/Amsterdam",
            "generic_asset_id": zone,
        }
        outside = await sensors.create(con, None, public | {"event_resolution": timedelta(hours=1)})
    return {
        "account": account, "user": user, "outside": outside, "email": EMAIL, "password": PASSWORD,
        "username": USERNAME, "run": "1",
    }  # fmt: skip


@pytest.fixture(scope="module")
def served(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform with the toy account, served over HTTP, that takes on forecasts."""
    folder = tmp_path_factory.mktemp("served")
    settings = {"FLEXMESH_DATABASE_URL": module_database_url, "FLEXMESH_FORECASTS": "true"}
    platform = Platform(folder, base_environment(folder) | settings, free_port())
    platform.start("up", "up", "--toy", "--port", str(platform.port))
    try:
        platform.until_ready("up", platform.port, 60)
        eventually(lambda: "Log in as" in platform.log("up"), "the toy account being there", 60)
        yield platform
    finally:
        platform.stop()
