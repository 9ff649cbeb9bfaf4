"""A loop that threads share: results, errors, interruption with time to clean up, and context."""

import asyncio
import threading
from concurrent.futures import CancelledError

import pytest
from flexserve import logs
from flexwork.event_loop import BackgroundLoop
from waiting import eventually


async def test_call_returns_the_result_or_raises(loop: BackgroundLoop) -> None:
    async def add(a: int, b: int) -> int:
        await asyncio.sleep(0)
        return a + b

    async def fail() -> None:
        raise ValueError("no")

    assert await asyncio.to_thread(loop.call, add(1, 2)) == 3
    with pytest.raises(ValueError, match="no"):
        await asyncio.to_thread(loop.call, fail())


def test_threads_share_one_loop(loop: BackgroundLoop) -> None:
    async def where() -> tuple[int, asyncio.AbstractEventLoop]:
        return threading.get_ident(), asyncio.get_running_loop()

    assert loop.call(where()) == loop.call(where())
    assert loop.call(where())[0] != threading.get_ident()


def test_cancel_lets_the_work_clean_up_before_call_ends(loop: BackgroundLoop) -> None:
    events: list[str] = []

    async def work() -> None:
        events.append("started")
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            events.append("cleaned up")

    def call() -> None:
        with pytest.raises(CancelledError):
            loop.call(work())
        events.append("returned")

    thread = threading.Thread(target=call)
    thread.start()
    eventually(lambda: events, "the work being started")
    loop.cancel()
    thread.join(5)
    assert events == ["started", "cleaned up", "returned"]


def test_cancel_leaves_background_work_alone(loop: BackgroundLoop) -> None:
    async def background() -> str:
        await asyncio.sleep(0.1)
        return "done"

    future = loop.spawn(background())
    loop.cancel()
    assert future.result(5) == "done"


def test_a_call_from_the_loop_itself_is_refused(loop: BackgroundLoop) -> None:
    async def nothing() -> None: ...

    async def call() -> None:
        loop.call(nothing())

    with pytest.raises(RuntimeError, match="await the coroutine"):
        loop.call(call())


def test_the_ids_of_the_thread_go_along(loop: BackgroundLoop) -> None:
    async def job_id() -> object:
        return logs.current("job_id")

    with logs.bound(job_id="j1"):
        assert loop.call(job_id()) == "j1"
    assert loop.call(job_id()) is None


def test_stop_cancels_what_is_left() -> None:
    loop = BackgroundLoop().start()
    ended = threading.Event()

    async def forever() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    loop.spawn(forever())
    loop.call(asyncio.sleep(0.01))
    assert loop.stop(5)
    assert ended.is_set()
