"""The relays of notifications: from the activity log to the outbox, and from there to webhooks and mail servers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from flexcore.webhooks import subscriptions
from flexstore.store import Store
from flexwork import activities, activity_log
from flexwork.background import running
from flexwork.channel_watcher import ChannelWatcher
from flexwork.contracts import Topic
from flexwork.relay import Relay
from flexwork.upkeep import HOURLY, Upkeep

from reporting.notifications.mail import Mailer
from reporting.notifications.webhook_delivery import Delivery, http_client
from reporting.settings import ReportingSettings

POLL_SECONDS, SOON_SECONDS = 5.0, 0.25
"""Seconds between two looks for activities without a notification, and the same after some were found."""
DELIVERY_MARGIN_SECONDS = 10.0
"""Seconds that a delivery may take in addition to the webhook's own timeout."""
MAIL_TIMEOUT_SECONDS = 60.0


@asynccontextmanager
async def notifying(store: Store, settings: ReportingSettings) -> AsyncIterator[None]:
    """Deliver webhook messages and mails, until the block ends."""
    async with http_client(settings) as client:
        webhooks = Relay(
            store,
            Delivery(store, client, settings).deliver,
            topics=[Topic.WEBHOOK],
            delivery_timeout=settings.webhook_timeout + DELIVERY_MARGIN_SECONDS,
            longest_wait=settings.webhook_longest_wait,
        )
        mails = Relay(
            store, Mailer.from_settings(settings).deliver, topics=[Topic.MAIL], delivery_timeout=MAIL_TIMEOUT_SECONDS
        )
        watcher = ChannelWatcher(
            store, activities.CHANNEL, partial(assign_positions, store), poll=POLL_SECONDS, soon=SOON_SECONDS
        )
        async with running(webhooks.run, mails.run, watcher.run):
            yield


async def assign_positions(store: Store) -> bool:
    """Assign positions to new activities, which leaves messages for webhooks. Return whether there were any."""
    async with store.connection() as con:
        return await activity_log.assign_positions(con) > 0


def register_duties(upkeep: Upkeep, store: Store, settings: ReportingSettings) -> None:
    """Delete old entries of the log of deliveries."""

    async def delete_old_deliveries() -> None:
        async with store.connection() as con:
            await subscriptions.forget(con, timedelta(days=settings.webhook_log_days))

    upkeep.register("old webhook deliveries", HOURLY, delete_old_deliveries)
