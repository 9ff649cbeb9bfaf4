"""The background loop: an asyncio event loop in a thread of its own, for threads that await coroutines."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

STOP_SECONDS = 10.0
"""Seconds for the remaining coroutines to clean up. A computing thread cannot be interrupted at all."""


class BackgroundLoop:
    """The event loop of all task threads of a process, which thus share a database pool. Also a context manager."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=loop_factory())
        self._started = threading.Event()
        self._end: asyncio.Event
        self._loop: asyncio.AbstractEventLoop
        self._called: set[asyncio.Task[Any]] = set()
        self._thread = threading.Thread(target=self._run, name="loop", daemon=True)

    def start(self) -> "BackgroundLoop":
        self._thread.start()
        self._started.wait()
        return self

    def call[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for its result, from a task's thread.

        Raises:
            concurrent.futures.CancelledError: `cancel` has interrupted the coroutine, which has cleaned up.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("Loop.call() would wait for itself: await the coroutine instead.")
        return asyncio.run_coroutine_threadsafe(self._track(work), self._loop).result()

    def spawn[T](self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the loop in the background, until it ends or the loop stops."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def cancel(self) -> None:
        """Cancel all coroutines that run through `call`."""

        def cancel_all() -> None:
            for task in self._called:
                task.cancel()

        self._loop.call_soon_threadsafe(cancel_all)

    def stop(self, timeout: float | None = None) -> bool:
        """Cancel the remaining coroutines and end the thread. Return whether it ended in time."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def __enter__(self) -> "BackgroundLoop":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop(STOP_SECONDS)

    async def _track[T](self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.current_task()
        assert task is not None
        self._called.add(task)
        try:
            return await work
        finally:
            self._called.discard(task)

    def _run(self) -> None:
        with self._runner as runner:
            runner.run(self._wait_for_end())

    async def _wait_for_end(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        self._started.set()
        await self._end.wait()


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the factory of the fastest event loop available; None for that of Python itself."""
    try:
        import uvloop  # noqa: PLC0415  (not on Windows)
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
