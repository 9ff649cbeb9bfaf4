"""The broker: the Celery application of a service, and a publisher that waits for confirmations."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import uuid4

import orjson
from celery import Celery
from flexmodel.errors import Unavailable
from flexserve import logs, metrics, tracing
from flexserve.settings import ServiceSettings
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.messaging import Producer
from opentelemetry.trace import SpanKind

from flexwork import in_process_broker
from flexwork.message_task import SENT_AT, MessageTask

log = logs.get(__name__)

DELIVERY_LIMIT = 20
"""Deliveries without an acknowledgement (the worker died each time) after which the broker drops a message.

The job table still has the job, and its own count of attempts decides.
"""
CONNECT_SECONDS = 4
HEARTBEAT_SECONDS = 10
"""Seconds between heartbeats. The broker takes back the messages of a frozen worker after two missing ones."""
DURABLE = 2
"""The delivery mode of messages that survive a restart of the broker."""


class BrokerApp(Celery):
    """A Celery application with quorum queues on the default exchange, and tasks named after their queues."""

    queue_prefix: str
    timeout: float
    stopping: threading.Event
    """Set when the worker of this application has to stop."""

    def task[F: Callable[..., object]](self, *, name: str, **options: object) -> Callable[[F], F]:
        """Register the decorated function as the task of a queue: `@app.task(name="schedule")`.

        Unlike in Celery, the task belongs to this application only, not to all in the process.
        """
        decorate: Callable[[F], F] = super().task(name=name, **{"shared": False, **options})
        return decorate

    def queue(self, name: str) -> Queue:
        """Return the queue of the task `name`."""
        name = self.queue_prefix + name
        arguments = {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT}
        exchange = Exchange("")
        return Queue(name, exchange, name, durable=True, queue_arguments=arguments)


def celery_app(settings: ServiceSettings, name: str) -> BrokerApp:
    """Return the application with which the service `name` publishes and runs tasks."""
    url, prefix = _split(settings.broker_url)
    app = BrokerApp(name, broker=url, set_as_current=False, fixups=(), task_cls=MessageTask)
    app.queue_prefix = prefix
    app.timeout = settings.broker_timeout
    app.stopping = threading.Event()
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        result_backend=None,
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_default_queue_type="quorum",
        worker_detect_quorum_queues=True,
        worker_prefetch_multiplier=1,
        worker_disable_rate_limits=True,
        # `celery inspect` works where the broker has a fanout exchange. Its queues are exclusive: RabbitMQ 4.3 refuses
        # transient ones that are not.
        worker_enable_remote_control=not is_in_process(url),
        control_queue_exclusive=True,
        control_queue_durable=False,
        worker_send_task_events=False,
        # A message that is delivered again after a reconnect does no harm; a cancelled solve would.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_enable_prefetch_count_reduction=False,
        broker_transport_options=_transport_options(url),
        broker_heartbeat=HEARTBEAT_SECONDS,
        broker_connection_timeout=CONNECT_SECONDS,
    )
    return app


class Publisher:
    """Publishes from any thread or event loop, through one thread with one connection, renewed as needed."""

    def __init__(self, app: BrokerApp) -> None:
        self._app = app
        self._requests: SimpleQueue[_Request | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._link = _Link(app)

    async def publish(self, queue: str, payload: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        """Put the task `queue`, with `payload` as its arguments, on its queue.

        Return when the broker has confirmed the message. The queue need not exist.

        Args:
            queue: The queue, which is also the name of the task.
            payload: The arguments of the task, as JSON values.
            headers: W3C trace headers of the trace to continue; by default the current one.

        Raises:
            Unavailable: The broker did not confirm the message in time.
        """
        with tracing.span(f"send {queue}", SpanKind.PRODUCER, parent=headers, messaging__destination__name=queue):
            message = self._app.amqp.as_task_v2(str(uuid4()), queue, kwargs=dict(payload))
            message.headers.update({**(headers or {}), **tracing.carrier(), SENT_AT: time.time()})
            body = orjson.dumps(message.body)
            try:
                await self._request(lambda link: link.publish(queue, body, message.headers, message.properties))
            except Unavailable:
                metrics.MESSAGES.labels(queue, "failed").inc()
                raise
            metrics.MESSAGES.labels(queue, "confirmed").inc()

    async def ping(self) -> None:
        """Raise Unavailable("broker") unless the broker answers in time."""
        await self._request(_Link.ping)

    async def length(self, queue: str) -> int:
        """Return the number of messages that wait in a queue; 0 if it does not exist."""
        return await self._request(lambda link: link.length(queue))

    def close(self) -> None:
        """End the thread and its connection after the pending requests. A later request starts them again."""
        with self._starting:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._requests.put(None)
            thread.join(self._app.timeout)

    async def _request[T](self, work: "Callable[[_Link], T]") -> T:
        self._start()
        request = _Request(work)
        self._requests.put(request)
        try:
            async with asyncio.timeout(self._app.timeout):
                result: T = await asyncio.wrap_future(request.future)
        except TimeoutError:
            raise Unavailable("broker", "The broker did not answer in time. Please try again shortly.") from None
        return result

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="publisher", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while (request := self._requests.get()) is not None:
            request.run(self._link)
        self._link.drop()


class _Request:
    """A piece of work for the publisher's thread and its connection."""

    def __init__(self, work: "Callable[[_Link], Any]") -> None:
        self.work = work
        self.future: Future[Any] = Future()

    def run(self, link: "_Link") -> None:
        if not self.future.set_running_or_notify_cancel():
            return  # the caller has given up
        try:
            self.future.set_result(self._run_with_retries(link))
        except Exception as error:
            log.warning("the broker cannot be reached", error=f"{type(error).__name__}: {error}")
            unavailable = Unavailable("broker")
            unavailable.__cause__ = error
            self.future.set_exception(unavailable)

    def _run_with_retries(self, link: "_Link") -> object:
        """Do the work, and repeat it on a new connection when it fails.

        An idle connection may have died unnoticed, and RabbitMQ refuses messages for a moment when two publishers
        declare the same new queue. A failing connection attempt is not repeated: the broker is away.
        """
        for wait in (0.0, 0.1, None):
            if not link.is_open:
                link.open()
            try:
                return self.work(link)
            except Exception as error:
                link.drop()
                if wait is None:
                    raise
                log.info("asking the broker again", error=f"{type(error).__name__}: {error}")
                time.sleep(wait)
        raise AssertionError("the last round returns or raises")


class _Link:
    """One connection with one channel that confirms messages. It belongs to one thread."""

    def __init__(self, app: BrokerApp) -> None:
        self._app = app
        self._connection: Any = None
        self._producer: Any = None
        self._declared: set[str] = set()

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    def open(self) -> None:
        # There is no heartbeat, because nothing would send it while the thread waits. Timeouts find dead connections.
        connection = self._app.connection_for_write(heartbeat=0)
        connect(connection, self._app.timeout)
        self._producer = Producer(connection.channel(), auto_declare=False)
        self._connection = connection

    def drop(self) -> None:
        connection, self._connection, self._producer = self._connection, None, None
        self._declared.clear()
        if connection is not None:
            connection.collect()

    def publish(self, name: str, body: bytes, headers: Mapping[str, Any], properties: Mapping[str, Any]) -> None:
        queue = self._app.queue(name)
        if name not in self._declared:
            queue(self._producer.channel).declare()
            self._declared.add(name)
        self._producer.publish(
            body,
            content_type="application/json",
            content_encoding="utf-8",
            exchange="",
            routing_key=queue.routing_key,
            headers=dict(headers),
            delivery_mode=DURABLE,
            mandatory=True,
            confirm_timeout=self._app.timeout,
            **properties,
        )

    def ping(self) -> None:
        self._connection.channel().close()

    def length(self, name: str) -> int:
        with self._connection.channel() as channel:
            try:
                return int(channel.queue_declare(self._app.queue(name).name, passive=True).message_count)
            except self._connection.channel_errors:
                return 0


def connect(connection: Connection, answer_seconds: float) -> None:
    """Connect to one of the hosts in the URL, and set the timeout of its responses."""
    connection.ensure_connection(
        max_retries=1, interval_start=0, interval_step=0, interval_max=0, reraise_as_library_errors=False
    )
    # By default, amqp waits forever, for instance for a quorum queue without a leader.
    if (sock := getattr(connection.connection, "sock", None)) is not None:
        sock.settimeout(answer_seconds)


def is_in_process(url: str) -> bool:
    """Return whether the URL, as kombu has it, is that of the broker of one process."""
    return url.startswith(in_process_broker.SCHEME)


def _split(url: str) -> tuple[str, str]:
    """Return the URL for kombu, and the `queue_prefix` of its query."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    prefix = query.pop("queue_prefix", "")
    scheme = in_process_broker.SCHEME if parts.scheme == "memory" else parts.scheme
    if scheme == in_process_broker.SCHEME:
        return f"{scheme}://localhost", prefix
    return urlunsplit((scheme, parts.netloc, parts.path, urlencode(query), "")), prefix


def _transport_options(url: str) -> dict[str, Any]:
    return {} if is_in_process(url) else {"confirm_publish": True}
