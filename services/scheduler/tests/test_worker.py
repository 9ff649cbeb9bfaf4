"""The worker: a message on the queue becomes a schedule, in this process and in one of its own."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from flexstore.store import Store
from flexwork import jobs
from flexwork.broker import Publisher, celery_app
from flexwork.contracts import Queue
from scheduler.settings import SchedulerSettings
from scheduler.worker import running_in_threads, warm_up

CASES = Path(__file__).parent / "cases"


@pytest.fixture
async def publisher(database_url: str) -> AsyncIterator[Publisher]:
    """Publishes to a worker that runs in this process."""
    settings = SchedulerSettings(database_url=database_url, broker_url="memory://")
    with running_in_threads(settings):
        publisher = Publisher(celery_app(settings, "scheduler"))
        yield publisher
        publisher.close()


async def test_a_message_becomes_a_schedule(
    store: Store, publisher: Publisher, case: Callable[[Path], Any], plant: Callable[[Any], Awaitable[None]]
) -> None:
    one = case(CASES / "g01-toy-battery.json")
    await plant(one)
    async with store.transaction() as con:
        job_id = await jobs.create(con, queue=Queue.SCHEDULE, request={"asset": one.asset_id, **one.message})
        payload = await con.fetchval("select payload from outbox")
    await publisher.publish(Queue.SCHEDULE, payload)
    async with asyncio.timeout(30):
        while True:
            async with store.connection() as con:
                job = await jobs.get(con, job_id)
            if job is not None and job.status not in ("QUEUED", "STARTED"):
                break
            await asyncio.sleep(0.05)
    assert (job.status, job.error) == ("FINISHED", None)


def test_the_worker_is_a_process_that_serves_its_health_and_ends_on_a_signal(database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {**os.environ, "FLEXMESH_DATABASE_URL": database_url, "FLEXMESH_PORT": str(port)}
    environment["FLEXMESH_BROKER_URL"] = "memory://"
    process = subprocess.Popen([sys.executable, "-m", "scheduler", "worker"], env=environment)
    try:
        deadline = time.monotonic() + 60
        while not is_ready(port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()


def is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def test_a_wrong_setting_stops_the_start_with_its_name() -> None:
    environment = {**os.environ, "FLEXMESH_SOLVE_SECONDS": "-1"}
    done = subprocess.run(
        [sys.executable, "-m", "scheduler", "worker"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "FLEXMESH_SOLVE_SECONDS" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("heavy", ["pandas", "polars", "highspy"])
def test_the_worker_starts_without_heavy_packages(heavy: str) -> None:
    code = f"import scheduler.worker, sys; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_warming_up_plans_something() -> None:
    warm_up()
