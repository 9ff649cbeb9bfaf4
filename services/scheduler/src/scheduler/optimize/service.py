"""Solution of problems within the request, if that is quick enough."""

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

    async def optimize(self, message: object) -> dict[str, Any] | None:
        """Return the proven optimum, or None if that takes longer than a client should wait."""
        request = await asyncio.to_thread(parse_request, message, self.largest)
        if not self.seconds:
            return None
        loop = asyncio.get_running_loop()
        solving = loop.run_in_executor(
            self._threads, partial(solve_request, request, SolverOptions(seconds=self.seconds))
        )
        try:
            response = await asyncio.wait_for(solving, self.seconds)
        except (OutOfTimeError, TimeoutError):
            return None
        return response if response["status"] == "optimal" else None
