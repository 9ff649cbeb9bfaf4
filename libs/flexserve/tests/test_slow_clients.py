"""A few slow clients must not occupy a server, and other clients do not notice them."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Literal

import pytest
from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, StreamingResponse
from flexserve.app import create_app
from flexserve.server import http_protocol, http_server, listen
from flexserve.settings import ServiceSettings
from flexserve.slow_clients import SlowClientProtocol
from waiting import until

PATIENCE = 0.4
router = APIRouter()


@router.post("/length")
async def length(request: Request) -> int:
    return len(await request.body())


@router.get("/hello")
async def hello() -> PlainTextResponse:
    return PlainTextResponse("hello")


@router.get("/slow")
async def slow() -> PlainTextResponse:
    await asyncio.sleep(3 * PATIENCE)
    return PlainTextResponse("done")


@router.get("/endless")
async def endless() -> StreamingResponse:
    async def chunks() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1_000_000
            await asyncio.sleep(0)

    return StreamingResponse(chunks())


@pytest.fixture
async def port() -> AsyncIterator[int]:
    settings = ServiceSettings(port=0, slow_client_seconds=PATIENCE, slow_client_kb_per_second=100, shutdown_grace=1)
    listening = listen(settings)
    server = http_server(create_app(settings, service="testing", title="Testing", routers=[router]), settings)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await until(lambda: server.started)
    yield listening.getsockname()[1]
    server.should_exit = True
    await serving


class Talk:
    """A client that sends bytes at its own pace and collects the response meanwhile."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.heard = b""
        self.hearing = asyncio.create_task(self.listen(reader))

    async def listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while data := await reader.read(1000):
                self.heard += data
        except ConnectionError:
            pass

    async def say(self, text: str | bytes, *, every: float = 0, piece: int = 0) -> bool:
        """Send the text, at once or in pieces. Return False if the server closed the connection first."""
        data = text.encode() if isinstance(text, str) else text
        for at in range(0, len(data), piece or len(data)):
            if self.hearing.done():
                return False
            self.writer.write(data[at : at + (piece or len(data))])
            await asyncio.sleep(every)
        return True

    async def hear(self) -> tuple[int, bytes]:
        """Return the status and the body received until the connection ended."""
        await asyncio.wait_for(self.hearing, 10)
        head, _, body = self.heard.partition(b"\r\n\r\n")
        return int(head.split()[1]) if head else 0, body


Connect = Callable[[], Awaitable[Talk]]


@pytest.fixture
async def talk(port: int) -> AsyncIterator[Connect]:
    writers = []

    async def connect() -> Talk:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        return Talk(reader, writer)

    yield connect
    for writer in writers:
        writer.close()


HEAD = "POST /length HTTP/1.1\r\nHost: x\r\n"
CLOSE = "Connection: close\r\n\r\n"


async def test_headers_must_arrive(talk: Connect) -> None:
    client = await talk()
    assert not await client.say(HEAD + "X-A: " + "b" * 1000, every=0.05, piece=3)
    status, body = await client.hear()
    assert (status, json.loads(body)) == (408, {"message": "The request took too long to arrive.", "status": 408})


async def test_who_says_nothing_is_let_go(talk: Connect) -> None:
    client = await talk()
    assert await client.hear() == (0, b"")


async def test_bodies_must_arrive(talk: Connect) -> None:
    client = await talk()
    assert not await client.say(f"{HEAD}Content-Length: 100000\r\n\r\n" + "x" * 100_000, every=0.05, piece=10)
    assert (await client.hear())[0] == 408


async def test_what_a_chunk_is_wrapped_in_is_no_body(talk: Connect) -> None:
    client = await talk()
    # However much and fast it is.
    endless = "1;" + "x" * 50_000_000
    assert not await client.say(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n{endless}", every=0.05, piece=100_000)
    assert (await client.hear())[0] == 408


async def test_a_large_body_may_take_its_time(talk: Connect) -> None:
    client = await talk()
    body = b"x" * 2_000_000
    # Five times our patience, but ten times as fast as it must be.
    assert await client.say(f"{HEAD}Content-Length: {len(body)}\r\n{CLOSE}".encode() + body, every=0.1, piece=100_000)
    assert await client.hear() == (200, b"2000000")


async def test_we_may_take_our_time(talk: Connect) -> None:
    client = await talk()
    await client.say(f"GET /slow HTTP/1.1\r\nHost: x\r\n{CLOSE}")
    assert await client.hear() == (200, b"done")


async def test_headers_have_an_end(talk: Connect) -> None:
    client = await talk()
    await client.say("GET /hello HTTP/1.1\r\nHost: x\r\n" + "".join(f"X-{i}: {'y' * 1000}\r\n" for i in range(200)))
    assert (await client.hear())[0] in (431, 0)


async def test_the_next_request_on_a_connection_is_watched_too(talk: Connect) -> None:
    client = await talk()
    await client.say("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
    await until(lambda: b"hello" in client.heard)
    await client.say("GET /hello HTTP/1.1\r\nHost: x\r\nX-A: " + "b" * 1000, every=0.05, piece=3)
    _, answer = await client.hear()
    assert b"408 Request Timeout" in answer


async def test_answers_must_be_read(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(4 * PATIENCE)
        client.settimeout(5)
        left = 0
        with suppress(ConnectionError):
            while data := await asyncio.to_thread(client.recv, 1_000_000):
                left += len(data)
    assert left < 20_000_000, "there was no more than what was on its way"


@pytest.mark.parametrize(
    ("proxies", "guard", "limited"),
    [("", "auto", True), ("10.0.0.0/8", "auto", False), ("10.0.0.0/8", "on", True), ("", "off", False)],
)
def test_a_proxy_in_front_guards_by_itself(proxies: str, guard: Literal["auto", "on", "off"], limited: bool) -> None:
    protocol = http_protocol(ServiceSettings(trusted_proxies=proxies, slow_client_guard=guard))
    assert (isinstance(protocol, type) and issubclass(protocol, SlowClientProtocol)) == limited


async def test_others_do_not_notice(talk: Connect) -> None:
    slow = [await talk() for _ in range(50)]
    for client in slow:
        await client.say(HEAD)
    client = await talk()
    await client.say(f"GET /hello HTTP/1.1\r\nHost: x\r\n{CLOSE}")
    assert await client.hear() == (200, b"hello")
    assert {(await client.hear())[0] for client in slow} == {408}
