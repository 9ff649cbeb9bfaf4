"""Calls to another Flexmesh service: over HTTP, or directly if it lives in this process."""

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypedDict, Unpack

import aiohttp
import orjson
from flexmodel.errors import Unavailable
from opentelemetry.trace import SpanKind
from pydantic import SecretStr
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential
from yarl import URL

from flexserve import logs, tracing
from flexserve.errors import raise_for_status

USER_HEADER = "X-Flexmesh-User"
ACCOUNT_HEADER = "X-Flexmesh-Account"
_IDEMPOTENT_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE"))
_ATTEMPTS = 3

Body = bytes | AsyncIterable[bytes]
"""A whole body, or one that is streamed in parts."""


class RequestOptions(TypedDict, total=False):
    """The options of a request to another service."""

    user: int | None
    account: int | None
    headers: Mapping[str, str] | None
    content: Body


@dataclass(frozen=True, slots=True)
class ServiceResponse:
    """The response of the other service."""

    status_code: int
    headers: Mapping[str, str]
    """The headers, by names in lower case."""
    content: bytes

    def json(self) -> dict[str, Any]:
        """Return the JSON object in the body."""
        body: dict[str, Any] = orjson.loads(self.content)
        return body


async def acting_user(request: Request) -> int:
    """Return the id of the user for whom another service sends the request. A FastAPI dependency."""
    try:
        return int(request.headers[USER_HEADER])
    except (KeyError, ValueError):
        raise HTTPException(400, f"The header {USER_HEADER} must name the user by id.") from None


class Transport(Protocol):
    """The way in which requests reach the other service."""

    async def send(self, method: str, path: str, headers: Mapping[str, str], content: Body) -> ServiceResponse: ...

    async def close(self) -> None: ...


class ServiceClient:
    """A client for the service `name`, at a base URL or as an ASGI application in this process.

    Responses with a status of 400 or above are raised as the errors of flexmodel, and an unreachable service as
    `Unavailable(name)`. `user` and `account` of a request tell the service for whom it acts.
    """

    def __init__(self, name: str, where: str | ASGIApp, token: SecretStr, *, timeout: float = 30.0) -> None:
        self.name = name
        self._transport: Transport = (
            HttpTransport(name, where, timeout) if isinstance(where, str) else InProcessTransport(name, where)
        )
        self._authorization = f"Bearer {token.get_secret_value()}"

    async def request(
        self,
        method: str,
        path: str,
        *,
        user: int | None = None,
        account: int | None = None,
        headers: Mapping[str, str] | None = None,
        content: Body = b"",
    ) -> ServiceResponse:
        """Send a request and return its response. The path may have a query.

        Raises:
            FlexmeshError: The service returned an error.
            Unavailable: The service cannot be reached, or does not respond in time.
        """
        with tracing.span(f"{method} {self.name}", SpanKind.CLIENT, http__request__method=method):
            sent = {**self._context_headers(user, account), **(headers or {})}
            response = await self._transport.send(method, path, sent, content)
        raise_for_status(response.status_code, response.content, response.headers, f"{method} {path}")
        return response

    async def get(self, path: str, **options: Unpack[RequestOptions]) -> ServiceResponse:
        """Send a GET request, with the options of `request`."""
        return await self.request("GET", path, **options)

    async def post(self, path: str, **options: Unpack[RequestOptions]) -> ServiceResponse:
        """Send a POST request, with the options of `request`."""
        return await self.request("POST", path, **options)

    async def ping(self) -> None:
        """Raise unless the service is alive. A readiness check."""
        await self.request("GET", "/health/live")

    async def close(self) -> None:
        await self._transport.close()

    def _context_headers(self, user: int | None, account: int | None) -> dict[str, str]:
        context = tracing.carrier()
        context["Authorization"] = self._authorization
        if request_id := logs.current("request_id"):
            context["X-Request-ID"] = str(request_id)
        if user is not None:
            context[USER_HEADER] = str(user)
        if account is not None:
            context[ACCOUNT_HEADER] = str(account)
        return context


class HttpTransport:
    """A transport over HTTP, to a service in another process."""

    def __init__(self, name: str, base_url: str, timeout: float) -> None:
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=None, connect=timeout, sock_connect=2.0, sock_read=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, method: str, path: str, headers: Mapping[str, str], content: Body) -> ServiceResponse:
        try:
            return await self._send_with_retries(method, path, headers, content)
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
            reason = "did not answer in time" if isinstance(error, TimeoutError) else "cannot be reached"
            message = f"The {self.name} service {reason}. Please try again shortly."
            raise Unavailable(self.name, message) from error

    async def _send_with_retries(
        self, method: str, path: str, headers: Mapping[str, str], content: Body
    ) -> ServiceResponse:
        """Send a request, and repeat it a few times within half a second if its method is idempotent."""
        try:
            return await self._send_once(method, path, headers, content)
        except aiohttp.ClientConnectionError as error:
            if method not in _IDEMPOTENT_METHODS or not _is_transient(error):
                raise
        retrying = AsyncRetrying(
            retry=retry_if_exception(_is_transient),
            stop=stop_after_attempt(_ATTEMPTS - 1),
            wait=wait_random_exponential(multiplier=0.05, max=0.3),
            reraise=True,
        )
        return await retrying(self._send_once, method, path, headers, content)

    async def _send_once(self, method: str, path: str, headers: Mapping[str, str], content: Body) -> ServiceResponse:
        if self._session is None:
            self._session = self._open()
        url = URL(self._base_url + path, encoded=True)
        async with self._session.request(method, url, headers=headers, data=content or None) as response:
            received = {key.lower(): value for key, value in response.headers.items()}
            return ServiceResponse(response.status, received, await response.read())

    def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            # The servers close connections that were idle for 5 s. The client closes them earlier, so that no request
            # meets a connection that is just being closed.
            connector=aiohttp.TCPConnector(keepalive_timeout=3.0),
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept-Encoding", "Content-Type"),
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def _is_transient(error: BaseException) -> bool:
    """Return whether an immediate retry may help. It does not after a timeout."""
    return isinstance(error, aiohttp.ClientConnectionError) and not isinstance(error, aiohttp.SocketTimeoutError)


class InProcessTransport:
    """A transport to an application in this process, called as a web server would call it."""

    def __init__(self, name: str, app: ASGIApp) -> None:
        self.name = name
        self._app = app

    async def send(self, method: str, path: str, headers: Mapping[str, str], content: Body) -> ServiceResponse:
        path, _, query = path.partition("?")
        sent = [(b"host", self.name.encode()), *((k.lower().encode(), v.encode()) for k, v in headers.items())]
        if isinstance(content, bytes):
            sent.append((b"content-length", str(len(content)).encode()))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": sent,
            "client": None,
            "server": None,
        }
        exchange = _Exchange(content)
        await self._app(scope, exchange.receive, exchange.send)
        return ServiceResponse(exchange.status, exchange.headers, b"".join(exchange.parts))

    async def close(self) -> None:
        return None


class _Exchange:
    """One request and its response, as ASGI messages."""

    def __init__(self, content: Body) -> None:
        self._whole = content if isinstance(content, bytes) else None
        self._parts: AsyncIterator[bytes] | None = None if isinstance(content, bytes) else aiter(content)
        self.status = 500
        self.headers: dict[str, str] = {}
        self.parts: list[bytes] = []

    async def receive(self) -> Message:
        if self._parts is not None:
            part = await anext(self._parts, None)
            if part is not None:
                return {"type": "http.request", "body": part, "more_body": True}
            self._parts, self._whole = None, b""
        if self._whole is not None:
            body, self._whole = self._whole, None
            return {"type": "http.request", "body": body, "more_body": False}
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in message["headers"]}
        else:
            self.parts.append(message.get("body", b""))
