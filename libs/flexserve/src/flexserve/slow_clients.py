"""HTTP connections on which clients may be slow only within bounds: a few of them could otherwise occupy a server.

uvicorn waits without end for a request to arrive and for an answer to be read, and takes headers of any length.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from flexserve import logs
from flexserve.responses import OrjsonResponse
from flexserve.settings import ServiceSettings

log = logs.get(__name__)

MAX_HEAD_BYTES = 64 * 1024
"""Bytes of a request's first line and headers."""


class SlowClientProtocol(HttpToolsProtocol):
    """A connection that ends when its client is too slow. Subclasses know the settings."""

    patience = 20.0
    """Seconds for the head of a request to arrive, for its body to get going, and for an answer to move on."""
    rate = 10_000.0
    """Bytes per second at which a body must arrive at least, on average."""

    began: float
    """When the request that is arriving began; when there is none, when the connection did."""
    arriving = False
    in_head = False
    received = 0
    of_body = 0
    """Bytes that count as progress of a body: what chunks are wrapped in can be endless."""
    watch: asyncio.TimerHandle | None = None
    unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.began = self.loop.time()
        self._look_again()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self.watch, self.unread):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        super().data_received(data)
        if self.arriving and self.in_head and self.received > MAX_HEAD_BYTES:
            self._refuse(431, f"The headers of a request may have {MAX_HEAD_BYTES} bytes.")
        elif self.arriving and self.watch is None:
            self._look_again()

    def on_message_begin(self) -> None:
        self.began = self.loop.time()
        self.arriving = self.in_head = True
        self.received = self.of_body = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self.in_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self.of_body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self.arriving = False
        super().on_message_complete()

    def pause_writing(self) -> None:
        self.unread = self.loop.call_later(self.patience, self._abort)
        super().pause_writing()

    def resume_writing(self) -> None:
        if self.unread is not None:
            self.unread.cancel()
            self.unread = None
        super().resume_writing()

    def _look_again(self) -> None:
        self.watch = self.loop.call_later(self.patience / 4, self._check)

    def _check(self) -> None:
        self.watch = None
        if self.transport.is_closing():
            return
        waited = self.loop.time() - self.began
        if not self.arriving:
            # Between requests uvicorn closes idle connections; before the first one nobody does.
            if self.cycle is None and waited > self.patience:
                self.transport.close()
            elif self.cycle is None:
                self._look_again()
        elif self.flow.read_paused:
            self.began += self.patience / 4  # we are the slow ones
            self._look_again()
        elif waited > self.patience + (0 if self.in_head else self.of_body / self.rate):
            self._refuse(408, "The request took too long to arrive.")
        else:
            self._look_again()

    def _refuse(self, status: int, detail: str) -> None:
        """Answer, unless an answer is on its way already, and close the connection."""
        log.info("refused", status=status, client=self.client[0] if self.client else None)
        answered = self.cycle is not None and self.cycle.response_started
        busy = self.cycle is not None and not self.cycle.response_complete
        if not (busy if self.in_head else answered):
            answer = OrjsonResponse({"message": detail, "status": status}, status)
            headers = [(b"connection", b"close"), *answer.raw_headers]
            head = STATUS_LINE[status] + b"".join(name + b": " + value + b"\r\n" for name, value in headers)
            self.transport.write(head + b"\r\n" + bytes(answer.body))
        self.transport.close()

    def _abort(self) -> None:
        log.info("answer was not read", client=self.client[0] if self.client else None)
        self.transport.abort()


def slow_client_protocol(settings: ServiceSettings) -> type[asyncio.Protocol]:
    """Connections with the bounds of the settings."""
    bounds = {"patience": settings.slow_client_seconds, "rate": settings.slow_client_kb_per_second * 1000}
    return type("Bounded", (SlowClientProtocol,), bounds)
