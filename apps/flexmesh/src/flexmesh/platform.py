"""`flexmesh up`: the whole platform in one process, with a database that it starts unless the settings name one."""

import asyncio
import os
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from ipaddress import ip_address

from flexserve import allocating, server
from flexserve.app import start_logs
from flexserve.settings import ServiceSettings, load
from flexwork.event_loop import loop_factory

from flexmesh import schema
from flexmesh.data_directory import DataDirectory, Lock, default_directory
from flexmesh.postgres import Postgres
from flexmesh.progress import Steps
from flexmesh.stop_signals import StopRequest

SERVICE = "platform"


def up(steps: Steps, *, with_toy: bool) -> int:
    """Run until SIGTERM or Ctrl-C, and return the exit code."""
    allocating.give_back()
    os.environ.setdefault("FLEXMESH_LOG_LEVEL", "warning")  # the steps report progress
    settings = load(ServiceSettings)
    start_logs(settings, SERVICE)
    listening = server.listen(settings)
    stop = StopRequest()
    with closing(listening), database(steps, settings) as starting:
        with steps.step("Program", "loaded"):
            # Takes about as long as starting the database, so both happen at the same time.
            from flexmesh import services  # noqa: PLC0415 - see above
        address = os.environ.get("FLEXMESH_PUBLIC_URL") or local_address(settings, listening)
        url = starting.result()
        running = services.run(url, address, listening, steps, stop, with_toy=with_toy)
        asyncio.run(running, loop_factory=loop_factory())
    steps.say("Stopped.")
    return 0


def local_address(settings: ServiceSettings, listening: socket.socket) -> str:
    """Return the URL of the platform on this machine."""
    ip, port = listening.getsockname()[:2]
    here = ip_address(ip).is_loopback or ip_address(ip).is_unspecified
    return f"http://{'localhost' if here else settings.host}:{port}"


@contextmanager
def database(steps: Steps, settings: ServiceSettings) -> Iterator[Future[str]]:
    """Prepare the database with its tables in the background, and yield a future of its URL."""
    given = settings.database_url if os.environ.get("FLEXMESH_DATABASE_URL") else None
    with nullcontext() if given else embedded_server() as server, ThreadPoolExecutor(1) as background:
        # The pool waits at its end, so that the server is never stopped half started.
        yield background.submit(make_ready, steps, server, given)


@contextmanager
def embedded_server() -> Iterator[Postgres]:
    """Yield the embedded PostgreSQL, not yet started, and stop it at the end."""
    directory = DataDirectory(default_directory())
    directory.create()
    lock = Lock(directory)
    lock.acquire()
    postgres = Postgres(directory)
    try:
        yield postgres
    finally:
        postgres.stop()
        lock.release()


def make_ready(steps: Steps, postgres: Postgres | None, given: str | None) -> str:
    """Start the embedded server, if there is one, migrate the database, and return its URL."""
    if postgres is not None:
        with steps.step("PostgreSQL", str(postgres.directory.path)):
            given = postgres.start()
    assert given is not None
    with steps.step("Tables") as step:
        step.detail = "brought up to date" if asyncio.run(schema.ensure(given)) else "up to date"
    if postgres is not None:
        postgres.directory.write_running({"pid": os.getpid(), "database_url": given})
    return given
