"""What has to be done again and again: jobs whose workers died, and things nobody needs any more."""

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta

import asyncpg
from flexmodel.errors import Unavailable
from flexstore import days, eventlog, jobs, retention, timescale
from flexstore.store import Store

from api_gateway import attempts, rates
from api_gateway.auth import repository as tokens
from api_gateway.jobs.repository import FORGET_FILES
from api_gateway.settings import GatewaySettings

SWEEP_SECONDS = 15.0
TIDY_SECONDS = 3600.0

log = logging.getLogger(__name__)


async def keep(store: Store, settings: GatewaySettings) -> None:
    """Look after jobs, and tidy up now and then, for as long as the gateway runs."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(look_after_jobs(store))
        tasks.create_task(tidy_up(store, settings))


async def look_after_jobs(store: Store) -> None:
    while True:
        with suppress(Unavailable):
            async with store.connection() as con:
                swept = await jobs.sweep(con)
            if swept.requeued or swept.failed or swept.resent:
                log.warning(
                    "Jobs put back: %d, given up: %d, sent again: %d", swept.requeued, swept.failed, swept.resent
                )
        await asyncio.sleep(SWEEP_SECONDS)


async def tidy_up(store: Store, settings: GatewaySettings) -> None:
    while True:
        try:
            await tidy(store, settings)
        except Unavailable:
            await asyncio.sleep(SWEEP_SECONDS)
            continue
        except (asyncpg.PostgresError, TimeoutError):
            log.exception("Tidying up failed, and will be tried again later")
        await asyncio.sleep(TIDY_SECONDS)


async def tidy(store: Store, settings: GatewaySettings) -> None:
    """Forget what has no use any more, and keep the store in shape."""
    async with store.connection() as con:
        for statement in (rates.FORGET, attempts.FORGET, tokens.FORGET, FORGET_FILES):
            await con.execute(statement)
        await eventlog.forget(con, timedelta(hours=settings.event_hours), settings.events_kept)
        await timescale.compress_after(con, settings.compress_after)
    await retention.apply(store, settings.retention)
    await days.refresh(store)
