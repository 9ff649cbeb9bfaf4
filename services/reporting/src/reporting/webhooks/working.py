"""The work on webhooks that goes on as long as the service runs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial

from flexcore.webhooks import subscriptions
from flexmodel.errors import Unavailable
from flexserve import logs
from flexstore.store import Store
from flexwork import activities, activity_log, outbox
from flexwork.channel_watcher import ChannelWatcher
from flexwork.outbox import Relay

from reporting.settings import ReportingSettings
from reporting.webhooks.delivery import Delivery, http_client

log = logs.get(__name__)

RESTART_SECONDS = 1.0
FORGET_SECONDS = 3600.0
POLL_SECONDS, SOON_SECONDS = 5.0, 0.25
"""How often to look for events that went unheard; and how soon again after there were some."""
PATIENCE = 10.0
"""Seconds that a delivery may take besides waiting for the webhook."""


@asynccontextmanager
async def working(store: Store, settings: ReportingSettings) -> AsyncIterator[None]:
    """Pass events on to webhooks, deliver what waits for them and forget old attempts, until the block ends."""
    async with http_client(settings) as client:
        relay = Relay(
            store,
            Delivery(store, client, settings).deliver,
            topics=[outbox.WEBHOOK],
            patience=settings.webhook_timeout + PATIENCE,
            longest_wait=settings.webhook_longest_wait,
        )
        watch = ChannelWatcher(
            store, activities.CHANNEL, partial(passing_on, store), poll=POLL_SECONDS, soon=SOON_SECONDS
        )
        kept_up = [lasting(relay.run), lasting(watch.run), lasting(partial(forgetting, store, settings))]
        tasks = [asyncio.create_task(work) for work in kept_up]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def passing_on(store: Store) -> bool:
    """Number the events that wait, by which webhooks get their messages; says whether there were any."""
    async with store.connection() as con:
        return await activity_log.assign_positions(con) > 0


async def lasting(run: Callable[[], Awaitable[None]]) -> None:
    """Run, whatever happens. A database that is away is waited for in there; anything else is a bug of ours."""
    while True:
        try:
            await run()
        except Exception:
            log.exception("the work on webhooks broke down and starts again")
        await asyncio.sleep(RESTART_SECONDS)


async def forgetting(store: Store, settings: ReportingSettings) -> None:
    while True:
        with suppress(Unavailable):
            async with store.connection() as con:
                await subscriptions.forget(con, timedelta(days=settings.webhook_log_days))
        await asyncio.sleep(FORGET_SECONDS)
