"""Calls to another service, in this process and over HTTP: headers, errors, streamed bodies and retries."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from flexmodel.errors import Invalid, NotFound, Unavailable
from flexserve import logs, service_token
from flexserve.app import create_app
from flexserve.server import http_server, listen
from flexserve.service_client import ServiceClient
from flexserve.settings import ServiceSettings

TOKEN = service_token.generate_token()


def other_service(settings: ServiceSettings) -> FastAPI:
    router = APIRouter(dependencies=[Depends(service_token.RequireServiceToken(TOKEN))])

    @router.api_route("/echo", methods=["GET", "POST"])
    async def echo(request: Request) -> dict[str, Any]:
        wanted = ("x-request-id", "x-flexmesh-user", "x-flexmesh-account", "x-extra")
        return {name: request.headers.get(name) for name in wanted}

    @router.post("/length")
    async def length(request: Request, times: int = 1) -> dict[str, int]:
        return {"length": times * len(await request.body())}

    @router.post("/invalid")
    async def invalid() -> None:
        raise Invalid({"unit": ["Unknown unit 'kx'."]})

    @router.get("/absent")
    async def absent() -> None:
        raise NotFound("There is no sensor 7.")

    @router.get("/away")
    async def away() -> None:
        raise Unavailable("database", retry_after=7)

    return create_app(settings, service="other", title="Other", routers=[router])


@pytest.fixture(params=["inside", "http"])
async def sibling(request: pytest.FixtureRequest, settings: ServiceSettings) -> AsyncIterator[ServiceClient]:
    app = other_service(settings)
    if request.param == "inside":
        sibling = ServiceClient("other", app, TOKEN)
        yield sibling
        await sibling.close()
        return
    listening = listen(ServiceSettings(port=0))
    port = listening.getsockname()[1]
    server = http_server(app, settings)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
    thread.start()
    sibling = ServiceClient("other", f"http://127.0.0.1:{port}", TOKEN)
    yield sibling
    await sibling.close()
    server.should_exit = True
    await asyncio.to_thread(thread.join, 5)


async def test_tells_for_whom_and_in_which_request(sibling: ServiceClient) -> None:
    with logs.bound(request_id="r-1"):
        response = await sibling.post("/echo", user=3, account=5, headers={"X-Extra": "more"}, content=b"{}")
    assert response.json() == {
        "x-request-id": "r-1",
        "x-flexmesh-user": "3",
        "x-flexmesh-account": "5",
        "x-extra": "more",
    }
    assert (await sibling.get("/echo")).json()["x-flexmesh-user"] is None


async def test_errors_come_back_as_they_were(sibling: ServiceClient) -> None:
    with pytest.raises(Invalid) as invalid:
        await sibling.post("/invalid")
    assert invalid.value.fields == {"unit": ["Unknown unit 'kx'."]}
    with pytest.raises(NotFound, match="There is no sensor 7"):
        await sibling.get("/absent")
    with pytest.raises(Unavailable, match="The database cannot be reached") as away:
        await sibling.get("/away")
    assert away.value.retry_after == 7


async def test_passes_on_a_body_that_comes_in_parts(sibling: ServiceClient) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for part in (b"one ", b"", b"two ", b"three"):
            yield part

    assert (await sibling.post("/length", content=parts())).json() == {"length": 13}
    assert (await sibling.post("/length?times=2", content=b"1234")).json() == {"length": 8}
    assert (await sibling.post("/length")).json() == {"length": 0}


async def test_ping(sibling: ServiceClient) -> None:
    await sibling.ping()


async def test_a_service_that_is_not_there() -> None:
    sibling = ServiceClient("ingest", "http://127.0.0.1:1", TOKEN)
    for call in (sibling.get("/x"), sibling.post("/x")):
        with pytest.raises(Unavailable, match="The ingest service cannot be reached") as away:
            await call
        assert away.value.part == "ingest"
    await sibling.close()


class Flaky:
    """A server that closes the first connections, or waits, and then responds."""

    def __init__(self, failures: int, silence: float = 0.0) -> None:
        self.failures, self.silence, self.calls = failures, silence, 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.calls += 1
        if self.calls > self.failures:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            await writer.drain()
        else:
            await asyncio.sleep(self.silence)
        writer.close()

    @asynccontextmanager
    async def sibling(self) -> AsyncIterator[ServiceClient]:
        server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        sibling = ServiceClient("other", f"http://127.0.0.1:{port}", TOKEN, timeout=0.3)
        try:
            yield sibling
        finally:
            await sibling.close()
            server.close()


async def test_only_what_may_be_repeated_is_repeated() -> None:
    async with (reading := Flaky(2)).sibling() as sibling:
        assert (await sibling.get("/x")).status_code == 200
    assert reading.calls == 3
    async with (posting := Flaky(1)).sibling() as sibling:
        with pytest.raises(Unavailable, match="cannot be reached"):
            await sibling.post("/x")
    assert posting.calls == 1


async def test_repeating_ends() -> None:
    async with (down := Flaky(99)).sibling() as sibling:
        with pytest.raises(Unavailable):
            await sibling.get("/x")
    assert down.calls == 6  # three times, and each time aiohttp at once again


async def test_a_slow_answer_is_not_asked_for_again() -> None:
    async with (slow := Flaky(1, silence=5)).sibling() as sibling:
        with pytest.raises(Unavailable, match="did not answer in time"):
            await sibling.get("/x")
    assert slow.calls == 1
