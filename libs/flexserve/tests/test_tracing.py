"""Traces: off and free unless asked for; one trace from a request through the broker to the next service."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from fastapi import APIRouter
from flexserve import logs, service_token, tracing
from flexserve.app import create_app
from flexserve.broker import BrokerApp, Publisher
from flexserve.loop import Loop
from flexserve.service_client import ServiceClient
from flexserve.settings import ServiceSettings
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
PROGRAM = """
import asyncio, sys
import httpx
from flexserve.app import create_app
from flexserve.broker import celery_app
from flexserve.settings import ServiceSettings
import flexserve.service_client, flexserve.worker

app = create_app(ServiceSettings(), service="testing", title="Testing")

@app.get("/hello")
async def hello() -> str:
    return "hello"

async def main():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        await client.get("/hello")
        await client.get("/health/live")
    async with app.router.lifespan_context(app):
        pass

asyncio.run(main())
print(any(name.startswith(("opentelemetry.sdk", "opentelemetry.exporter")) for name in sys.modules))
"""


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Tracing is on, and this is where the spans end up."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    return exporter


@pytest.mark.parametrize(
    ("variables", "exporter"),
    [
        ({}, None),
        ({ENDPOINT: "http://localhost:4318"}, "otlp"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318/v1/traces"}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "Console"}, "console"),
        ({"OTEL_TRACES_EXPORTER": "none", ENDPOINT: "http://localhost:4318"}, None),
        ({"OTEL_SDK_DISABLED": "true", ENDPOINT: "http://localhost:4318"}, None),
        ({ENDPOINT: "http://localhost:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "otlp"),
    ],
)
def test_the_standard_variables_decide(
    variables: dict[str, str], exporter: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert tracing.exporter_name() == exporter


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER is 'zipkin'"),
        ({ENDPOINT: "http://localhost:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "should be http/protobuf"),
    ],
)
def test_what_we_cannot_do_is_a_sentence(
    variables: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=sentence):
        tracing.exporter_name()


def run(**variables: str) -> str:
    environment = {**os.environ, **variables}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_without_traces_nothing_of_the_sdk_is_imported() -> None:
    assert run() == "False"


class Collector(BaseHTTPRequestHandler):
    """Keeps what is sent to it."""

    received: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        self.received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def collector() -> Iterator[HTTPServer]:
    Collector.received = []
    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_spans_are_sent_to_the_endpoint(collector: HTTPServer) -> None:
    assert run(**{ENDPOINT: f"http://127.0.0.1:{collector.server_port}"}) == "True"
    paths = {path for path, _ in Collector.received}
    content = b"".join(body for _, body in Collector.received)
    assert paths == {"/v1/traces"}
    assert b"flexmesh-testing" in content and b"GET /hello" in content
    assert b"/health/live" not in content


async def test_one_trace_from_request_to_task_to_sibling(
    spans: InMemorySpanExporter,
    broker_app: BrokerApp,
    settings: ServiceSettings,
    worker_for: Any,
    publisher_for: Any,
    client_for: Any,
    loop: Loop,
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

    publisher: Publisher = publisher_for(broker_app)
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


async def test_a_job_keeps_its_trace(spans: InMemorySpanExporter, broker_app: BrokerApp, publisher_for: Any) -> None:
    with tracing.span("request"):
        kept = tracing.carrier()
    with tracing.span("elsewhere"):
        await publisher_for(broker_app).publish("bake", {"job": "1"}, headers=kept)
    finished = {span.name: span for span in spans.get_finished_spans()}
    request, sent = finished["request"], finished["send bake"]
    assert request.context is not None and sent.parent is not None
    assert sent.parent.span_id == request.context.span_id


def test_errors_show_on_the_span(spans: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError), tracing.span("work"):
        raise ValueError("no")
    [span] = spans.get_finished_spans()
    assert not span.status.is_ok and span.events[0].name == "exception"


def test_log_lines_name_the_trace(spans: InMemorySpanExporter, log_lines: Any) -> None:
    with tracing.span("work"):
        logs.get("x").info("inside")
        kept = tracing.carrier()
    logs.get("x").info("outside")
    inside, outside = log_lines()
    assert inside["trace_id"] == kept["traceparent"].split("-")[1] and "trace_id" not in outside


def test_switched_off_there_is_nothing_to_carry() -> None:
    with tracing.span("work", parent={"traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"}):
        assert tracing.carrier() == {}
