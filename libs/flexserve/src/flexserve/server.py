"""The HTTP server of a service, with a graceful shutdown on SIGTERM or SIGINT."""

import asyncio
import errno
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Literal

import uvicorn
from flexmodel.errors import FlexmeshError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flexserve import allocating, logs
from flexserve.settings import ServiceSettings, variable

log = logs.get(__name__)

shutdown_callbacks: set[Callable[[], None]] = set()
"""Called when a server begins to stop, before it waits for running requests: they end endless responses."""


def serve(app: ASGIApp, settings: ServiceSettings, listening: socket.socket | None = None) -> int:
    """Serve the application in this thread, and return the exit code of the process."""
    allocating.give_back()
    listening = listening or listen(settings)
    server = http_server(app, settings)
    with _signals_ignored():
        try:
            server.run(sockets=[listening])
        except SystemExit as stop:  # how uvicorn reports that the application did not start
            return int(stop.code or 0)
    return 0


def http_server(app: ASGIApp, settings: ServiceSettings) -> uvicorn.Server:
    """Return a uvicorn server, which serves the listening sockets that it is given."""
    config = uvicorn.Config(
        _PlainStartupErrors(app),
        loop="auto",
        http=http_protocol(settings),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_grace)),
    )
    return _Server(config)


def http_protocol(settings: ServiceSettings) -> type[asyncio.Protocol] | Literal["auto"]:
    """Return the protocol of connections: with limits on slow clients where they are wanted and httptools is there."""
    if find_spec("httptools") is None:
        return "auto"
    from flexserve.slow_clients import is_guarded, slow_client_protocol  # noqa: PLC0415 - needs httptools

    return slow_client_protocol(settings) if is_guarded(settings) else "auto"


class _Server(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for call in shutdown_callbacks:
            call()
        await super().shutdown(sockets)


def listen(settings: ServiceSettings) -> socket.socket:
    """Open a listening socket. Exits with code 1 and a sentence if the port is not available."""
    host, port = settings.host, settings.port
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=2048)
        # Connections inherit this option. Without it the second packet of a response waits 40 ms for the client's
        # acknowledgement of the first. Event loops set it only on sockets that name their protocol, unlike these.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        print(_listen_error(error, host, port), file=sys.stderr)
        raise SystemExit(1) from None
    address = listening.getsockname()
    log.info("listening", host=address[0], port=address[1])
    return listening


def _listen_error(error: OSError, host: str, port: int) -> str:
    choose = f"choose another with {variable('port')}"
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is already in use: stop the program that uses it, or {choose}."
    if error.errno == errno.EACCES:
        return f"Port {port} on {host} may not be used by this user: {choose} (1024 or higher)."
    return f"Cannot listen on {host} port {port} ({error}): check {variable('host')} and {variable('port')}."


@contextmanager
def _signals_ignored() -> Iterator[None]:
    # uvicorn stops on these signals by itself, but raises them again when it is done. The default handlers would then
    # kill the process before it has cleaned up.
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _PlainStartupErrors:
    """Reports a failed start by the sentence of its error, without a traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return

        async def send_plainly(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                error = sys.exception()
                if isinstance(error, FlexmeshError):
                    message = {**message, "message": error.message}
            await send(message)

        await self.app(scope, receive, send_plainly)
