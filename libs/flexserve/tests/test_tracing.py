"""Traces are off and cost nothing unless requested; one trace spans a request, its messages and the next service."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from fixture_types import LogLines
from flexserve import logs, tracing
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
PROGRAM = """
import asyncio, sys
import httpx
from flexserve.app import create_app
from flexserve.settings import ServiceSettings
import flexserve.service_client

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
    """Turn tracing on, and return the exporter with its spans."""
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
    """A handler that records the bodies of requests."""

    received: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        self.received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


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


def test_errors_show_on_the_span(spans: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError), tracing.span("work"):
        raise ValueError("no")
    [span] = spans.get_finished_spans()
    assert not span.status.is_ok and span.events[0].name == "exception"


def test_log_lines_name_the_trace(spans: InMemorySpanExporter, log_lines: LogLines) -> None:
    with tracing.span("work"):
        logs.get("x").info("inside")
        kept = tracing.carrier()
    logs.get("x").info("outside")
    inside, outside = log_lines()
    assert inside["trace_id"] == kept["traceparent"].split("-")[1] and "trace_id" not in outside


def test_switched_off_there_is_nothing_to_carry() -> None:
    with tracing.span("work", parent={"traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"}):
        assert tracing.carrier() == {}
