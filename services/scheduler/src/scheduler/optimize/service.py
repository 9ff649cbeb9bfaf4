"""Answers a problem at once if it can be solved at once."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from scheduler.optimize.request import parse_request
from scheduler.optimize.response import solve_request
from scheduler.settings import SchedulerSettings
from scheduler.solving.search import SolverOptions
from scheduler.solving.solve import OutOfTimeError


class Optimizer:
    """Solves in a few threads of its own; when all of them are busy, a problem waits for its turn or becomes a job."""

    def __init__(self, settings: SchedulerSettings) -> None:
        self.seconds = settings.optimize_sync_seconds
        self.largest = settings.optimize_largest
        self._threads = ThreadPoolExecutor(settings.worker_concurrency, thread_name_prefix="optimize")

    async def optimize(self, message: Any) -> dict[str, Any] | None:
        """The answer, proven to be the best one; None if that takes longer than a client should be kept waiting."""
        question = await asyncio.to_thread(parse_request, message, self.largest)
        if not self.seconds:
            return None
        loop = asyncio.get_running_loop()
        solving = loop.run_in_executor(
            self._threads, partial(solve_request, question, SolverOptions(seconds=self.seconds))
        )
        try:
            found = await asyncio.wait_for(solving, self.seconds)
        except (OutOfTimeError, TimeoutError):
            return None
        return found if found["status"] == "optimal" else None
