"""The broker: the Celery application every service shares the shape of, and the publisher that loses nothing."""

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
from kombu.entity import Exchange, Queue
from kombu.messaging import Producer
from opentelemetry.trace import SpanKind

from flexwork import in_process_broker
from flexwork.message_task import SENT_AT, MessageTask

log = logs.get(__name__)

# After so many deliveries without an acknowledgement (its worker died each time) a message is dropped; the job table
# still has the job, and its own count of attempts decides.
DELIVERY_LIMIT = 20
CONNECT_SECONDS = 4
# A worker that is frozen keeps the messages it was sent until the broker notices, after two of these.
HEARTBEAT_SECONDS = 10
DURABLE = 2


class BrokerApp(Celery):
    """A Celery application with quorum queues on the default exchange, and tasks named after their queues."""

    queue_prefix: str
    timeout: float
    stopping: threading.Event
    """Set when the worker that runs this application's tasks has to stop."""

    def task(self, *args: Any, **options: Any) -> Any:
        """`@app.task(name="schedule")`: for this application only, not for all in the process as Celery has it."""
        return super().task(*args, **{"shared": False, **options})

    def queue(self, name: str) -> Any:
        """The queue of the task `name`."""
        name = self.queue_prefix + name
        arguments = {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT}
        exchange = Exchange("")
        return Queue(name, exchange, name, durable=True, queue_arguments=arguments)


def celery_app(settings: ServiceSettings, name: str) -> BrokerApp:
    """The application with which `name` publishes and runs tasks."""
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
    """Publishes from any thread or event loop, through one thread and one connection that it renews as needed."""

    def __init__(self, app: BrokerApp) -> None:
        self._app = app
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._link = _Link(app)

    async def publish(self, queue: str, payload: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        """Put the task `queue`, with `payload` as its arguments, on its queue.

        Returns when the broker has confirmed that it keeps the message; else raises Unavailable("broker"). The queue
        need not exist. `headers` may carry the trace to continue (`tracing.carrier`), by default the current one.
        """
        with tracing.span(f"send {queue}", SpanKind.PRODUCER, parent=headers, messaging__destination__name=queue):
            message = self._app.amqp.as_task_v2(str(uuid4()), queue, kwargs=dict(payload))
            message.headers.update({**(headers or {}), **tracing.carrier(), SENT_AT: time.time()})
            body = orjson.dumps(message.body)
            try:
                await self._ask(lambda link: link.publish(queue, body, message.headers, message.properties))
            except Unavailable:
                metrics.MESSAGES.labels(queue, "failed").inc()
                raise
            metrics.MESSAGES.labels(queue, "confirmed").inc()

    async def ping(self) -> None:
        """Raise Unavailable("broker") unless the broker answers in time."""
        await self._ask(_Link.ping)

    async def length(self, queue: str) -> int:
        """How many messages wait in a queue; 0 when there is none."""
        return await self._ask(lambda link: link.length(queue))

    def close(self) -> None:
        """End the thread and its connection after what was already asked; asking again starts them again."""
        with self._starting:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._orders.put(None)
            thread.join(self._app.timeout)

    async def _ask[T](self, work: "Callable[[_Link], T]") -> T:
        self._start()
        order = _Order(work)
        self._orders.put(order)
        try:
            async with asyncio.timeout(self._app.timeout):
                answer: T = await asyncio.wrap_future(order.future)
        except TimeoutError:
            raise Unavailable("broker", "The broker did not answer in time. Please try again shortly.") from None
        return answer

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="publisher", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while (order := self._orders.get()) is not None:
            order.run(self._link)
        self._link.drop()


class _Order:
    """Something to do with the connection, in the publisher's thread."""

    def __init__(self, work: "Callable[[_Link], Any]") -> None:
        self.work = work
        self.future: Future[Any] = Future()

    def run(self, link: "_Link") -> None:
        if not self.future.set_running_or_notify_cancel():
            return  # whoever asked has given up
        try:
            self.future.set_result(self._persistently(link))
        except Exception as error:
            log.warning("the broker cannot be reached", error=f"{type(error).__name__}: {error}")
            unavailable = Unavailable("broker")
            unavailable.__cause__ = error
            self.future.set_exception(unavailable)

    def _persistently(self, link: "_Link") -> Any:
        """A failure may pass on a new connection: the old one may have died unnoticed while it rested, and RabbitMQ
        refuses messages for a moment when two declare the same new queue. A broker that cannot be connected to is away.
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
    """One connection with one confirming channel; used by one thread."""

    def __init__(self, app: BrokerApp) -> None:
        self._app = app
        self._connection: Any = None
        self._producer: Any = None
        self._declared: set[str] = set()

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    def open(self) -> None:
        # No heartbeat: nobody would send it while the thread waits for work. Timeouts find a dead connection instead.
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


def connect(connection: Any, answer_seconds: float) -> None:
    """Connect now to one of the hosts in the URL, and wait at most so long for each of its answers."""
    connection.ensure_connection(
        max_retries=1, interval_start=0, interval_step=0, interval_max=0, reraise_as_library_errors=False
    )
    # amqp would wait forever, for instance for a quorum queue that has no leader.
    if (sock := getattr(connection.connection, "sock", None)) is not None:
        sock.settimeout(answer_seconds)


def is_in_process(url: str) -> bool:
    """Return whether the URL, as kombu has it, is that of the broker of one process."""
    return url.startswith(in_process_broker.SCHEME)


def _split(url: str) -> tuple[str, str]:
    """The URL for kombu, and the `queue_prefix` of its query."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    prefix = query.pop("queue_prefix", "")
    scheme = in_process_broker.SCHEME if parts.scheme == "memory" else parts.scheme
    if scheme == in_process_broker.SCHEME:
        return f"{scheme}://localhost", prefix
    return urlunsplit((scheme, parts.netloc, parts.path, urlencode(query), "")), prefix


def _transport_options(url: str) -> dict[str, Any]:
    return {} if is_in_process(url) else {"confirm_publish": True}
