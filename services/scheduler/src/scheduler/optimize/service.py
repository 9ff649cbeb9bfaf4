"""Answers a problem at once if it can be solved at once."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from scheduler.optimize.request import read
from scheduler.optimize.response import answer
from scheduler.settings import SchedulerSettings
from scheduler.solving.solve import Options, OutOfTimeError


class Optimizer:
    """Solves in a few threads of its own; when all of them are busy, a problem waits for its turn or becomes a job."""

    def __init__(self, settings: SchedulerSettings) -> None:
        self.seconds = settings.optimize_sync_seconds
        self.largest = settings.optimize_largest
        self._threads = ThreadPoolExecutor(settings.worker_concurrency, thread_name_prefix="optimize")

    async def answer(self, message: Any) -> dict[str, Any] | None:
        """The answer, proven to be the best one; None if that takes longer than a client should be kept waiting."""
        question = await asyncio.to_thread(read, message, self.largest)
        if not self.seconds:
            return None
        loop = asyncio.get_running_loop()
        solving = loop.run_in_executor(self._threads, partial(answer, question, Options(seconds=self.seconds)))
        try:
            found = await asyncio.wait_for(solving, self.seconds)
        except (OutOfTimeError, TimeoutError):
            return None
        return found if found["status"] == "optimal" else None
