"""The worker: a Celery worker in a thread of this process, which finishes or gives back its tasks when it stops."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from itertools import chain, count, repeat
from typing import Any

from celery.bootsteps import CLOSE
from celery.concurrency.thread import ApplyResult, TaskPool
from celery.exceptions import WorkerShutdown
from celery.worker import WorkController
from celery.worker.consumer import Consumer
from flexmodel.errors import Unavailable
from flexserve import logs, metrics, tracing
from flexserve.server import http_server, listen
from flexserve.settings import ServiceSettings
from kombu.asynchronous import set_event_loop
from kombu.connection import Connection
from starlette.types import ASGIApp

from flexwork.broker import BrokerApp, Publisher, connect
from flexwork.event_loop import BackgroundLoop

log = logs.get(__name__)

LEAVE_SECONDS = 5.0
"""Seconds for a cancelled task to put its job back, and for the worker to leave the broker."""
ANSWER_SECONDS = 10.0
"""Seconds without a response of the broker after which the worker connects again."""
_RECONNECT_SECONDS = (0.25, 0.5, 1.0, 2.0)
_starting = threading.Lock()
_numbers = count(1)
"""The numbers of the workers in this process, for the name of each one's queue for remote control."""


class Worker:
    """Consumes the queues of `app` with `concurrency` threads, until stopped."""

    def __init__(
        self, app: BrokerApp, *, queues: Sequence[str], concurrency: int, loop: BackgroundLoop | None = None
    ) -> None:
        unknown = [queue for queue in queues if queue not in app.tasks]
        if unknown:
            raise ValueError(f"No task is registered for queue {unknown[0]!r}: a task is named after its queue.")
        self.app = app
        self.loop = loop
        self.queues = tuple(queues)
        self.concurrency = concurrency
        self._publisher = Publisher(app)
        self._stop_requested = threading.Event()
        self._controller: _Controller | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Work in a background thread, which connects to the broker as often as needed."""
        self.app.stopping.clear()
        for queue in self.queues:
            self.app.amqp.queues[self.app.queue(queue).name] = self.app.queue(queue)
        with _starting:
            set_event_loop(None)  # Celery would share one selector among all workers of a process
            self._controller = _Controller(
                app=self.app,
                hostname=f"{self.app.main}-{os.getpid()}-{next(_numbers)}@{socket.gethostname()}",
                queues=[self.app.queue(queue).name for queue in self.queues],
                concurrency=self.concurrency,
                pool_cls=_Pool,
                consumer_cls=_Consumer,
                without_mingle=True,
                without_gossip=True,
                without_heartbeat=True,
            )
        self._thread = threading.Thread(target=self._controller.work, name="worker", daemon=True)
        self._thread.start()
        metrics.samplers.add(self._sample_lengths)

    def stop(self, grace: float) -> bool:
        """Take no more messages, let running tasks finish for `grace` seconds, then give back the others.

        Return whether everything ended. A task that blocks outside the event loop may not.
        """
        controller, thread = self._controller, self._thread
        if controller is None or thread is None:
            return True
        metrics.samplers.discard(self._sample_lengths)
        self._publisher.close()
        self.app.stopping.set()
        controller.consumer.leave()
        if not controller.pool.idle.wait(grace):
            log.info("giving back the jobs that are not finished", grace=grace)
            if self.loop is not None:
                self.loop.cancel()
            controller.pool.idle.wait(LEAVE_SECONDS)
        controller.consumer.end()
        thread.join(LEAVE_SECONDS)
        return not thread.is_alive() and bool(controller.pool.idle.is_set())

    async def check(self) -> None:
        """Check readiness: raise `Unavailable` unless the worker is consuming."""
        controller = self._controller
        if controller is None or not controller.consumer.consuming.is_set():
            raise Unavailable("broker", "The worker is not connected to the broker at the moment.")

    def wait_ready(self, timeout: float) -> bool:
        """Wait until the worker consumes. Return False if that takes longer than `timeout` seconds."""
        assert self._controller is not None
        return bool(self._controller.consumer.consuming.wait(timeout))

    async def _sample_lengths(self) -> None:
        """Set the metrics of the queue lengths."""
        for queue in self.queues:
            metrics.QUEUE_LENGTH.labels(queue).set(await self._publisher.length(queue))

    def run(self, settings: ServiceSettings, http: ASGIApp | None = None) -> int:
        """Run until SIGTERM or SIGINT, and serve `http` on the event loop. Return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop_requested.set())
        serving = self._serve(http, settings) if http is not None else None
        self.start()
        log.info("working", queues=self.queues, concurrency=self.concurrency)
        assert self._thread is not None
        while not self._stop_requested.wait(1.0) and self._thread.is_alive():
            pass
        requested = self._stop_requested.is_set()
        ended = self.stop(settings.shutdown_grace)
        if serving is not None:
            serving.end()
        if self.loop is not None:
            ended = self.loop.stop(LEAVE_SECONDS) and ended
        tracing.flush()
        if not ended:
            # A normal exit would wait for the thread. The broker gives its message to another worker after this exit.
            log.warning("stopped with a task still running")
            os._exit(0 if requested else 1)
        log.info("stopped")
        return 0 if requested else 1

    def _serve(self, http: ASGIApp, settings: ServiceSettings) -> "_HttpServer":
        if self.loop is None:
            raise ValueError("A worker serves HTTP from its Loop: give it one.")
        return _HttpServer(http, settings, self.loop)


class _HttpServer:
    """An HTTP server on the event loop, for the health and metrics of a worker."""

    def __init__(self, app: ASGIApp, settings: ServiceSettings, loop: BackgroundLoop) -> None:
        self._listening = listen(settings)
        self._server = http_server(app, settings)
        self._ended: Future[None] = loop.spawn(self._server.serve(sockets=[self._listening]))

    def end(self) -> None:
        self._server.should_exit = True
        with suppress(TimeoutError):
            self._ended.result(LEAVE_SECONDS)
        self._listening.close()  # the server leaves it open when it is ended while it starts


class _Controller(WorkController):
    """Celery's worker without signal handlers and global logging, for any thread."""

    def work(self) -> None:
        self.start()
        self.stop()


class _Consumer(Consumer):
    """A consumer of queues and of `celery inspect`, without events, gossip and delay queues."""

    class Blueprint(Consumer.Blueprint):
        default_steps = (
            "celery.worker.consumer.connection:Connection",
            "celery.worker.consumer.control:Control",
            "celery.worker.consumer.tasks:Tasks",
            "celery.worker.consumer.consumer:Evloop",
        )

    def __init__(self, *args: object, **kwargs: object) -> None:
        self.consuming = threading.Event()
        self._leaving = threading.Event()
        self._left = threading.Event()
        super().__init__(*args, **kwargs)

    def ensure_connected(self, conn: Connection) -> Connection:
        """Connect, and retry after every error until the worker stops."""
        for attempt, seconds in enumerate(chain(_RECONNECT_SECONDS, repeat(_RECONNECT_SECONDS[-1]))):
            if self._leaving.is_set():
                self._left.set()
                raise WorkerShutdown(0)
            try:
                connect(conn, ANSWER_SECONDS)
            except Exception as error:
                write = log.debug if attempt else log.warning
                write("waiting for the broker", broker=conn.as_uri(), error=f"{type(error).__name__}: {error}")
                self._leaving.wait(seconds)
            else:
                break
        log.info("connected to the broker", broker=conn.as_uri())
        return conn

    def on_ready(self) -> None:
        super().on_ready()
        self.consuming.set()

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        self.consuming.clear()
        super().on_connection_error_after_connected(exc)

    def leave(self) -> None:
        """Take no more messages. The connection stays open for the acknowledgements of running tasks."""
        self._leaving.set()
        self.call_soon(self._cancel)
        self._left.wait(LEAVE_SECONDS)

    def end(self) -> None:
        """End the consuming loop, which checks its state whenever it wakes up."""
        self.blueprint.state = CLOSE
        self.call_soon(lambda: None)

    def _cancel(self) -> None:
        self.consuming.clear()
        if self.task_consumer is not None:
            self.task_consumer.cancel()
        self._left.set()


class _Pool(TaskPool):
    """Celery's thread pool with a flag for idleness, bound to its application."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.idle = threading.Event()
        self.idle.set()
        self._running = 0
        self._counting = threading.Lock()

    def on_apply(
        self,
        target: Callable[..., object],
        args: Sequence[object] | None = None,
        kwargs: Mapping[str, object] | None = None,
        **options: object,
    ) -> ApplyResult:
        with self._counting:
            self._running += 1
            self.idle.clear()
        # Without `app`, Celery looks up the task in its current application, which may be another.
        result = super().on_apply(target, args, {**(kwargs or {}), "app": self.app}, **options)
        result.f.add_done_callback(self._done)
        return result

    def on_stop(self) -> None:
        self.executor.shutdown(wait=False, cancel_futures=True)

    def _done(self, _future: Future[Any]) -> None:
        with self._counting:
            self._running -= 1
            if self._running == 0:
                self.idle.set()
