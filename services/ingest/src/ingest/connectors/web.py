"""Asking the outside world: bounded in time and size, again when that may help, and never inside our own network."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Any

import httpx
from flexserve.public_addresses import PrivateAddressError, PublicAddressTransport

from ingest.connectors.fetched import NotFetched, Passing

AGENT = f"Flexmesh/{version('flexmesh-ingest')}"
REDIRECTS = (301, 302, 303, 307, 308)
MOST_REDIRECTS = 3
ATTEMPTS = 3
FIRST_WAIT = 1.0
LONGEST_WAIT = 20.0
"""Seconds that a run waits before it asks again; whoever wants to be left alone for longer is asked in the next run."""
LONGEST_REASON = 200
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

type Reason = Callable[[bytes], str | None]
"""Finds in the body of a refusal what the server says about it, in a form of its own."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said; never a 429 or 5xx, which are `NotFetched`."""

    host: str
    status: int
    headers: httpx.Headers
    body: bytes
    reason: str | None = None
    """Why it refuses, in its own words."""

    def expect_success(self) -> "Answer":
        """Itself, or the reason why it is of no use."""
        if self.status in (401, 403):
            raise NotFetched(
                self.explained(f"{self.host} does not let us in (status {self.status}): check the token or key.")
            )
        if self.status != 200:
            raise NotFetched(self.explained(f"{self.host} answered with status {self.status}."))
        return self

    def explained(self, sentence: str) -> str:
        """The sentence, and what the server says itself."""
        return f'{sentence} It says: "{self.reason}"' if self.reason else sentence


@dataclass(frozen=True, slots=True)
class Limits:
    seconds: float
    """For one attempt, redirects and all of the answer included."""
    largest: int
    """Bytes of an answer, unpacked."""


class Web:
    """Asks over HTTP. Nothing it raises or logs has the address in it, which may contain a token."""

    def __init__(self, transport: httpx.AsyncBaseTransport, limits: Limits) -> None:
        self._transport = transport
        self.limits = limits

    async def ask(
        self,
        url: str,
        *,
        method: str = "GET",
        params: Mapping[str, str | int | float] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        reason: Reason | None = None,
    ) -> Answer:
        """The answer of the server, which is asked again after 429, 5xx and trouble on the way."""
        try:
            request = httpx.Request(method, url, params=params, headers=headers, json=json)
        except (httpx.InvalidURL, ValueError, TypeError) as error:
            raise NotFetched("This is no address that can be asked.") from error
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._attempt(request, reason)
            except Passing as error:
                wait = max(FIRST_WAIT * 2 ** (attempt - 1), error.retry_after or 0.0)
                if attempt == ATTEMPTS or wait > LONGEST_WAIT:
                    raise
                await asyncio.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    async def _attempt(self, request: httpx.Request, reason: Reason | None) -> Answer:
        host = request.url.host
        try:
            async with asyncio.timeout(self.limits.seconds):
                answer = await self._follow(request)
        except (TimeoutError, httpx.TimeoutException):
            raise Passing(f"{host} did not answer within {self.limits.seconds:g} seconds.") from None
        except PrivateAddressError as error:
            raise NotFetched(str(error)) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Passing(f"{host} cannot be reached: {error or type(error).__name__}.") from None
        if reason is not None and answer.status >= 400:
            answer = replace(answer, reason=in_short(reason(answer.body)))
        if answer.status == 429 or answer.status >= 500:
            what = "wants to be asked less often" if answer.status == 429 else "has trouble of its own"
            sentence = answer.explained(f"{answer.host} {what} (status {answer.status}).")
            raise Passing(sentence, retry_after(answer.headers))
        return answer

    async def _follow(self, request: httpx.Request) -> Answer:
        for _ in range(MOST_REDIRECTS + 1):
            answer = await self._exchange(request)
            if answer.status not in REDIRECTS or "location" not in answer.headers:
                return answer
            request = redirected(request, answer)
        raise NotFetched(f"{request.url.host} sends us from one address to the next.")

    async def _exchange(self, request: httpx.Request) -> Answer:
        # The transport changes what it is given; a second attempt needs it as it was.
        timeout = httpx.Timeout(self.limits.seconds).as_dict()
        sent = httpx.Request(
            request.method,
            request.url,
            headers=request.headers,
            content=request.content,
            extensions={"timeout": timeout},
        )
        sent.headers.setdefault("User-Agent", AGENT)
        sent.headers.setdefault("Accept", "*/*")
        sent.headers["Accept-Encoding"] = "gzip"
        response = await self._transport.handle_async_request(sent)
        try:
            body = await read_body(response, request.url.host, self.limits.largest)
        finally:
            await response.aclose()
        return Answer(request.url.host, response.status_code, response.headers, body)


def redirected(request: httpx.Request, answer: Answer) -> httpx.Request:
    """The request to where the answer points. Another server is not told what was meant for this one."""
    url = request.url.join(answer.headers["location"])
    if url.scheme not in ("http", "https"):
        raise NotFetched(f"{answer.host} sends us to an address that is not one of the web.")
    here, there = ((each.scheme, each.host, each.port) for each in (request.url, url))
    if here == there:
        headers = {name: value for name, value in request.headers.items() if name not in ("host", "content-length")}
    elif request.method == "GET":
        headers = {}
    else:
        raise NotFetched(f"{answer.host} sends us and what we say to another server.")
    if answer.status in (307, 308):
        return httpx.Request(request.method, url, headers=headers, content=request.content)
    return httpx.Request("GET", url, headers=headers)


async def read_body(response: httpx.Response, host: str, largest: int) -> bytes:
    """The body, unpacked; refused as soon as it is seen to be too large."""
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("identity", "gzip", ""):
        raise NotFetched(f"{host} packs its answer as '{coding[:20]}', which was not asked for.")
    unpack = zlib.decompressobj(16 + zlib.MAX_WBITS) if coding == "gzip" else None
    body = bytearray()
    assert isinstance(response.stream, httpx.AsyncByteStream)
    async for chunk in response.stream:
        try:
            body += chunk if unpack is None else unpack.decompress(chunk, largest + 1 - len(body))
        except zlib.error:
            raise Passing(f"{host} sent an answer that cannot be unpacked.") from None
        if len(body) > largest:
            raise NotFetched(f"{host} sent more than {largest / 1_000_000:g} MB.")
    if unpack is not None and not unpack.eof:
        raise Passing(f"{host} sent an answer that ends too early.")
    return bytes(body)


def in_short(text: str | None) -> str | None:
    """A foreign text as it may stand in a sentence of ours."""
    words = " ".join((text or "").split())
    return "".join(filter(str.isprintable, words))[:LONGEST_REASON] or None


def retry_after(headers: httpx.Headers) -> float | None:
    """The seconds in `Retry-After`, or until the moment in it."""
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
async def opened(limits: Limits, *, private_addresses: bool) -> AsyncIterator[Web]:
    """A `Web` with connections of its own."""
    async with AsyncExitStack() as stack:
        plain = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=50, max_keepalive_connections=10))
        transport: httpx.AsyncBaseTransport = plain if private_addresses else PublicAddressTransport(plain)
        stack.push_async_callback(plain.aclose)
        yield Web(transport, limits)
