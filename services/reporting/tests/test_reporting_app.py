"""The reporting service works as long as its lifespan lasts."""

import asyncio

import httpx
from flexcore.webhooks import subscriptions
from flexstore.store import Store
from flexwork import activities
from flexwork.activities import ActivityType
from reporting.app import create_app
from reporting.settings import ReportingSettings
from webhook_receiver import Receiver


async def test_the_application_delivers_while_it_lives(
    store: Store, account: int, receiver: Receiver, database_url: str
) -> None:
    settings = ReportingSettings(database_url=database_url, webhook_private_addresses=True)
    app = create_app(settings)
    async with store.connection() as con:
        await subscriptions.add(con, account, receiver.url)
    before = asyncio.all_tasks()
    async with app.router.lifespan_context(app):
        assert asyncio.all_tasks() > before
    assert asyncio.all_tasks() == before
    async with store.transaction() as con:
        await activities.record(con, account, ActivityType.SCHEDULE_FINISHED, {})
    async with app.router.lifespan_context(app):
        await receiver.until(1)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://reporting") as client:
            assert (await client.get("/health/ready")).status_code == 200
            assert "flexmesh_webhook_deliveries_total" in (await client.get("/metrics")).text
