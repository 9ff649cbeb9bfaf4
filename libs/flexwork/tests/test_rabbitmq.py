"""Outages, killed workers, confirmed and routed messages on a real broker."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import amqp  # type: ignore[import-untyped]  # amqp has no types
import httpx
import pytest
from flexmodel.errors import Unavailable
from flexserve.settings import ServiceSettings
from flexwork.broker import DELIVERY_LIMIT, BrokerApp, Publisher, celery_app
from flexwork.worker import Worker
from rabbitmq import RabbitBroker
from waiting import Seen, until

PublisherFor = Callable[[BrokerApp], Publisher]
WorkerFor = Callable[..., Worker]
LogLines = Callable[[], list[dict[str, Any]]]

PROGRAM = """
import asyncio, sys, time
from pathlib import Path
from flexserve.app import create_app, start_logs
from flexwork.broker import celery_app
from flexserve.health import Check
from flexwork.event_loop import BackgroundLoop
from flexserve.settings import ServiceSettings, load
from flexwork.worker import Worker

settings = load(ServiceSettings)
start_logs(settings, "testing")
app = celery_app(settings, "testing")
loop = BackgroundLoop()
diary = Path(sys.argv[1])
seconds = float(sys.argv[2])

def note(text):
    with diary.open("a") as file:
        file.write(text + "\\n")

async def work(job):
    note(f"start {job}")
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        note(f"release {job}")
        raise
    note(f"end {job}")

@app.task(name="bake")
def bake(job):
    loop.call(work(job))

@app.task(name="stuck")
def stuck(job):
    note(f"start {job}")
    time.sleep(seconds)

loop.start()
worker = Worker(app, queues=["bake", "stuck"], concurrency=2, loop=loop)
http = create_app(settings, service="testing", title="Testing", checks=[Check("worker", worker.check)])
sys.exit(worker.run(settings, http))
"""


class Process:
    """A worker process that writes a diary of its tasks."""

    def __init__(self, folder: Path, url: str, seconds: float, **variables: str) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "program.py").write_text(PROGRAM)
        self._diary = folder / "diary"
        self._diary.touch()
        with (folder / "log").open("a") as log:
            self.popen = subprocess.Popen(
                [sys.executable, str(folder / "program.py"), str(self._diary), str(seconds)],
                env={
                    **os.environ,
                    "FLEXMESH_BROKER_URL": url,
                    "FLEXMESH_PORT": "0",
                    "FLEXMESH_LOG_FORMAT": "json",
                    **variables,
                },
                stderr=log,
            )
        self._log = folder / "log"

    @property
    def diary(self) -> list[str]:
        return self._diary.read_text().splitlines()

    @property
    def log(self) -> str:
        return self._log.read_text()

    async def until(self, *entries: str) -> None:
        await until(lambda: set(entries) <= set(self.diary))

    async def get(self, path: str) -> httpx.Response:
        await until(lambda: '"event":"listening"' in self.log)
        port = int(self.log.split('"port":')[1].split(",")[0])
        async with httpx.AsyncClient() as client:
            return await client.get(f"http://127.0.0.1:{port}{path}")

    async def is_ready(self) -> bool:
        return (await self.get("/health/ready")).status_code == 200

    async def takes_no_more(self) -> bool:
        return self.popen.poll() is not None or not await self.is_ready()

    async def exit_code(self, seconds: float = 30) -> int:
        return await asyncio.to_thread(self.popen.wait, seconds)


StartProcess = Callable[..., Process]


@pytest.fixture
def process(tmp_path: Path, fresh_amqp_url: str) -> Iterator[StartProcess]:
    started: list[Process] = []

    def start(seconds: float, url: str = fresh_amqp_url, **variables: str) -> Process:
        started.append(Process(tmp_path / f"worker-{len(started)}", url, seconds, **variables))
        return started[-1]

    yield start
    for one in started:
        one.popen.kill()
        one.popen.wait()


@pytest.fixture
def app(fresh_amqp_url: str) -> BrokerApp:
    return celery_app(ServiceSettings(broker_url=fresh_amqp_url), "testing")


async def test_a_killed_worker_loses_nothing(
    app: BrokerApp, publisher_for: PublisherFor, process: StartProcess
) -> None:
    publisher = publisher_for(app)
    await publisher.publish("bake", {"job": "j1"})
    victim = process(seconds=60)
    await victim.until("start j1")
    victim.popen.send_signal(signal.SIGKILL)
    heir = process(seconds=0)
    await heir.until("end j1")
    assert heir.diary == ["start j1", "end j1"]
    heir.popen.terminate()
    assert await heir.exit_code() == 0
    assert await publisher.length("bake") == 0


async def test_sigterm_lets_a_task_finish(app: BrokerApp, publisher_for: PublisherFor, process: StartProcess) -> None:
    publisher = publisher_for(app)
    await publisher.publish("bake", {"job": "j1"})
    worker = process(seconds=2)
    await worker.until("start j1")
    worker.popen.terminate()
    await until(worker.takes_no_more)
    await publisher.publish("bake", {"job": "j2"})
    assert await worker.exit_code() == 0
    assert worker.diary == ["start j1", "end j1"]
    assert await publisher.length("bake") == 1


async def test_sigterm_gives_back_what_takes_too_long(
    app: BrokerApp, publisher_for: PublisherFor, process: StartProcess
) -> None:
    publisher = publisher_for(app)
    await publisher.publish("bake", {"job": "j1"})
    worker = process(seconds=60, FLEXMESH_SHUTDOWN_GRACE="0.5")
    await worker.until("start j1")
    worker.popen.terminate()
    assert await worker.exit_code() == 0
    assert worker.diary == ["start j1", "release j1"]
    assert await publisher.length("bake") == 1


async def test_a_stuck_task_does_not_hold_up_the_end(
    app: BrokerApp, publisher_for: PublisherFor, process: StartProcess
) -> None:
    publisher = publisher_for(app)
    await publisher.publish("stuck", {"job": "j1"})
    worker = process(seconds=60, FLEXMESH_SHUTDOWN_GRACE="0.2")
    await worker.until("start j1")
    worker.popen.terminate()
    assert await worker.exit_code() == 0
    assert "stopped with a task still running" in worker.log

    async def is_back() -> bool:
        return await publisher.length("stuck") == 1

    await until(is_back)


async def test_a_worker_has_health_and_metrics(process: StartProcess) -> None:
    worker = process(seconds=0)
    await until(worker.is_ready)
    assert "flexmesh_build_info" in (await worker.get("/metrics")).text
    worker.popen.terminate()
    assert await worker.exit_code() == 0


async def test_celery_tools_see_a_worker(
    app: BrokerApp, fresh_amqp_url: str, publisher_for: PublisherFor, process: StartProcess
) -> None:
    one = process(seconds=60)
    await publisher_for(app).publish("bake", {"job": "j1"})
    await one.until("start j1")

    async def inspect[T](command: str, type: type[T]) -> T:
        """Return the reply of the worker."""
        tool = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "celery", "-A", "flexwork", "inspect", command, "--json", "--timeout", "5",
            env={**os.environ, "FLEXMESH_BROKER_URL": fresh_amqp_url},
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, _ = await tool.communicate()
        assert tool.returncode == 0, output
        replies = json.loads(output)
        reply = next(reply for name, reply in replies.items() if f"-{one.popen.pid}-" in name)
        assert isinstance(reply, type)
        return reply

    assert await inspect("ping", dict) == {"ok": "pong"}
    [task] = await inspect("active", list)
    assert (task["name"], task["kwargs"]) == ("bake", {"job": "j1"})
    assert {"bake", "stuck"} <= set(await inspect("registered", list))
    assert (await inspect("stats", dict))["pool"]["max-concurrency"] == 2


async def test_an_outage_of_the_broker(
    own_rabbitmq: RabbitBroker, publisher_for: PublisherFor, worker_for: WorkerFor
) -> None:
    app = celery_app(ServiceSettings(broker_url=own_rabbitmq.url), "testing")
    done = Seen()
    running, go_on = threading.Event(), threading.Event()

    @app.task(name="bake")
    def bake(job: str) -> None:
        if job == "through the outage":
            running.set()
            go_on.wait(60)
        done.add(job)

    publisher = publisher_for(app)
    worker = worker_for(app, "bake", concurrency=2)
    await publisher.publish("bake", {"job": "before"})
    await done.until(1)
    await publisher.publish("bake", {"job": "through the outage"})
    assert await asyncio.to_thread(running.wait, 10)

    own_rabbitmq.stop()
    for _ in range(2):
        with pytest.raises(Unavailable) as away:
            await publisher.publish("bake", {"job": "lost?"})
        assert away.value.part == "broker"
    with pytest.raises(Unavailable):
        await publisher.ping()
    with pytest.raises(Unavailable):
        await worker.check()
    go_on.set()
    await done.until(2)

    own_rabbitmq.start()
    await publisher.ping()
    await publisher.publish("bake", {"job": "after"})
    # What was not acknowledged comes again, perhaps what was just done as well: harmless, the job table knows that.
    await until(lambda: done.items.count("through the outage") > 1 and "after" in done.items)
    assert set(done.items) == {"before", "through the outage", "after"}
    await worker.check()


async def test_what_is_published_survives_an_outage_before_the_worker_comes(
    own_rabbitmq: RabbitBroker, publisher_for: PublisherFor, worker_for: WorkerFor
) -> None:
    app = celery_app(ServiceSettings(broker_url=own_rabbitmq.url), "testing")
    done = threading.Event()

    @app.task(name="bake")
    def bake(job: str) -> None:
        done.set()

    await publisher_for(app).publish("bake", {"job": "j1"})
    own_rabbitmq.stop()
    worker = worker_for(app, "bake")
    assert not worker.wait_ready(1)
    own_rabbitmq.start()
    assert await asyncio.to_thread(done.wait, 20)


async def test_a_worker_that_waits_for_its_broker_can_be_stopped(worker_for: WorkerFor, log_lines: LogLines) -> None:
    app = celery_app(ServiceSettings(broker_url="amqp://guest:hush@127.0.0.1:1/"), "testing")

    @app.task(name="bake")
    def bake(job: str) -> None: ...

    worker = worker_for(app, "bake")
    await until(lambda: any(line["event"] == "waiting for the broker" for line in log_lines()))
    assert await asyncio.to_thread(worker.stop, 5)


async def test_a_broker_that_hangs_counts_as_away(own_rabbitmq: RabbitBroker, publisher_for: PublisherFor) -> None:
    app = celery_app(ServiceSettings(broker_url=own_rabbitmq.url, broker_timeout=1), "testing")
    publisher = publisher_for(app)
    await publisher.publish("bake", {"job": "j1"})

    async def is_away() -> bool:
        try:
            await publisher.publish("bake", {"job": "j2"})
        except Unavailable:
            return True
        return False

    async def is_back() -> bool:
        return not await is_away()

    os.killpg(own_rabbitmq.pid, signal.SIGSTOP)
    try:
        await until(is_away)  # not at once: each of its threads has to come to a halt
    finally:
        os.killpg(own_rabbitmq.pid, signal.SIGCONT)
    await until(is_back)


async def test_a_queue_deleted_behind_our_back_is_made_again(app: BrokerApp, publisher_for: PublisherFor) -> None:
    publisher = publisher_for(app)
    await publisher.publish("bake", {"job": "j1"})
    with app.connection_for_write() as connection:
        connection.default_channel.queue_delete(app.queue("bake").name)
    await publisher.publish("bake", {"job": "j2"})
    assert await publisher.length("bake") == 1


async def test_queues_are_quorum_queues(app: BrokerApp, publisher_for: PublisherFor) -> None:
    await publisher_for(app).publish("bake", {"job": "j1"})
    name = app.queue("bake").name
    with app.connection_for_write() as connection:
        quorum = {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT}
        with connection.channel() as channel:
            channel.queue_declare(name, durable=True, auto_delete=False, arguments=quorum)
        with connection.channel() as channel, pytest.raises(amqp.PreconditionFailed):
            channel.queue_declare(name, durable=True, auto_delete=False, arguments={"x-queue-type": "classic"})


async def test_a_worker_makes_no_queue_but_its_own_and_that_of_remote_control(
    own_rabbitmq: RabbitBroker, worker_for: WorkerFor
) -> None:
    app = celery_app(ServiceSettings(broker_url=own_rabbitmq.url), "testing")

    @app.task(name="bake")
    def bake(job: str) -> None: ...

    assert worker_for(app, "bake").wait_ready(10)
    listed = await asyncio.to_thread(own_rabbitmq.control, "list_queues", "name", "type")
    exchanges = await asyncio.to_thread(own_rabbitmq.control, "list_exchanges", "name")
    control, bake_queue = sorted((line.split("\t") for line in listed), key=lambda queue: queue[1])
    assert bake_queue == ["bake", "quorum"]
    assert control[0].endswith(".celery.pidbox")
    assert [name for name in exchanges if name and not name.startswith("amq.")] == ["celery.pidbox"]


async def test_a_wrong_password_is_unavailable_and_stays_out_of_the_log(
    rabbitmq_url: str, publisher_for: PublisherFor, log_lines: LogLines
) -> None:
    url = rabbitmq_url.replace("guest:guest@", "guest:hush@")
    app = celery_app(ServiceSettings(broker_url=url), "testing")
    with pytest.raises(Unavailable):
        await publisher_for(app).publish("bake", {"job": "j1"})
    assert "hush" not in str(log_lines())
