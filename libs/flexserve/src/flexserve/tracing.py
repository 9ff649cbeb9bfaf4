"""OpenTelemetry traces: off, and then without cost, unless the standard `OTEL_*` variables ask for them."""

# ruff: noqa: PLC0415  a process without traces does not pay for what makes them

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fastapi.telemetry import TelemetryConfig
from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind, StatusCode
from starlette.types import Scope

HEADERS = frozenset(propagate.get_global_textmap().fields)
"""The names of the headers that carry a trace."""
_UNTRACED_PATHS = ("/health/", "/metrics")


def exporter_name() -> str | None:
    """Return the exporter that the environment asks for: otlp, console, or None for no traces."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    name = os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if not name:
        endpoints = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
        name = "otlp" if any(os.environ.get(endpoint) for endpoint in endpoints) else "none"
    if name not in ("otlp", "console", "none"):
        raise SystemExit(f"OTEL_TRACES_EXPORTER is {name!r}: it should be otlp, console or none.")
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if name == "otlp" and protocol not in (None, "http/protobuf"):
        raise SystemExit(
            f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}: it should be http/protobuf (usually port 4318)."
        )
    return None if name == "none" else name


def setup(service: str, version: str) -> bool:
    """Start tracing if the environment asks for it, and return whether traces are on."""
    name = exporter_name()
    if name is None or is_on():
        return is_on()
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

    exporter: SpanExporter
    if name == "console":
        exporter = ConsoleSpanExporter()
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter()
    names = {SERVICE_NAME: os.environ.get("OTEL_SERVICE_NAME") or f"flexmesh-{service}", SERVICE_VERSION: version}
    provider = TracerProvider(resource=Resource.create(names))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return True


def is_on() -> bool:
    """Return whether spans are exported."""
    return hasattr(trace.get_tracer_provider(), "add_span_processor")


def flush() -> None:
    """Export the spans that are still buffered."""
    if is_on():
        provider: Any = trace.get_tracer_provider()
        provider.force_flush(5000)


def carrier() -> dict[str, str]:
    """Return the W3C headers of the current span: for an HTTP call, a message, or `job.trace_context`."""
    headers: dict[str, str] = {}
    if is_on():
        propagate.inject(headers)
    return headers


@contextmanager
def span(
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    *,
    parent: Mapping[str, Any] | None = None,
    **attributes: str | int | float,
) -> Iterator[None]:
    """Record the block as a span, as a child of the span in `parent` (headers of `carrier`) if given."""
    if not is_on():
        yield
        return
    headers = {key: value for key, value in (parent or {}).items() if isinstance(value, str)}
    context = propagate.extract(headers) if headers else None
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    with trace.get_tracer("flexserve").start_as_current_span(name, context, kind, attributes=named) as current:
        try:
            yield
        except Exception as error:
            current.set_status(StatusCode.ERROR, str(error))
            raise


def fastapi_telemetry() -> TelemetryConfig:
    """Return the configuration of FastAPI's own telemetry: spans of requests, but no metrics and logs."""
    return {
        "tracing": is_on(),
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "auto_configure": False,
        "exclude": _is_untraced,
    }


def _is_untraced(scope: Scope) -> bool:
    path: str = scope.get("path", "")
    return path.startswith(_UNTRACED_PATHS)
