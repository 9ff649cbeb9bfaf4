"""Errors of every kind as problem details, and in the style of their path."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import APIRouter
from fixture_types import ClientFor, LogLines
from flexmodel.errors import Conflict, FlexmeshError, Forbidden, Invalid, NotFound, Unavailable
from flexserve.app import create_app
from flexserve.errors import Failure, raise_for_status
from flexserve.settings import ServiceSettings
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import Scope

KINDS: dict[str, tuple[Exception, int]] = {
    "invalid": (Invalid({"flex-model": {"soc-at-start": ["Missing unit."]}}), 422),
    "absent": (NotFound("There is no sensor 7."), 404),
    "forbidden": (Forbidden("Sensor 7 belongs to another account."), 403),
    "conflict": (Conflict("There is an asset of this name."), 409),
    "away": (Unavailable("database", retry_after=3.2), 503),
    "other": (FlexmeshError("This cannot be."), 400),
    "http": (HTTPException(418, "Short and stout.", {"X-Pot": "tea"}), 418),
    "odd": (HTTPException(599, "Odd."), 599),
}


class Payload(BaseModel):
    power: float
    password: int | None = None


def routes() -> APIRouter:
    router = APIRouter()

    @router.get("/raise/{kind}")
    async def fail(kind: str) -> None:
        raise KINDS[kind][0]

    @router.get("/crash")
    async def crash() -> None:
        raise RuntimeError("postgresql://me:hush@db says no")

    @router.post("/payload")
    async def payload(payload: Payload, horizon: int = 1) -> Payload:
        return payload

    return router


def envelope(failure: Failure, scope: Scope) -> JSONResponse:
    return JSONResponse({"message": failure.detail, "status": type(failure.error).__name__}, failure.status)


@pytest.fixture
def client(settings: ServiceSettings, client_for: ClientFor) -> httpx.AsyncClient:
    styled = APIRouter(prefix="/api/old")
    styled.include_router(routes())
    app = create_app(
        settings,
        service="testing",
        title="Testing",
        routers=[routes(), styled],
        error_styles={"/api/old": envelope},
        max_body_bytes=200,
    )
    return client_for(app)


@pytest.mark.parametrize("kind", KINDS)
async def test_kinds_become_problems(kind: str, client: httpx.AsyncClient) -> None:
    error, status = KINDS[kind]
    response = await client.get(f"/raise/{kind}")
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert isinstance(error, FlexmeshError | HTTPException)
    expected = error.message if isinstance(error, FlexmeshError) else error.detail
    assert (body["status"], body["detail"], body["instance"]) == (status, expected, f"/raise/{kind}")
    assert body["type"] == "about:blank" and body["title"]
    assert body["request_id"] == response.headers["x-request-id"]


async def test_details_of_some_kinds(client: httpx.AsyncClient) -> None:
    invalid = (await client.get("/raise/invalid")).json()
    assert invalid["fields"] == {"flex-model": {"soc-at-start": ["Missing unit."]}}
    assert (await client.get("/raise/away")).headers["retry-after"] == "4"
    assert (await client.get("/raise/http")).headers["x-pot"] == "tea"


async def test_wrong_input_names_field_value_and_mend(client: httpx.AsyncClient) -> None:
    response = await client.post("/payload?horizon=soon", json={"power": "much", "password": "hush"})
    assert response.status_code == 422
    fields = response.json()["fields"]
    assert "valid number" in fields["power"][0] and "(got 'much')" in fields["power"][0]
    assert "valid integer" in fields["horizon"][0]
    assert "hush" not in response.text
    missing = (await client.post("/payload", json={})).json()
    assert missing["fields"] == {"power": ["Field required"]}
    broken = (await client.post("/payload", content='{"power": ', headers={"Content-Type": "application/json"})).json()
    assert "not valid JSON" in broken["fields"]["body"][0]


async def test_not_found_and_wrong_method(client: httpx.AsyncClient) -> None:
    for response, status in ((await client.get("/nowhere"), 404), (await client.get("/payload"), 405)):
        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"


async def test_the_unforeseen_is_logged_and_not_told(client: httpx.AsyncClient, log_lines: LogLines) -> None:
    response = await client.get("/crash", headers={"X-Request-ID": "abc-1"})
    assert response.status_code == 500
    assert response.json()["request_id"] == "abc-1"
    assert "RuntimeError" not in response.text and "postgresql" not in response.text
    logged = [line for line in log_lines() if line["event"] == "unexpected error"]
    assert len(logged) == 1
    assert "RuntimeError" in logged[0]["exception"] and logged[0]["request_id"] == "abc-1"
    assert "hush" not in logged[0]["exception"]


async def test_the_foreseen_is_not_logged_as_a_mistake(client: httpx.AsyncClient, log_lines: LogLines) -> None:
    assert (await client.get("/raise/away")).status_code == 503
    assert not [line for line in log_lines() if line["event"] == "unexpected error"]


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("GET", "/api/old/raise/absent", 404, "NotFound"),
        ("GET", "/api/old/crash", 500, "RuntimeError"),
        ("GET", "/api/old/nowhere", 404, "HTTPException"),
        ("POST", "/api/old/payload", 422, "RequestValidationError"),
    ],
)
async def test_a_path_may_have_its_own_style(
    method: str, path: str, status: int, name: str, client: httpx.AsyncClient
) -> None:
    response = await client.request(method, path)
    assert (response.status_code, response.json()["status"]) == (status, name)


async def test_a_style_ends_with_its_path(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/older")).headers["content-type"] == "application/problem+json"


async def test_a_body_that_is_too_large(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"0123456789"

    announced = await client.post("/payload", content=b"x" * 300, headers={"Content-Type": "application/json"})
    chunked = await client.post("/payload", content=chunks(), headers={"Content-Type": "application/json"})
    styled = await client.post("/api/old/payload", content=b"x" * 300, headers={"Content-Type": "application/json"})
    for response in (announced, chunked):
        assert response.status_code == 413
        assert "at most 0.0002 MB" in response.json()["detail"]
    assert (styled.status_code, styled.json()["status"]) == (413, "HTTPException")


def raise_again(response: httpx.Response) -> None:
    raise_for_status(response.status_code, response.content, response.headers, "GET /somewhere")


@pytest.mark.parametrize("kind", ["invalid", "absent", "forbidden", "conflict", "away", "other"])
async def test_a_problem_can_be_raised_again(kind: str, client: httpx.AsyncClient) -> None:
    error = KINDS[kind][0]
    response = await client.get(f"/raise/{kind}")
    with pytest.raises(type(error)) as raised:
        raise_again(response)
    assert str(raised.value) == str(error)
    if isinstance(error, Invalid):
        assert isinstance(raised.value, Invalid)
        assert raised.value.fields == error.fields


async def test_what_is_our_own_fault_becomes_a_bad_gateway(client: httpx.AsyncClient) -> None:
    with pytest.raises(HTTPException) as raised:
        raise_again(await client.get("/crash"))
    assert raised.value.status_code == 502
    raise_again(await client.get("/health/live"))
