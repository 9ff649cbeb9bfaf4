"""Beat finds what is due and gets it done, the same on the broker of one process and on RabbitMQ."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from flexmodel.errors import Unavailable
from flexserve.beat import Beat, FindDue, Message
from flexserve.broker import BrokerApp
from flexserve.loop import Loop

BeatFor = Callable[[FindDue], Beat]


class Done:
    """What was done, to be waited for."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._changed = threading.Condition()

    def add(self, item: Any) -> None:
        with self._changed:
            self.items.append(item)
            self._changed.notify_all()

    def wait(self, count: int, seconds: float = 15) -> list[Any]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.items) >= count, seconds), self.items
            return list(self.items)


@pytest.fixture
def done(broker_app: BrokerApp) -> Done:
    """By the task `bake`."""
    done = Done()

    @broker_app.task(name="bake")
    def bake(cake: Any) -> None:
        done.add(cake)

    return done


@pytest.fixture
def beat_for(broker_app: BrokerApp, loop: Loop) -> Iterator[BeatFor]:
    started: list[Beat] = []

    def start(find_due: FindDue) -> Beat:
        started.append(Beat(broker_app, loop, find_due, every=0.05))
        started[-1].start()
        return started[-1]

    yield start
    for beat in started:
        beat.stop()


def telling(*what: Sequence[Message] | Exception) -> FindDue:
    """Tells these things, one after the other, and then that nothing is due."""
    left = list(what)

    async def find_due() -> Sequence[Message]:
        told = left.pop(0) if left else []
        if isinstance(told, Exception):
            raise told
        return told

    return find_due


def test_what_is_due_is_done(broker_app: BrokerApp, done: Done, worker_for: Any, beat_for: BeatFor) -> None:
    worker_for(broker_app, "bake")
    beat_for(telling([("bake", {"cake": 1}), ("bake", {"cake": 2})], [], [("bake", {"cake": 3})]))
    assert sorted(done.wait(3)) == [1, 2, 3]


def test_it_goes_on_when_what_is_due_cannot_be_found(
    broker_app: BrokerApp, done: Done, worker_for: Any, beat_for: BeatFor
) -> None:
    worker_for(broker_app, "bake")
    beat_for(telling(Unavailable("database"), RuntimeError("a bug"), [("bake", {"cake": 1})]))
    assert done.wait(1) == [1]


def test_several_beats_may_run_at_once(broker_app: BrokerApp, done: Done, worker_for: Any, beat_for: BeatFor) -> None:
    worker_for(broker_app, "bake")
    find_due = telling(*([("bake", {"cake": number})] for number in range(20)))
    for _ in range(3):
        beat_for(find_due)
    assert sorted(done.wait(20)) == list(range(20))


def test_it_stops_at_once_and_for_good(broker_app: BrokerApp, loop: Loop) -> None:
    asked = Done()

    async def find_due() -> Sequence[Message]:
        asked.add(1)
        return []

    beat = Beat(broker_app, loop, find_due, every=30)
    beat.start()
    asked.wait(1)
    start = time.monotonic()
    beat.stop()
    assert time.monotonic() - start < 2
    assert len(asked.items) == 1


async def test_it_ends_with_the_worker(broker_app: BrokerApp, done: Done, worker_for: Any, beat_for: BeatFor) -> None:
    worker = worker_for(broker_app, "bake")
    beat = beat_for(telling())
    await asyncio.to_thread(worker.stop, 1.0)
    await asyncio.to_thread(beat._thread.join, 5)
    assert not beat._thread.is_alive()
