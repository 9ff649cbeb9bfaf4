"""HTTP client for services outside: limited in time and size, with retries, and without access to private networks."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version

import httpx
from flexserve.public_addresses import PrivateAddressError, PublicAddressTransport

from ingest.connectors.fetched_series import FetchError, TemporaryFetchError

USER_AGENT = f"Flexmesh/{version('flexmesh-ingest')}"
REDIRECTS = (301, 302, 303, 307, 308)
MAX_REDIRECTS = 3
MAX_ATTEMPTS = 3
FIRST_WAIT = 1.0
MAX_WAIT = 20.0
"""Longest wait before a retry, in seconds. A server that asks for a longer one is tried in the next run."""
MAX_REASON_CHARACTERS = 200
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

type ReasonParser = Callable[[bytes], str | None]
"""Parses the server's reason from the body of an error response."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """Response of a server; never a 429 or 5xx, which are raised as `TemporaryFetchError`."""

    host: str
    status: int
    headers: httpx.Headers
    body: bytes
    reason: str | None = None
    """Reason of an error, in the server's words."""

    def expect_success(self) -> "HttpResponse":
        """Return the response, or raise `FetchError` if the status is not 200."""
        if self.status in (401, 403):
            raise FetchError(
                self.with_reason(f"{self.host} does not let us in (status {self.status}): check the token or key.")
            )
        if self.status != 200:
            raise FetchError(self.with_reason(f"{self.host} answered with status {self.status}."))
        return self

    def with_reason(self, sentence: str) -> str:
        """Return the sentence with the server's reason."""
        return f'{sentence} It says: "{self.reason}"' if self.reason else sentence


@dataclass(frozen=True, slots=True)
class ResponseLimits:
    seconds: float
    """Time limit of one attempt, with redirects and the whole body."""
    max_bytes: int
    """Most bytes of a body, unpacked."""


class HttpClient:
    """HTTP client. Errors and logs never contain the URL, which may contain a token."""

    def __init__(self, transport: httpx.AsyncBaseTransport, limits: ResponseLimits) -> None:
        self._transport = transport
        self.limits = limits

    async def request(
        self,
        url: str,
        *,
        method: str = "GET",
        params: Mapping[str, str | int | float] | None = None,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        reason: ReasonParser | None = None,
    ) -> HttpResponse:
        """Send a request, with retries after 429, 5xx and network errors.

        Raises:
            FetchError: The URL is invalid or private, or there is no usable response.
        """
        try:
            request = httpx.Request(method, url, params=params, headers=headers, json=json)
        except (httpx.InvalidURL, ValueError, TypeError) as error:
            raise FetchError("This is no address that can be asked.") from error
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                return await self._attempt(request, reason)
            except TemporaryFetchError as error:
                wait = max(FIRST_WAIT * 2 ** (attempt - 1), error.retry_after or 0.0)
                if attempt == MAX_ATTEMPTS or wait > MAX_WAIT:
                    raise
                await asyncio.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    async def _attempt(self, request: httpx.Request, reason: ReasonParser | None) -> HttpResponse:
        host = request.url.host
        try:
            async with asyncio.timeout(self.limits.seconds):
                response = await self._follow(request)
        except (TimeoutError, httpx.TimeoutException):
            raise TemporaryFetchError(f"{host} did not answer within {self.limits.seconds:g} seconds.") from None
        except PrivateAddressError as error:
            raise FetchError(str(error)) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TemporaryFetchError(f"{host} cannot be reached: {error or type(error).__name__}.") from None
        if reason is not None and response.status >= 400:
            response = replace(response, reason=shorten(reason(response.body)))
        if response.status == 429 or response.status >= 500:
            what = "wants to be asked less often" if response.status == 429 else "has trouble of its own"
            sentence = response.with_reason(f"{response.host} {what} (status {response.status}).")
            raise TemporaryFetchError(sentence, parse_retry_after(response.headers))
        return response

    async def _follow(self, request: httpx.Request) -> HttpResponse:
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._exchange(request)
            if response.status not in REDIRECTS or "location" not in response.headers:
                return response
            request = redirected_request(request, response)
        raise FetchError(f"{request.url.host} sends us from one address to the next.")

    async def _exchange(self, request: httpx.Request) -> HttpResponse:
        # The transport changes its request; a retry needs the original.
        timeout = httpx.Timeout(self.limits.seconds).as_dict()
        own_request = httpx.Request(
            request.method,
            request.url,
            headers=request.headers,
            content=request.content,
            extensions={"timeout": timeout},
        )
        own_request.headers.setdefault("User-Agent", USER_AGENT)
        own_request.headers.setdefault("Accept", "*/*")
        own_request.headers["Accept-Encoding"] = "gzip"
        response = await self._transport.handle_async_request(own_request)
        try:
            body = await read_body(response, request.url.host, self.limits.max_bytes)
        finally:
            await response.aclose()
        return HttpResponse(request.url.host, response.status_code, response.headers, body)


def redirected_request(request: httpx.Request, response: HttpResponse) -> httpx.Request:
    """Build the request to the redirect's target. Headers and bodies are not sent to another server."""
    url = request.url.join(response.headers["location"])
    if url.scheme not in ("http", "https"):
        raise FetchError(f"{response.host} sends us to an address that is not one of the web.")
    source, target = ((each.scheme, each.host, each.port) for each in (request.url, url))
    if source == target:
        headers = {name: value for name, value in request.headers.items() if name not in ("host", "content-length")}
    elif request.method == "GET":
        headers = {}
    else:
        raise FetchError(f"{response.host} sends us and what we say to another server.")
    if response.status in (307, 308):
        return httpx.Request(request.method, url, headers=headers, content=request.content)
    return httpx.Request("GET", url, headers=headers)


async def read_body(response: httpx.Response, host: str, max_bytes: int) -> bytes:
    """Read and unpack the body, up to the size limit."""
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("identity", "gzip", ""):
        raise FetchError(f"{host} packs its answer as '{coding[:20]}', which was not asked for.")
    unpack = zlib.decompressobj(16 + zlib.MAX_WBITS) if coding == "gzip" else None
    body = bytearray()
    assert isinstance(response.stream, httpx.AsyncByteStream)
    async for chunk in response.stream:
        try:
            body += chunk if unpack is None else unpack.decompress(chunk, max_bytes + 1 - len(body))
        except zlib.error:
            raise TemporaryFetchError(f"{host} sent an answer that cannot be unpacked.") from None
        if len(body) > max_bytes:
            raise FetchError(f"{host} sent more than {max_bytes / 1_000_000:g} MB.")
    if unpack is not None and not unpack.eof:
        raise TemporaryFetchError(f"{host} sent an answer that ends too early.")
    return bytes(body)


def shorten(text: str | None) -> str | None:
    """Return a foreign text on one line, printable and shortened; None if it is empty."""
    text_on_one_line = " ".join((text or "").split())
    return "".join(filter(str.isprintable, text_on_one_line))[:MAX_REASON_CHARACTERS] or None


def parse_retry_after(headers: httpx.Headers) -> float | None:
    """Return the seconds in `Retry-After`, or until the time in it."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


@asynccontextmanager
async def open_client(limits: ResponseLimits, *, private_addresses: bool) -> AsyncIterator[HttpClient]:
    """Open a client with its own connections."""
    async with AsyncExitStack() as stack:
        transport_without_check = httpx.AsyncHTTPTransport(
            limits=httpx.Limits(max_connections=50, max_keepalive_connections=10)
        )
        transport: httpx.AsyncBaseTransport = (
            transport_without_check if private_addresses else PublicAddressTransport(transport_without_check)
        )
        stack.push_async_callback(transport_without_check.aclose)
        yield HttpClient(transport, limits)
