"""Upkeep: duties that are repeated as long as a process runs, each by one process at a time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from flexmodel.errors import Unavailable
from flexstore.store import Store

from flexwork import jobs

log = logging.getLogger(__name__)

JOB_SWEEP_SECONDS = 15.0
RETRY_SECONDS = 15.0
"""Seconds until a duty is tried again when the database was away."""
HOURLY = 3600.0

TRY_LOCK = "select pg_try_advisory_lock(hashtextextended('flexmesh upkeep: ' || $1, 0))"
UNLOCK = "select pg_advisory_unlock(hashtextextended('flexmesh upkeep: ' || $1, 0))"

type Work = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Duty:
    """A piece of work to repeat every `every` seconds."""

    name: str
    every: float
    work: Work
    locked: bool


class Upkeep:
    """The duties of a process. Services add theirs with `register` before `run`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._duties: list[Duty] = []

    def register(self, name: str, every: float, work: Work, *, locked: bool = True) -> None:
        """Add a duty.

        Args:
            name: The name of the duty, in logs and for its lock.
            every: Seconds between two rounds.
            work: Does the duty once.
            locked: True for an advisory lock that keeps other processes from the duty meanwhile; False where the
                work has a lock of its own.
        """
        self._duties.append(Duty(name, every, work, locked))

    async def run(self) -> None:
        """Do all duties again and again, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for duty in self._duties:
                tasks.create_task(self._repeat(duty))

    async def run_once(self) -> None:
        """Do every duty once, one after the other."""
        for duty in self._duties:
            await self._do(duty)

    async def _repeat(self, duty: Duty) -> None:
        while True:
            wait = duty.every
            try:
                await self._do(duty)
            except Unavailable:
                wait = min(RETRY_SECONDS, duty.every)
            except Exception:  # no error may end the duty, for example tables that are not there yet
                log.exception("The upkeep duty '%s' failed, and will be tried again later", duty.name)
            await asyncio.sleep(wait)

    async def _do(self, duty: Duty) -> None:
        if not duty.locked:
            await duty.work()
            return
        async with self._store.connection() as con:
            if not await con.fetchval(TRY_LOCK, duty.name):
                return  # another process does the duty
            try:
                await duty.work()
            finally:
                await con.execute(UNLOCK, duty.name)


def register_job_sweep(upkeep: Upkeep, store: Store) -> None:
    """Put back jobs whose workers died, and announce again those whose message was lost."""

    async def sweep() -> None:
        async with store.connection() as con:
            swept = await jobs.sweep(con)
        if swept.requeued or swept.failed or swept.reannounced:
            log.warning(
                "Jobs put back: %d, given up: %d, sent again: %d", swept.requeued, swept.failed, swept.reannounced
            )

    upkeep.register("job sweep", JOB_SWEEP_SECONDS, sweep, locked=False)
