"""The work on webhooks that goes on as long as the service runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from flexmodel.errors import Unavailable
from flexserve import logs
from flexstore import webhooks
from flexstore.outbox import Relay
from flexstore.store import Store

from reporting.settings import ReportingSettings
from reporting.webhooks.delivery import Delivery, http_client

log = logs.get(__name__)

RESTART_SECONDS = 1.0
FORGET_SECONDS = 3600.0
PATIENCE = 10.0
"""Seconds that a delivery may take besides waiting for the webhook."""


@asynccontextmanager
async def working(store: Store, settings: ReportingSettings) -> AsyncIterator[None]:
    """Deliver what the outbox holds for webhooks, and forget old attempts, until the block ends."""
    async with http_client(settings) as client:
        relay = Relay(
            store,
            Delivery(store, client, settings).deliver,
            topics=[webhooks.TOPIC],
            patience=settings.webhook_timeout + PATIENCE,
            longest_wait=settings.webhook_longest_wait,
        )
        tasks = [asyncio.create_task(relaying(relay)), asyncio.create_task(forgetting(store, settings))]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def relaying(relay: Relay) -> None:
    """Relay, whatever happens. The relay itself waits for a database that is away; anything else is a bug of ours."""
    while True:
        try:
            await relay.run()
        except Exception:
            log.exception("the delivery of webhooks broke down and starts again")
        await asyncio.sleep(RESTART_SECONDS)


async def forgetting(store: Store, settings: ReportingSettings) -> None:
    while True:
        with suppress(Unavailable):
            async with store.connection() as con:
                await webhooks.forget(con, timedelta(days=settings.webhook_log_days))
        await asyncio.sleep(FORGET_SECONDS)
