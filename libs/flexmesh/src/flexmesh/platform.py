"""The whole platform in one process: the services as elsewhere, around an embedded database and a broker in memory."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from ipaddress import ip_address
from types import FrameType

import uvicorn
from api_gateway.app import create_app as create_gateway
from api_gateway.settings import GatewaySettings
from flexmodel.errors import FlexmeshError
from flexserve import server, tokens
from flexserve.app import start_logs
from flexserve.broker import celery_app
from flexserve.loop import Loop
from flexserve.settings import ServiceSettings, load
from flexserve.siblings import Sibling
from flexserve.worker import Worker
from flexstore.store import Store
from ingest.app import create_app as create_ingest
from ingest.settings import IngestSettings
from scheduler.settings import SchedulerSettings
from scheduler.tasks import QUEUE, make_tasks

from flexmesh import demonstration, schema, toy
from flexmesh.datadir import DataDirectory, Lock, default_directory
from flexmesh.postgres import Postgres
from flexmesh.steps import Steps

SERVICE = "platform"
LEAVE_SECONDS = 5.0


def up(steps: Steps, *, with_toy: bool) -> int:
    """Runs until SIGTERM or Ctrl-C; returns the exit code."""
    os.environ.setdefault("FLEXMESH_LOG_LEVEL", "warning")  # what happens is told in steps
    settings = load(GatewaySettings, broker_url="memory://", service_token=tokens.new())
    start_logs(settings, SERVICE)
    listening = server.listen(settings)
    try:
        with stop_signals(), embedded_database(steps) as url:
            found = {"database_url": url, "public_url": address(settings, listening)}
            asyncio.run(run(settings.model_copy(update=found), listening, steps, with_toy=with_toy))
    except KeyboardInterrupt:
        pass
    finally:
        listening.close()
    steps.say("Stopped.")
    return 0


def address(settings: GatewaySettings, listening: socket.socket) -> str:
    """Where people on this machine find the platform."""
    if "FLEXMESH_PUBLIC_URL" in os.environ:
        return settings.public_url
    ip, port = listening.getsockname()[:2]
    here = ip_address(ip).is_loopback or ip_address(ip).is_unspecified
    return f"http://{'localhost' if here else settings.host}:{port}"


@contextmanager
def stop_signals() -> Iterator[None]:
    """Until the server takes over, SIGTERM ends what is going on in the same way as Ctrl-C."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def embedded_database(steps: Steps) -> Iterator[str]:
    """PostgreSQL with our tables, for as long as the platform runs."""
    directory = DataDirectory(default_directory())
    directory.create()
    lock = Lock(directory)
    lock.acquire()
    postgres = Postgres(directory)
    try:
        with steps.step("PostgreSQL", str(directory.path)):
            url = postgres.start()
        with steps.step("Tables") as step:
            step.detail = "brought up to date" if asyncio.run(schema.ensure(url)) else "up to date"
        directory.write_running({"pid": os.getpid(), "database_url": url})
        yield url
    finally:
        postgres.stop()
        lock.release()


async def run(settings: GatewaySettings, listening: socket.socket, steps: Steps, *, with_toy: bool) -> None:
    async with AsyncExitStack() as stack:
        with steps.step("Services", "gateway, ingest, scheduler"):
            store = await Store.connect(settings.database_url, application="flexmesh")
            stack.push_async_callback(store.close)
            stack.enter_context(schedule_worker(settings))
            ingest = create_ingest(load(IngestSettings, **shared(settings)), store)
            sibling = Sibling("ingest", ingest, tokens.required(settings), timeout=settings.sibling_timeout)
            stack.push_async_callback(sibling.close)
            web = server.http_server(create_gateway(settings, ingest=sibling, store=store), settings)
            serving = await start(web, listening)
        tell = asyncio.create_task(introduce(store, settings.public_url, steps, with_toy=with_toy))
        await serving
        tell.cancel()
        steps.say("Stopping ...")


def shared(settings: ServiceSettings) -> dict[str, object]:
    """What all services of the process must agree on; the rest they read from the environment, each for itself."""
    return {name: getattr(settings, name) for name in ("database_url", "broker_url", "service_token")}


async def start(web: uvicorn.Server, listening: socket.socket) -> "asyncio.Task[None]":
    """Serves in the background; from now on SIGTERM and Ctrl-C end the serving."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(web, "should_exit", True))
    serving = asyncio.create_task(web.serve(sockets=[listening]))
    while not web.started and not serving.done():  # noqa: ASYNC110 (uvicorn has no event for it)
        await asyncio.sleep(0.002)
    return serving


@contextmanager
def schedule_worker(settings: ServiceSettings) -> Iterator[Worker]:
    """The scheduler's worker in threads of this process."""
    own = load(SchedulerSettings, **shared(settings))
    with Loop() as loop:
        store = loop.call(
            Store.connect(own.database_url, max_size=own.database_connections, application="flexmesh scheduler")
        )
        app = celery_app(own, "scheduler")
        make_tasks(app, store, loop, own)
        worker = Worker(app, queues=[QUEUE], concurrency=own.worker_concurrency, loop=loop)
        worker.start()
        try:
            yield worker
        finally:
            worker.stop(own.shutdown_grace)
            loop.call(store.close())


async def introduce(store: Store, url: str, steps: Steps, *, with_toy: bool) -> None:
    """Tells what is where, after the toy schedule if it is asked for."""
    try:
        if with_toy:
            await demonstration.show(store, url, steps)
    except FlexmeshError as error:
        print(error.message, file=sys.stderr)
    steps.say()
    steps.say(f"  Flexmesh runs at [bold]{url}[/bold] (started in {steps.seconds:.1f} s)")
    if with_toy:
        steps.say(f"  Log in as {toy.EMAIL} with password {toy.PASSWORD}")
    steps.say("  Ctrl-C stops it; the data stays.")
