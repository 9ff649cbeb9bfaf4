"""HTTP connections with limits on slow clients, a few of which could otherwise occupy a server.

uvicorn itself waits without end for a request to arrive and for a response to be read, and accepts headers of any
length.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from flexserve import logs
from flexserve.responses import OrjsonResponse
from flexserve.settings import ServiceSettings

log = logs.get(__name__)

MAX_HEAD_BYTES = 64 * 1024
"""The most bytes of a request line and headers."""


class SlowClientProtocol(HttpToolsProtocol):
    """A connection that is closed if its client is too slow. Subclasses set the limits."""

    timeout = 20.0
    """Seconds for the head of a request to arrive, for its body to start, and for a response to advance."""
    min_rate = 10_000.0
    """The lowest average speed of a request body, in bytes per second."""

    started_at: float
    """The start of the arriving request, or of the connection if there is none."""
    is_arriving = False
    in_head = False
    received_bytes = 0
    body_bytes = 0
    """Bytes that count as progress of the body. The framing of chunks does not count, because it can be endless."""
    check_timer: asyncio.TimerHandle | None = None
    write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self.started_at = self.loop.time()
        self._schedule_check()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self.check_timer, self.write_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self.received_bytes += len(data)
        super().data_received(data)
        if self.is_arriving and self.in_head and self.received_bytes > MAX_HEAD_BYTES:
            self._refuse(431, f"The headers of a request may have {MAX_HEAD_BYTES} bytes.")
        elif self.is_arriving and self.check_timer is None:
            self._schedule_check()

    def on_message_begin(self) -> None:
        self.started_at = self.loop.time()
        self.is_arriving = self.in_head = True
        self.received_bytes = self.body_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self.in_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self.body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self.is_arriving = False
        super().on_message_complete()

    def pause_writing(self) -> None:
        self.write_timer = self.loop.call_later(self.timeout, self._abort)
        super().pause_writing()

    def resume_writing(self) -> None:
        if self.write_timer is not None:
            self.write_timer.cancel()
            self.write_timer = None
        super().resume_writing()

    def _schedule_check(self) -> None:
        self.check_timer = self.loop.call_later(self.timeout / 4, self._check)

    def _check(self) -> None:
        self.check_timer = None
        if self.transport.is_closing():
            return
        elapsed = self.loop.time() - self.started_at
        if not self.is_arriving:
            # uvicorn closes connections that are idle between requests, but not those idle before the first one.
            if self.cycle is None and elapsed > self.timeout:
                self.transport.close()
            elif self.cycle is None:
                self._schedule_check()
        elif self.flow.read_paused:
            self.started_at += self.timeout / 4  # the application is slow, not the client
            self._schedule_check()
        elif elapsed > self.timeout + (0 if self.in_head else self.body_bytes / self.min_rate):
            self._refuse(408, "The request took too long to arrive.")
        else:
            self._schedule_check()

    def _refuse(self, status: int, detail: str) -> None:
        """Respond, unless a response has already begun, and close the connection."""
        log.info("refused", status=status, client=self.client[0] if self.client else None)
        has_begun = self.cycle is not None and self.cycle.response_started
        is_busy = self.cycle is not None and not self.cycle.response_complete
        if not (is_busy if self.in_head else has_begun):
            response = OrjsonResponse({"message": detail, "status": status}, status)
            headers = [(b"connection", b"close"), *response.raw_headers]
            head = STATUS_LINE[status] + b"".join(name + b": " + value + b"\r\n" for name, value in headers)
            self.transport.write(head + b"\r\n" + bytes(response.body))
        self.transport.close()

    def _abort(self) -> None:
        log.info("answer was not read", client=self.client[0] if self.client else None)
        self.transport.abort()


def is_guarded(settings: ServiceSettings) -> bool:
    """Return whether to limit slow clients: by default, unless a proxy in front does."""
    if settings.slow_client_guard == "auto":
        return not settings.trusted_proxies
    return settings.slow_client_guard == "on"


def slow_client_protocol(settings: ServiceSettings) -> type[asyncio.Protocol]:
    """Return the protocol with the limits of the settings."""
    limits = {"timeout": settings.slow_client_seconds, "min_rate": settings.slow_client_kb_per_second * 1000}
    return type("LimitedSlowClientProtocol", (SlowClientProtocol,), limits)
