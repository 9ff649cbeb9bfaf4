"""Every request has an id, a log line, and a response by orjson."""

import math
from typing import Any
from uuid import UUID

import httpx
import numpy as np
import pytest
from fastapi import APIRouter
from fixture_types import ClientFor, LogLines
from flexserve import logs
from flexserve.app import create_app
from flexserve.responses import OrjsonResponse
from flexserve.settings import ServiceSettings
from pydantic import BaseModel


class Model(BaseModel):
    value: float


@pytest.fixture
def client(settings: ServiceSettings, client_for: ClientFor) -> httpx.AsyncClient:
    router = APIRouter()

    @router.get("/who")
    async def who() -> dict[str, Any]:
        return {"request_id": logs.current("request_id"), "service": logs.current("service")}

    @router.get("/arrays")
    async def arrays() -> OrjsonResponse:
        values = np.array([1.5, math.nan, math.inf])
        return OrjsonResponse({"values": values, 7: UUID(int=1)})

    @router.get("/plain")
    async def plain() -> dict[str, float]:
        return {"value": math.nan}

    @router.get("/model")
    async def model() -> Model:
        return Model(value=2)

    app = create_app(settings, service="testing", title="Testing", routers=[router])
    return client_for(app)


async def test_what_can_be_got_can_be_asked_for_without_content(client: httpx.AsyncClient) -> None:
    got, asked = await client.get("/plain"), await client.head("/plain")
    assert (asked.status_code, asked.content) == (200, b"")
    assert asked.headers["content-length"] == got.headers["content-length"]
    assert 'method="HEAD",route="/plain",service="testing",status="200"' in (await client.get("/metrics")).text
    assert (await client.head("/nowhere")).status_code == 404


async def test_a_request_has_an_id(client: httpx.AsyncClient) -> None:
    given = await client.get("/who", headers={"X-Request-ID": "trace-me.1"})
    assert given.headers["x-request-id"] == given.json()["request_id"] == "trace-me.1"
    made = await client.get("/who")
    assert made.headers["x-request-id"] == made.json()["request_id"] != "trace-me.1"
    assert len(made.headers["x-request-id"]) == 16


@pytest.mark.parametrize("odd", ["a b", "x" * 200, 'a"b', "\t"])
async def test_an_odd_request_id_is_not_taken_over(odd: str, client: httpx.AsyncClient) -> None:
    assert (await client.get("/who", headers={"X-Request-ID": odd})).headers["x-request-id"] != odd


async def test_a_request_is_one_log_line(client: httpx.AsyncClient, log_lines: LogLines) -> None:
    await client.get("/who?token=hush", headers={"X-Request-ID": "r1"})
    [line] = [line for line in log_lines() if line["event"] == "request"]
    assert (line["method"], line["path"], line["status"], line["request_id"]) == ("GET", "/who", 200, "r1")
    assert line["ms"] >= 0 and line["level"] == "info" and "hush" not in str(line)


async def test_health_and_metrics_are_logged_quietly(client: httpx.AsyncClient, log_lines: LogLines) -> None:
    await client.get("/health/live")
    await client.get("/metrics")
    assert {line["level"] for line in log_lines() if line["event"] == "request"} == {"debug"}


async def test_the_ids_end_with_the_request(client: httpx.AsyncClient) -> None:
    with logs.bound(request_id="outer"):
        assert (await client.get("/who")).json()["service"] == "testing"
        assert logs.current("request_id") == "outer"
    assert logs.current("service") is None


async def test_answers_are_json_whatever_is_in_them(client: httpx.AsyncClient) -> None:
    arrays = await client.get("/arrays")
    assert arrays.json() == {"values": [1.5, None, None], "7": str(UUID(int=1))}
    assert (await client.get("/plain")).json() == {"value": None}
    assert (await client.get("/model")).text == '{"value":2.0}'
