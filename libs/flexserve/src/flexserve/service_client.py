"""Another of our services, called over HTTP or, when it lives in this process, directly."""

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

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
SENSOR_HEADER = "X-Flexmesh-Sensor"
"""What the caller has just read of the sensor in the path, as JSON, so that it need not be looked up twice."""
_REPEATABLE = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE"))
_ATTEMPTS = 3

Body = bytes | AsyncIterable[bytes]
"""A whole body, or one that comes in parts and is passed on as it comes."""


@dataclass(frozen=True, slots=True)
class ServiceResponse:
    """What the other service answered."""

    status_code: int
    headers: Mapping[str, str]
    """By names in lower case."""
    content: bytes

    def json(self) -> Any:
        return orjson.loads(self.content)


async def acting_user(request: Request) -> int:
    """A FastAPI dependency: for which user another of our services asks."""
    try:
        return int(request.headers[USER_HEADER])
    except (KeyError, ValueError):
        raise HTTPException(400, f"The header {USER_HEADER} must name the user by id.") from None


class Transport(Protocol):
    """How requests reach the other service."""

    async def send(self, method: str, path: str, headers: Mapping[str, str], content: Body) -> ServiceResponse: ...

    async def close(self) -> None: ...


class ServiceClient:
    """A client for the service `name`, at a base URL or as an ASGI application in this process.

    Answers of 400 and above come back as the errors of flexmodel; a service that cannot be reached as
    Unavailable(name). It knows whom it acts for from `user` and `account`.
    """

    def __init__(self, name: str, where: str | ASGIApp, token: SecretStr, *, timeout: float = 30.0) -> None:
        self.name = name
        self._way: Transport = (
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
        """Send a request. The path may carry a query."""
        with tracing.span(f"{method} {self.name}", SpanKind.CLIENT, http__request__method=method):
            answer = await self._way.send(method, path, {**self._context(user, account), **(headers or {})}, content)
        raise_for_status(answer.status_code, answer.content, answer.headers, f"{method} {path}")
        return answer

    async def get(self, path: str, **options: Any) -> ServiceResponse:
        return await self.request("GET", path, **options)

    async def post(self, path: str, **options: Any) -> ServiceResponse:
        return await self.request("POST", path, **options)

    async def ping(self) -> None:
        """For readiness: raise unless the service is alive."""
        await self.request("GET", "/health/live")

    async def close(self) -> None:
        await self._way.close()

    def _context(self, user: int | None, account: int | None) -> dict[str, str]:
        context = tracing.carrier()
        context["Authorization"] = self._authorization
        if request_id := logs.current("request_id"):
            context["X-Request-ID"] = request_id
        if user is not None:
            context[USER_HEADER] = str(user)
        if account is not None:
            context[ACCOUNT_HEADER] = str(account)
        return context


class HttpTransport:
    """The service runs elsewhere."""

    def __init__(self, name: str, base_url: str, timeout: float) -> None:
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=None, connect=timeout, sock_connect=2.0, sock_read=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, method: str, path: str, headers: Mapping[str, str], content: Body) -> ServiceResponse:
        try:
            return await self._ask(method, path, headers, content)
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
            reason = "did not answer in time" if isinstance(error, TimeoutError) else "cannot be reached"
            message = f"The {self.name} service {reason}. Please try again shortly."
            raise Unavailable(self.name, message) from error

    async def _ask(self, method: str, path: str, headers: Mapping[str, str], content: Body) -> ServiceResponse:
        """Once, or a few times within half a second if asking again changes nothing."""
        try:
            return await self._ask_once(method, path, headers, content)
        except aiohttp.ClientConnectionError as error:
            if method not in _REPEATABLE or not _passes(error):
                raise
        again = AsyncRetrying(
            retry=retry_if_exception(_passes),
            stop=stop_after_attempt(_ATTEMPTS - 1),
            wait=wait_random_exponential(multiplier=0.05, max=0.3),
            reraise=True,
        )
        return await again(self._ask_once, method, path, headers, content)

    async def _ask_once(self, method: str, path: str, headers: Mapping[str, str], content: Body) -> ServiceResponse:
        if self._session is None:
            self._session = self._open()
        url = URL(self._base_url + path, encoded=True)
        async with self._session.request(method, url, headers=headers, data=content or None) as response:
            answered = {key.lower(): value for key, value in response.headers.items()}
            return ServiceResponse(response.status, answered, await response.read())

    def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            # Our servers end connections that were idle for 5 s. We must be earlier, or requests meet closing doors.
            connector=aiohttp.TCPConnector(keepalive_timeout=3.0),
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept-Encoding", "Content-Type"),
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def _passes(error: BaseException) -> bool:
    """Whether it may help to ask again at once. It does not when the service took too long to answer."""
    return isinstance(error, aiohttp.ClientConnectionError) and not isinstance(error, aiohttp.SocketTimeoutError)


class InProcessTransport:
    """The service is an application here: called as a web server would call it, without the web."""

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
    """One request and its answer, as ASGI messages."""

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
