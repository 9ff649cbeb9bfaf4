"""Publishing and running tasks, the same on the broker of one process and on RabbitMQ."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from flexmodel.errors import Unavailable
from flexserve import logs, metrics
from flexserve.app import create_app
from flexserve.settings import ServiceSettings
from flexwork.broker import BrokerApp, Publisher, celery_app
from flexwork.event_loop import BackgroundLoop
from flexwork.worker import Worker
from prometheus_client import REGISTRY
from waiting import Seen, until

PublisherFor = Callable[[BrokerApp], Publisher]
WorkerFor = Callable[..., Worker]
LogLines = Callable[[], list[dict[str, Any]]]
ClientFor = Callable[[FastAPI], httpx.AsyncClient]


async def length_becomes(publisher: Publisher, queue: str, length: int) -> None:
    async def is_right() -> bool:
        return await publisher.length(queue) == length

    await until(is_right)


async def test_a_task_published_before_the_worker_exists_runs_once(
    broker_app: BrokerApp, seen: Seen, publisher_for: PublisherFor, worker_for: WorkerFor
) -> None:
    publisher = publisher_for(broker_app)
    assert await publisher.length("bake") == 0
    await publisher.publish("bake", {"job": "early"})
    assert await publisher.length("bake") == 1
    worker = worker_for(broker_app, "bake")
    await seen.until(1)
    await publisher.publish("bake", {"job": "late"})
    assert await seen.until(2) == ["early", "late"]
    assert await asyncio.to_thread(worker.stop, 5)
    assert seen.items == ["early", "late"] and await publisher.length("bake") == 0


async def test_many_messages_from_many_tasks_all_run(
    broker_app: BrokerApp, seen: Seen, publisher_for: PublisherFor, worker_for: WorkerFor
) -> None:
    publisher = publisher_for(broker_app)
    worker_for(broker_app, "bake", concurrency=4)
    await asyncio.gather(*(publisher.publish("bake", {"job": number}) for number in range(200)))
    assert sorted(await seen.until(200)) == list(range(200))


async def test_tasks_run_side_by_side_and_no_more_than_allowed(
    broker_app: BrokerApp, publisher_for: PublisherFor, worker_for: WorkerFor
) -> None:
    started, go, hands = Seen(), threading.Event(), threading.Semaphore(2)
    idle: list[bool] = []

    @broker_app.task(name="knead")
    def knead(job: int) -> None:
        idle.append(hands.acquire(blocking=False))
        started.add(job)
        go.wait(30)
        hands.release()

    publisher = publisher_for(broker_app)
    worker_for(broker_app, "knead", concurrency=2)
    for number in range(5):
        await publisher.publish("knead", {"job": number})
    await started.until(2)
    # Each thread holds one message, none has a second one in advance.
    await length_becomes(publisher, "knead", 3)
    go.set()
    await started.until(5)
    assert all(idle)


async def test_a_task_that_fails_is_logged_and_not_repeated(
    broker_app: BrokerApp, publisher_for: PublisherFor, worker_for: WorkerFor, log_lines: LogLines
) -> None:
    tried = Seen()

    @broker_app.task(name="burn")
    def burn(job: str) -> None:
        tried.add(job)
        raise RuntimeError("burnt, password=hush")

    publisher = publisher_for(broker_app)
    worker = worker_for(broker_app, "burn")
    await publisher.publish("burn", {"job": "j7"})
    await tried.until(1)
    assert worker.stop(grace=5)
    assert tried.items == ["j7"] and await publisher.length("burn") == 0
    [line] = [line for line in log_lines() if line["event"] == "the task failed"]
    assert (line["job_id"], line["queue"]) == ("j7", "burn")
    assert "RuntimeError: burnt" in line["exception"] and "hush" not in line["exception"]
    assert REGISTRY.get_sample_value("flexmesh_job_seconds_count", {"queue": "burn", "outcome": "failed"})


async def test_a_task_that_tells_of_a_failed_job_counts_as_failed(
    broker_app: BrokerApp, publisher_for: PublisherFor, worker_for: WorkerFor
) -> None:
    tried = Seen()

    @broker_app.task(name="taste")
    def taste(job: str) -> str:
        tried.add(job)
        return job

    def counted(outcome: str) -> float:
        labels = {"queue": "taste", "outcome": outcome}
        return REGISTRY.get_sample_value("flexmesh_job_seconds_count", labels) or 0

    before = {outcome: counted(outcome) for outcome in ("failed", "done")}
    publisher = publisher_for(broker_app)
    worker = worker_for(broker_app, "taste")
    for state in ("FAILED", "FINISHED"):
        await publisher.publish("taste", {"job": state})
    await tried.until(2)
    assert worker.stop(grace=5)
    assert {outcome: counted(outcome) - before[outcome] for outcome in before} == {"failed": 1, "done": 1}


async def test_a_task_whose_part_is_away_is_tried_again(
    broker_app: BrokerApp, publisher_for: PublisherFor, worker_for: WorkerFor
) -> None:
    tried = Seen()

    @broker_app.task(name="fetch")
    def fetch(job: str) -> None:
        tried.add(job)
        if len(tried.items) < 3:
            raise Unavailable("database", retry_after=0.05)

    publisher = publisher_for(broker_app)
    worker_for(broker_app, "fetch")
    await publisher.publish("fetch", {"job": "j1"})
    assert await tried.until(3) == ["j1"] * 3
    await length_becomes(publisher, "fetch", 0)


async def is_away(worker: Worker) -> bool:
    try:
        await worker.check()
    except Unavailable:
        return True
    return False


async def test_stopping_lets_running_tasks_finish_and_takes_no_more(
    broker_app: BrokerApp, publisher_for: PublisherFor, worker_for: WorkerFor
) -> None:
    started, finished, go = Seen(), Seen(), threading.Event()

    @broker_app.task(name="rise")
    def rise(job: int) -> None:
        started.add(job)
        go.wait(30)
        finished.add(job)

    publisher = publisher_for(broker_app)
    worker = worker_for(broker_app, "rise", concurrency=1)
    for number in range(3):
        await publisher.publish("rise", {"job": number})
    await started.until(1)
    stopping = asyncio.create_task(asyncio.to_thread(worker.stop, 30))
    await until(lambda: is_away(worker))
    go.set()
    assert await stopping
    assert started.items == finished.items == [0]
    await length_becomes(publisher, "rise", 2)

    worker_for(broker_app, "rise", concurrency=1)
    assert await finished.until(3) == [0, 1, 2]
    await length_becomes(publisher, "rise", 0)


async def test_stopping_gives_back_what_does_not_finish_in_time(
    broker_app: BrokerApp, publisher_for: PublisherFor, worker_for: WorkerFor, loop: BackgroundLoop
) -> None:
    started, released = Seen(), Seen()

    async def work(job: str) -> None:
        started.add(job)
        try:
            await asyncio.sleep(60 if len(started.items) == 1 else 0)
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)
            released.add(job)
            raise

    @broker_app.task(name="wait")
    def wait(job: str) -> None:
        loop.call(work(job))

    publisher = publisher_for(broker_app)
    worker = worker_for(broker_app, "wait")
    await publisher.publish("wait", {"job": "j1"})
    await started.until(1)
    assert await asyncio.to_thread(worker.stop, 0.2)
    assert released.items == ["j1"]
    await length_becomes(publisher, "wait", 1)

    worker_for(broker_app, "wait")
    assert await started.until(2) == ["j1", "j1"]
    await length_becomes(publisher, "wait", 0)


async def test_the_job_is_on_every_line_a_task_logs(
    broker_app: BrokerApp, publisher_for: PublisherFor, worker_for: WorkerFor, loop: BackgroundLoop, log_lines: LogLines
) -> None:
    async def inside() -> None:
        logs.get("x").info("in the loop")

    @broker_app.task(name="note")
    def note(job: str) -> None:
        logs.get("x").info("in the thread")
        loop.call(inside())

    publisher = publisher_for(broker_app)
    worker = worker_for(broker_app, "note")
    await publisher.publish("note", {"job": "j9"})
    lines: dict[str, Any] = {}

    def both_logged() -> bool:
        lines.update({line["event"]: line for line in log_lines()})
        return {"in the loop", "in the thread"} <= set(lines)

    await until(both_logged)
    assert lines["in the loop"]["job_id"] == lines["in the thread"]["job_id"] == "j9"
    assert worker.stop(grace=5)


async def test_workers_of_two_applications_share_a_process(
    broker_app: BrokerApp, seen: Seen, settings: ServiceSettings, publisher_for: PublisherFor, worker_for: WorkerFor
) -> None:
    other_app, other_seen = celery_app(settings, "other"), Seen()

    @other_app.task(name="bake")
    def bake(job: object) -> None:
        other_seen.add(job)

    first = worker_for(broker_app, "bake")
    second = Worker(other_app, queues=["bake"], concurrency=1)
    second.start()
    await publisher_for(broker_app).publish("bake", {"job": "mine"})
    if other_app.queue_prefix != broker_app.queue_prefix:
        await publisher_for(other_app).publish("bake", {"job": "yours"})
        assert (await seen.until(1), await other_seen.until(1)) == (["mine"], ["yours"])
    assert second.stop(grace=5)
    assert first.stop(grace=5)


async def test_ping_and_check(broker_app: BrokerApp, seen: Seen, publisher_for: PublisherFor) -> None:
    await publisher_for(broker_app).ping()
    worker = Worker(broker_app, queues=["bake"], concurrency=1)
    with pytest.raises(Unavailable, match="not connected"):
        await worker.check()
    worker.start()
    assert await asyncio.to_thread(worker.wait_ready, 10)
    await worker.check()
    assert worker.stop(grace=1)
    with pytest.raises(Unavailable):
        await worker.check()


def test_a_queue_without_its_task_is_refused(broker_app: BrokerApp, seen: Seen) -> None:
    with pytest.raises(ValueError, match="No task is registered for queue 'fry'"):
        Worker(broker_app, queues=["bake", "fry"], concurrency=1)


async def test_whoever_consumes_a_queue_shows_its_length(
    broker_app: BrokerApp,
    settings: ServiceSettings,
    publisher_for: PublisherFor,
    worker_for: WorkerFor,
    client_for: ClientFor,
) -> None:
    go = threading.Event()

    @broker_app.task(name="measure")
    def measure(job: int) -> None:
        go.wait(10)

    publisher = publisher_for(broker_app)
    worker = worker_for(broker_app, "measure", concurrency=1)
    client = client_for(create_app(settings, service="measuring", title="Measuring"))
    for number in range(3):
        await publisher.publish("measure", {"job": number})
    await length_becomes(publisher, "measure", 2)
    assert 'flexmesh_queue_messages{queue="measure"} 2.0' in (await client.get("/metrics")).text
    go.set()
    await length_becomes(publisher, "measure", 0)
    assert 'flexmesh_queue_messages{queue="measure"} 0.0' in (await client.get("/metrics")).text
    assert worker.stop(grace=5)
    assert not metrics.samplers


async def test_a_closed_publisher_can_be_used_again(broker_app: BrokerApp, publisher_for: PublisherFor) -> None:
    publisher = publisher_for(broker_app)
    await publisher.publish("bake", {"job": 1})
    publisher.close()
    await publisher.publish("bake", {"job": 2})
    assert await publisher.length("bake") == 2


async def test_it_can_be_used_from_any_event_loop(
    broker_app: BrokerApp, publisher_for: PublisherFor, loop: BackgroundLoop
) -> None:
    publisher = publisher_for(broker_app)
    await publisher.publish("bake", {"job": 1})
    await asyncio.to_thread(loop.call, publisher.publish("bake", {"job": 2}))
    assert await publisher.length("bake") == 2


async def test_a_payload_that_is_not_json_is_told_to_whoever_sends_it(
    broker_app: BrokerApp, publisher_for: PublisherFor
) -> None:
    with pytest.raises(TypeError):
        await publisher_for(broker_app).publish("bake", {"job": object()})
