"""Request observability: the id, the log line, the metrics, the size limit and unexpected errors of every request."""

import re
from secrets import token_hex
from time import perf_counter

from flexmodel.digits import parse_digits
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flexserve import logs, metrics
from flexserve.direct_routes import TEMPLATE
from flexserve.errors import ErrorStyles, failure_of

log = logs.get("flexserve.access")

_REQUEST_ID = re.compile(r"[\w.:\-]{1,128}")
# Polled all the time by machines: not in the metrics, and in the log only at the debug level.
_QUIET_PATHS = ("/health/", "/metrics")
CLIENT_CLOSED_REQUEST = 499
UPLOAD_PATH_SUFFIX = "/upload"
"""Paths with this suffix take files. They stream the body or write it to disk, so it may be large."""


class RequestObservabilityMiddleware:
    """Wraps the application of a service. It is plain ASGI, because every request pays for it."""

    def __init__(
        self, app: ASGIApp, *, service: str, styles: ErrorStyles, max_body_bytes: int, max_upload_bytes: int
    ) -> None:
        self.app = app
        self.service = service
        self.styles = styles
        self.max_body_bytes = max_body_bytes
        self.max_upload_bytes = max_upload_bytes
        self.in_flight = metrics.REQUESTS_IN_FLIGHT.labels(service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        observed = _ObservedSend(send, _request_id(headers.get(b"x-request-id", b"")))
        start = perf_counter()
        limit = self.max_upload_bytes if scope["path"].endswith(UPLOAD_PATH_SUFFIX) else self.max_body_bytes
        with logs.bound(request_id=observed.request_id, service=self.service), self.in_flight.track_inprogress():
            try:
                await self._respond(scope, limit_body(receive, headers, limit), observed)
            finally:
                self._record(scope, observed.status, perf_counter() - start)

    async def _respond(self, scope: Scope, receive: Receive, observed: "_ObservedSend") -> None:
        try:
            await self.app(scope, receive, observed.send)
        except ClientDisconnect:
            observed.status = CLIENT_CLOSED_REQUEST
        except Exception as error:
            failure = failure_of(error)
            if failure.unexpected:
                log.exception("unexpected error", method=scope["method"], path=scope["path"])
            if observed.started:
                raise  # The response has begun, so only breaking the connection tells the client.
            await self.styles.response(failure, scope)(scope, receive, observed.send)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        path: str = scope["path"]
        quiet = path.startswith(_QUIET_PATHS)
        if not quiet:
            metrics.count_request(self.service, scope["method"], route_template(scope), status, seconds)
        write = log.debug if quiet else log.info
        client = scope.get("client")
        write(
            "request",
            method=scope["method"],
            path=path,
            status=status,
            ms=round(seconds * 1000, 2),
            client=client[0] if client else None,
        )


class _ObservedSend:
    """Sends a response with the request id and keeps its status. Without one, the client closed the request."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self.request_id = request_id
        self.status = CLIENT_CLOSED_REQUEST
        self.started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self.request_id.encode())]
        await self._send(message)


def route_template(scope: Scope) -> str:
    """Return the path with parameter names in place of values, which keeps the number of metric labels small."""
    if TEMPLATE in scope:
        return str(scope[TEMPLATE])
    # FastAPI keeps the full template of an included router's route only here; `route.path` lacks the router's prefix.
    context = scope.get("fastapi", {}).get("effective_route_context")
    template = getattr(context, "path_format", None) or getattr(scope.get("route"), "path", None)
    if template is not None:
        return str(scope.get("app_root_path", "")) + str(template)
    # A mounted application (static files) leaves its mount path. Anything else matched no route.
    return scope.get("root_path") or ("unmatched" if "endpoint" not in scope else scope["path"])


def _request_id(sent: bytes) -> str:
    text = sent.decode("latin-1")
    return text if _REQUEST_ID.fullmatch(text) else token_hex(8)


def limit_body(receive: Receive, headers: dict[bytes, bytes], limit: int) -> Receive:
    """Wrap `receive` to refuse a body over the limit: at once if its length is announced, else when it is reached."""
    announced = parse_digits(headers.get(b"content-length", b"0").decode("latin-1"), limit)
    size = limit + 1 if announced is None else announced

    async def receive_limited() -> Message:
        nonlocal size
        if size > limit:
            raise body_too_large(limit)
        message = await receive()
        if not announced and message["type"] == "http.request":
            size += len(message.get("body", b""))
            if size > limit:
                raise body_too_large(limit)
        return message

    return receive_limited


def body_too_large(limit: int) -> HTTPException:
    """Return the error for a request body of more than `limit` bytes."""
    detail = f"The request body is too large: at most {limit / 1e6:g} MB is accepted. Please send it in parts."
    return HTTPException(413, detail, {"Connection": "close"})
