"""The beat publishes due messages, the same on the broker of one process and on RabbitMQ."""

import asyncio
from collections.abc import Callable, Iterator, Sequence

import pytest
from flexmodel.errors import Unavailable
from flexwork.beat import Beat, FindDue, Message
from flexwork.broker import BrokerApp
from flexwork.event_loop import BackgroundLoop
from flexwork.worker import Worker
from waiting import Seen

BeatFor = Callable[[FindDue], Beat]
WorkerFor = Callable[..., Worker]


@pytest.fixture
def beat_for(broker_app: BrokerApp, loop: BackgroundLoop) -> Iterator[BeatFor]:
    started: list[Beat] = []

    def start(find_due: FindDue) -> Beat:
        started.append(Beat(broker_app, loop, find_due, every=0.05))
        started[-1].start()
        return started[-1]

    yield start
    for beat in started:
        beat.stop()


def make_find_due(*results: Sequence[Message] | Exception) -> FindDue:
    """Return a function that returns or raises these results one after the other, and then finds nothing due."""
    left = list(results)

    async def find_due() -> Sequence[Message]:
        result = left.pop(0) if left else []
        if isinstance(result, Exception):
            raise result
        return result

    return find_due


def test_what_is_due_is_done(broker_app: BrokerApp, seen: Seen, worker_for: WorkerFor, beat_for: BeatFor) -> None:
    worker_for(broker_app, "bake")
    beat_for(make_find_due([("bake", {"job": 1}), ("bake", {"job": 2})], [], [("bake", {"job": 3})]))
    assert sorted(seen.wait(3)) == [1, 2, 3]


def test_it_goes_on_when_what_is_due_cannot_be_found(
    broker_app: BrokerApp, seen: Seen, worker_for: WorkerFor, beat_for: BeatFor
) -> None:
    worker_for(broker_app, "bake")
    beat_for(make_find_due(Unavailable("database"), RuntimeError("a bug"), [("bake", {"job": 1})]))
    assert seen.wait(1) == [1]


def test_several_beats_may_run_at_once(
    broker_app: BrokerApp, seen: Seen, worker_for: WorkerFor, beat_for: BeatFor
) -> None:
    worker_for(broker_app, "bake")
    find_due = make_find_due(*([("bake", {"job": number})] for number in range(20)))
    for _ in range(3):
        beat_for(find_due)
    assert sorted(seen.wait(20)) == list(range(20))


def test_it_stops_at_once_and_for_good(broker_app: BrokerApp, loop: BackgroundLoop) -> None:
    asked = Seen()

    async def find_due() -> Sequence[Message]:
        asked.add(1)
        return []

    beat = Beat(broker_app, loop, find_due, every=3600)
    beat.start()
    asked.wait(1)
    beat.stop()
    assert not beat._thread.is_alive()
    assert len(asked.items) == 1


async def test_it_ends_with_the_worker(
    broker_app: BrokerApp, seen: Seen, worker_for: WorkerFor, beat_for: BeatFor
) -> None:
    worker = worker_for(broker_app, "bake")
    beat = beat_for(make_find_due())
    await asyncio.to_thread(worker.stop, 1.0)
    await asyncio.to_thread(beat._thread.join, 5)
    assert not beat._thread.is_alive()
