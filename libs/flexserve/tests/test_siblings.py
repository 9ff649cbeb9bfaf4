"""Calling another service: inside the process and over HTTP, with what it needs to know, and its errors as ours."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Depends, Request
from flexmodel.errors import Invalid, NotFound, Unavailable
from flexserve import logs, tokens
from flexserve.app import create_app
from flexserve.loop import Loop
from flexserve.server import http_server, listen
from flexserve.settings import ServiceSettings
from flexserve.siblings import Sibling

TOKEN = tokens.new()


def other_service(settings: ServiceSettings) -> Any:
    router = APIRouter(dependencies=[Depends(tokens.ServiceOnly(TOKEN))])

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
async def sibling(request: pytest.FixtureRequest, settings: ServiceSettings) -> AsyncIterator[Sibling]:
    app = other_service(settings)
    if request.param == "inside":
        sibling = Sibling("other", app, TOKEN)
        yield sibling
        await sibling.close()
        return
    listening = listen(ServiceSettings(port=0))
    port = listening.getsockname()[1]
    server = http_server(app, settings)
    with Loop() as loop:
        serving = loop.spawn(server.serve(sockets=[listening]))
        sibling = Sibling("other", f"http://127.0.0.1:{port}", TOKEN)
        yield sibling
        await sibling.close()
        server.should_exit = True
        serving.result(5)


async def test_tells_for_whom_and_in_which_request(sibling: Sibling) -> None:
    with logs.bound(request_id="r-1"):
        response = await sibling.post("/echo", user=3, account=5, headers={"X-Extra": "more"}, content=b"{}")
    assert response.json() == {
        "x-request-id": "r-1",
        "x-flexmesh-user": "3",
        "x-flexmesh-account": "5",
        "x-extra": "more",
    }
    assert (await sibling.get("/echo")).json()["x-flexmesh-user"] is None


async def test_errors_come_back_as_they_were(sibling: Sibling) -> None:
    with pytest.raises(Invalid) as invalid:
        await sibling.post("/invalid")
    assert invalid.value.fields == {"unit": ["Unknown unit 'kx'."]}
    with pytest.raises(NotFound, match="There is no sensor 7"):
        await sibling.get("/absent")
    with pytest.raises(Unavailable, match="The database cannot be reached") as away:
        await sibling.get("/away")
    assert away.value.retry_after == 7


async def test_passes_on_a_body_that_comes_in_parts(sibling: Sibling) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for part in (b"one ", b"", b"two ", b"three"):
            yield part

    assert (await sibling.post("/length", content=parts())).json() == {"length": 13}
    assert (await sibling.post("/length?times=2", content=b"1234")).json() == {"length": 8}
    assert (await sibling.post("/length")).json() == {"length": 0}


async def test_ping(sibling: Sibling) -> None:
    await sibling.ping()


async def test_a_service_that_is_not_there() -> None:
    sibling = Sibling("ingest", "http://127.0.0.1:1", TOKEN)
    for call in (sibling.get("/x"), sibling.post("/x")):
        with pytest.raises(Unavailable, match="The ingest service cannot be reached") as away:
            await call
        assert away.value.part == "ingest"


class Flaky(httpx.AsyncBaseTransport):
    """Fails some times, then answers."""

    def __init__(self, failures: int, error: type[httpx.TransportError] = httpx.ConnectError) -> None:
        self.failures, self.error, self.calls = failures, error, 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error("no")
        return httpx.Response(200, request=request)


def flaky(monkeypatch: pytest.MonkeyPatch, transport: Flaky) -> Sibling:
    monkeypatch.setattr("flexserve.siblings.httpx.AsyncClient", partial(httpx.AsyncClient, transport=transport))
    return Sibling("other", "http://other", TOKEN)


async def test_only_what_may_be_repeated_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await flaky(monkeypatch, Flaky(2)).get("/x")).status_code == 200
    posting = Flaky(1)
    with pytest.raises(Unavailable):
        await flaky(monkeypatch, posting).post("/x")
    assert posting.calls == 1


async def test_repeating_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    down = Flaky(99)
    with pytest.raises(Unavailable):
        await flaky(monkeypatch, down).get("/x")
    assert down.calls == 3


async def test_a_slow_answer_is_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Flaky(1, httpx.ReadTimeout)
    with pytest.raises(Unavailable, match="did not answer in time"):
        await flaky(monkeypatch, slow).get("/x")
    assert slow.calls == 1
