"""Structured logs: one event per line, with request and job ids, and without secrets."""

import logging
import re
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import orjson
import structlog
from opentelemetry import trace
from structlog.typing import FilteringBoundLogger

LogEvent = MutableMapping[str, Any]

MASK = "***"
_SECRET_KEYS = ("authorization", "password", "passwd", "secret", "token", "cookie", "api_key", "apikey", "api-key")
_SECRET_TEXTS = (
    (re.compile(r"(?<=://)([^\s/@:]*):[^\s/@]+@"), rf"\1:{MASK}@"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w\-.~+/=]{4,}"), rf"\1 {MASK}"),
    (
        re.compile(r"(?i)\b((?:[\w-]*(?:password|passwd|secret|token)|api[_-]?key)\"?'?\s*[=:]\s*)[^\s,;&}]+"),
        rf"\1{MASK}",
    ),
)
_MAY_HOLD_SECRET = re.compile(r"[=: ]")
_NOISY = ("amqp", "asyncio", "celery", "httpcore", "httpx", "kombu", "uvicorn")


def setup(service: str, level: str = "info", format: str = "auto") -> None:
    """Send the log of Flexmesh and of every library to stderr, as JSON lines or in a readable format."""
    number = logging.getLevelNamesMapping()[level.upper()]
    console = format == "console" or (format == "auto" and sys.stderr.isatty())

    def add_names(logger: "_Output", _name: str, event: LogEvent) -> LogEvent:
        event.setdefault("service", service)
        event["logger"] = logger.name
        return event

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            mask,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            add_names,
            _add_trace_id,
            structlog.dev.ConsoleRenderer(timestamp_key="time") if console else _render_json,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=_Output,
        cache_logger_on_first_use=False,
    )
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.handlers = [_Bridge()]
    root.setLevel(number)
    for name in _NOISY:
        logging.getLogger(name).setLevel(number if level == "debug" else max(number, logging.WARNING))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True


def get(name: str) -> FilteringBoundLogger:
    """Return a logger: `log.info("what happened", key=value)`."""
    logger: FilteringBoundLogger = structlog.get_logger(name)
    return logger


@contextmanager
def bound(**values: object) -> Iterator[None]:
    """Add these values to every line logged in the block, in this thread or task and those that it starts."""
    tokens = structlog.contextvars.bind_contextvars(**values)
    try:
        yield
    finally:
        structlog.contextvars.reset_contextvars(**tokens)


def current(key: str) -> object:
    """Return the value bound to `key` in this context, or None."""
    return structlog.contextvars.get_contextvars().get(key)


def mask(_logger: object, _name: str, event: LogEvent) -> LogEvent:
    """Mask passwords and tokens, by the name of the field or by patterns in the text."""
    return {key: _masked(key, value) for key, value in event.items()}


def mask_text(text: str) -> str:
    """Mask passwords in URLs, bearer tokens and `password=…` in a text."""
    if _MAY_HOLD_SECRET.search(text):
        for pattern, replacement in _SECRET_TEXTS:
            text = pattern.sub(replacement, text)
    return text


def _masked(key: object, value: object) -> object:
    if value is None:
        return None
    if isinstance(key, str) and is_secret(key):
        return MASK
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, dict):
        return {inner: _masked(inner, item) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(None, item) for item in value]
    return value


@lru_cache(maxsize=1024)
def is_secret(key: str) -> bool:
    """Return whether a field of this name holds a secret."""
    lowered = key.lower()
    return any(word in lowered for word in _SECRET_KEYS)


def _add_trace_id(_logger: object, _name: str, event: LogEvent) -> LogEvent:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
    return event


def _render_json(_logger: object, _name: str, event: LogEvent) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class _Output:
    """Writes lines to the current `sys.stderr`."""

    def __init__(self, name: str = "flexmesh") -> None:
        self.name = name

    def msg(self, line: str) -> None:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    debug = info = warning = error = critical = msg


class _Bridge(logging.Handler):
    """Forwards the records of the standard `logging` module to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            get(record.name).log(record.levelno, record.getMessage(), exc_info=record.exc_info or None)
        except Exception:
            self.handleError(record)


# Until `setup` is called, as in a short command: warnings, to stderr.
structlog.configure(
    wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    logger_factory=_Output,
    processors=[
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        mask,
        structlog.dev.ConsoleRenderer(colors=False),
    ],
)
