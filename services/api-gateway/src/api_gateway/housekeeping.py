"""What has to be done again and again: jobs whose workers died, and things nobody needs any more."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

from flexcore.credentials import repository as tokens
from flexmodel.errors import Unavailable
from flexstore import daily_rollups, retention, timescale
from flexstore.store import Store
from flexwork import activity_log, jobs

from api_gateway import rate_limits
from api_gateway.idempotency import attempts
from api_gateway.jobs.repository import FORGET_FILES
from api_gateway.settings import GatewaySettings

SWEEP_SECONDS = 15.0
TIDY_SECONDS = 3600.0

log = logging.getLogger(__name__)


async def keep(store: Store, settings: GatewaySettings) -> None:
    """Look after jobs, and tidy up now and then, for as long as the gateway runs."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(repeating("Looking after jobs", partial(look_after_jobs, store), SWEEP_SECONDS))
        tasks.create_task(repeating("Tidying up", partial(tidy, store, settings), TIDY_SECONDS))


async def repeating(name: str, work: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Do it every so many seconds, and soon again if the database was away."""
    while True:
        wait = seconds
        try:
            await work()
        except Unavailable:
            wait = SWEEP_SECONDS
        except Exception:  # whatever it is, for example tables that are not there yet: it must not be the last time
            log.exception("%s failed, and will be tried again later", name)
        await asyncio.sleep(wait)


async def look_after_jobs(store: Store) -> None:
    """Put back jobs whose workers died, and send again what was lost on the way."""
    async with store.connection() as con:
        swept = await jobs.sweep(con)
    if swept.requeued or swept.failed or swept.reannounced:
        log.warning("Jobs put back: %d, given up: %d, sent again: %d", swept.requeued, swept.failed, swept.reannounced)


async def tidy(store: Store, settings: GatewaySettings) -> None:
    """Forget what has no use any more, and keep the store in shape."""
    async with store.connection() as con:
        for statement in (rate_limits.FORGET, attempts.FORGET, tokens.FORGET, FORGET_FILES):
            await con.execute(statement)
        await activity_log.delete_old(con, timedelta(hours=settings.event_hours), settings.events_kept)
        await timescale.compress_after(con, settings.compress_after)
    await retention.delete_expired(store, settings.retention)
    await daily_rollups.refresh(store)
