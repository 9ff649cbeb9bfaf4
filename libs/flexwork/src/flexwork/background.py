"""Background work of a service: started with it, restarted after an error, cancelled at its end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from flexserve import logs

log = logs.get(__name__)

RESTART_SECONDS = 1.0


@asynccontextmanager
async def running(*works: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run all works, until the block ends."""
    tasks = [asyncio.create_task(_run_for_ever(work)) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _run_for_ever(work: Callable[[], Awaitable[None]]) -> None:
    """Run the work, and restart it after an error. The work itself waits for a database that is away."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("background work broke down and starts again")
        await asyncio.sleep(RESTART_SECONDS)
