"""Runs the tasks of a service: one call makes the store, the event loop, the broker application and the worker.

A service describes its work with a setup function, which is the same in a process of its own and in a thread of the
one-process platform:

    async def set_up(host: WorkerHost) -> None:
        host.add_jobs(Queue.REPORT, make_handler(await host.open_store()))

    worker_host.run(settings, "reports", set_up)
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import AsyncExitStack, contextmanager
from functools import partial

from flexserve.app import create_app
from flexserve.health import Check
from flexstore.store import Store
from starlette.types import ASGIApp

from flexwork import job_runner
from flexwork.beat import Beat, FindDue
from flexwork.broker import Publisher, celery_app
from flexwork.contracts import JobMessage, Queue, QueueMessage
from flexwork.event_loop import BackgroundLoop
from flexwork.job_runner import Handler, OnFailure
from flexwork.relay import task_relay
from flexwork.settings import WorkerSettings
from flexwork.upkeep import Upkeep, register_job_sweep
from flexwork.worker import LEAVE_SECONDS, Worker

type Background = Callable[[], Coroutine[object, object, object]]
type OnEnd = Callable[[str | None], None]
"""Called with the new state of a job; None if it belongs to another worker."""
type MakeApp = Callable[[Sequence[Check]], ASGIApp]
"""Makes the HTTP application of a worker process, with the checks of its readiness."""


class WorkerHost:
    """The host of a worker's tasks, with their settings, event loop, store and broker application."""

    def __init__(self, settings: WorkerSettings, name: str, loop: BackgroundLoop, *, wait_for_database: bool) -> None:
        self.settings = settings
        self.name = name
        self.loop = loop
        self.app = celery_app(settings, name)
        self.stack = AsyncExitStack()
        """Closed when the worker has ended, on the event loop."""
        self._wait_for_database = wait_for_database
        self._store: Store | None = None
        self._queues: list[Queue] = []
        self._beats: list[Beat] = []
        self._background: list[Background] = []
        self._running: list[Future[object]] = []

    async def open_store(self) -> Store:
        """Return the store of this worker, which it opens once."""
        if self._store is None:
            self._store = await Store.connect(
                self.settings.database_url,
                max_size=self.settings.database_connections,
                application=f"flexmesh {self.name}",
                wait=self._wait_for_database,
            )
            self.stack.push_async_callback(self._store.close)
        return self._store

    def add_task[M: QueueMessage](
        self, queue: Queue, message: type[M], handle: Callable[[M], Coroutine[object, object, str | None]]
    ) -> None:
        """Consume a queue: `handle` is awaited with every message, on the event loop.

        It may return the state in which it left a job, for the metrics.
        """

        @self.app.task(name=queue.value)
        def task(**payload: object) -> str | None:
            return self.loop.call(handle(message.from_payload(payload)))

        self._queues.append(queue)

    def add_jobs(
        self, queue: Queue, handler: Handler, *, on_failure: OnFailure | None = None, on_end: OnEnd | None = None
    ) -> None:
        """Consume a queue of jobs: `handler` works on those that this worker has claimed in `open_store()`."""

        async def handle(message: JobMessage) -> str | None:
            store = await self.open_store()
            status = await job_runner.run(store, message.job, handler, on_failure=on_failure)
            if on_end is not None:
                on_end(status)
            return status

        self.add_task(queue, JobMessage, handle)

    def add_beat(self, find_due: FindDue) -> None:
        """Publish the messages of `find_due`, again and again."""
        self._beats.append(Beat(self.app, self.loop, find_due))

    def add_background(self, work: Background) -> None:
        """Run a coroutine beside the tasks, until it ends or the worker stops."""
        self._background.append(work)

    async def add_relay_and_sweep(self) -> None:
        """Relay tasks from the outbox to the broker, and sweep jobs: any number of processes may."""
        store, publisher = await self.open_store(), Publisher(self.app)
        self.stack.callback(publisher.close)
        upkeep = Upkeep(store)
        register_job_sweep(upkeep, store)
        self.add_background(task_relay(store, publisher).run)
        self.add_background(upkeep.run)

    def make_worker(self, concurrency: int) -> Worker:
        """Return the worker of all queues that were added."""
        return Worker(self.app, queues=self._queues, concurrency=concurrency, loop=self.loop)

    def checks(self, worker: Worker) -> list[Check]:
        """Return the readiness checks of the worker."""
        checks = [Check("broker", worker.check)]
        if (store := self._store) is not None:
            checks.insert(0, Check("database", lambda: store.check(self.settings.readiness_timeout)))
        return checks

    def start(self) -> None:
        """Start the background work and the beats."""
        self._running = [self.loop.spawn(work()) for work in self._background]
        for beat in self._beats:
            beat.start()

    def stop_beats(self) -> None:
        """Publish nothing more."""
        for beat in self._beats:
            beat.stop()

    def close(self) -> None:
        """End the background work and the beats, and close the shared resources."""
        self.stop_beats()
        for running in self._running:
            running.cancel()
        wait(self._running, LEAVE_SECONDS)
        self.loop.call(self.stack.aclose())


type SetUp = Callable[[WorkerHost], Awaitable[None]]
"""Adds the tasks of a service to its host. Awaited on the event loop."""


def run(
    settings: WorkerSettings,
    name: str,
    set_up: SetUp,
    *,
    concurrency: int | None = None,
    make_app: MakeApp | None = None,
) -> int:
    """Be a worker process until SIGTERM or SIGINT. Returns the exit code.

    Health and metrics are served over HTTP. The process also relays the outbox and sweeps jobs.

    Args:
        settings: The settings of the service.
        name: The name of the worker, in logs, metrics and the database.
        set_up: Adds the tasks.
        concurrency: The number of tasks at a time; by default that of the settings.
        make_app: Makes the HTTP application; by default one with nothing but health and metrics.
    """
    loop = BackgroundLoop().start()
    host = WorkerHost(settings, name, loop, wait_for_database=False)

    async def prepare() -> None:
        await set_up(host)
        await host.add_relay_and_sweep()

    loop.call(prepare())
    worker = host.make_worker(concurrency or settings.worker_concurrency)
    make = make_app or partial(_health_app, settings, name)
    http = make(host.checks(worker))
    host.start()
    try:
        return worker.run(settings, http)
    finally:
        host.stop_beats()


@contextmanager
def running_in_threads(
    settings: WorkerSettings, name: str, set_up: SetUp, *, concurrency: int | None = None
) -> Iterator[Worker]:
    """Work in threads of this process, until the block ends. Somebody else in it relays the outbox and sweeps jobs."""
    with BackgroundLoop() as loop:
        host = WorkerHost(settings, name, loop, wait_for_database=True)
        loop.call(_await(set_up(host)))
        worker = host.make_worker(concurrency or settings.worker_concurrency)
        worker.start()
        host.start()
        try:
            yield worker
        finally:
            worker.stop(settings.shutdown_grace)
            host.close()


async def _await(work: Awaitable[None]) -> None:
    await work


def _health_app(settings: WorkerSettings, name: str, checks: Sequence[Check]) -> ASGIApp:
    return create_app(settings, service=name, title=f"Flexmesh {name}", checks=checks)
