"""One trace from a request through the broker to a task and the next service."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from flexserve import service_token, tracing
from flexserve.app import create_app
from flexserve.service_client import ServiceClient
from flexserve.settings import ServiceSettings
from flexwork.broker import BrokerApp, Publisher
from flexwork.event_loop import BackgroundLoop
from flexwork.worker import Worker
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

PublisherFor = Callable[[BrokerApp], Publisher]
WorkerFor = Callable[..., Worker]
ClientFor = Callable[[FastAPI], httpx.AsyncClient]

PROGRAM = """
import sys
import flexwork.broker, flexwork.worker

print(any(name.startswith(("opentelemetry.sdk", "opentelemetry.exporter")) for name in sys.modules))
"""


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """The exporter that receives the spans, with tracing switched on."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    return exporter


def test_a_worker_without_traces_imports_nothing_of_the_sdk() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


async def test_one_trace_from_request_to_task_to_sibling(
    spans: InMemorySpanExporter,
    broker_app: BrokerApp,
    settings: ServiceSettings,
    worker_for: WorkerFor,
    publisher_for: PublisherFor,
    client_for: ClientFor,
    loop: BackgroundLoop,
) -> None:
    token, done = service_token.generate_token(), threading.Event()
    other = create_app(settings, service="other", title="Other")

    @other.get("/help")
    async def give_help() -> str:
        return "here"

    async def ask_for_help() -> None:
        sibling = ServiceClient("other", other, token)
        await sibling.get("/help")
        await sibling.close()

    @broker_app.task(name="bake")
    def bake(job: str) -> None:
        loop.call(ask_for_help())
        done.set()

    publisher = publisher_for(broker_app)
    router = APIRouter()

    @router.post("/orders/{id}")
    async def order(id: int) -> None:
        await publisher.publish("bake", {"job": str(id)})

    worker = worker_for(broker_app, "bake")
    client = client_for(create_app(settings, service="front", title="Front", routers=[router]))
    parent = "00-11111111111111111111111111111111-2222222222222222-01"
    await client.post("/orders/7", headers={"traceparent": parent})
    assert await asyncio.to_thread(done.wait, 10)
    assert worker.stop(grace=5)

    finished = {span.name: span for span in spans.get_finished_spans()}
    chain = ["POST /orders/{id}", "send bake", "process bake", "GET other", "GET /help"]
    assert set(chain) == set(finished)
    above = 0x2222222222222222
    for name in chain:
        span = finished[name]
        assert span.context is not None and span.parent is not None
        assert span.context.trace_id == 0x11111111111111111111111111111111
        assert span.parent.span_id == above, name
        above = span.context.span_id
    assert [finished[name].kind for name in chain] == [
        SpanKind.SERVER,
        SpanKind.PRODUCER,
        SpanKind.CONSUMER,
        SpanKind.CLIENT,
        SpanKind.SERVER,
    ]


async def test_a_job_keeps_its_trace(
    spans: InMemorySpanExporter, broker_app: BrokerApp, publisher_for: PublisherFor
) -> None:
    with tracing.span("request"):
        kept = tracing.carrier()
    with tracing.span("elsewhere"):
        await publisher_for(broker_app).publish("bake", {"job": "1"}, headers=kept)
    finished = {span.name: span for span in spans.get_finished_spans()}
    request, sent = finished["request"], finished["send bake"]
    assert request.context is not None and sent.parent is not None
    assert sent.parent.span_id == request.context.span_id
