"""Metrics count requests, jobs and messages, with few label values."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from fixture_types import ClientFor
from flexserve import metrics
from flexserve.app import create_app
from flexserve.settings import ServiceSettings
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from starlette.responses import StreamingResponse


def app_for(settings: ServiceSettings, service: str) -> FastAPI:
    inner = APIRouter(prefix="/sensors")

    @inner.get("/{id}/data")
    async def data(id: int) -> int:
        return id

    @inner.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(3):
                await asyncio.sleep(0.02)
                yield b"x"

        return StreamingResponse(parts())

    outer = APIRouter(prefix="/api/v3_0")
    outer.include_router(inner)
    return create_app(settings, service=service, title="Testing", routers=[outer])


async def scrape(client: httpx.AsyncClient, name: str) -> dict[tuple[str, ...], float]:
    """Return the samples of one metric by their label values, without `service`."""
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    return {
        tuple(value for key, value in sample.labels.items() if key != "service"): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
        if sample.name == name
    }


async def test_requests_are_counted_by_route_template(settings: ServiceSettings, client_for: ClientFor) -> None:
    client = client_for(app_for(settings, "counting"))
    for path in ("/api/v3_0/sensors/1/data", "/api/v3_0/sensors/2/data", "/api/v3_0/sensors/x/data", "/a/b", "/c"):
        await client.get(path)
    await client.post("/api/v3_0/sensors/1/data")
    await client.request("BREW", "/a")
    counts = await scrape(client, "flexmesh_http_request_seconds_count")
    template = "/api/v3_0/sensors/{id}/data"
    assert counts[("GET", template, "200")] == 2
    assert counts[("GET", template, "422")] == 1
    assert counts[("GET", "unmatched", "404")] == 2
    assert counts[("POST", template, "405")] == 1
    assert counts[("other", "unmatched", "404")] == 1


async def test_a_stream_is_timed_to_its_end(settings: ServiceSettings, client_for: ClientFor) -> None:
    client = client_for(app_for(settings, "streaming"))
    await client.get("/api/v3_0/sensors/stream")
    sums = await scrape(client, "flexmesh_http_request_seconds_sum")
    assert sums[("GET", "/api/v3_0/sensors/stream", "200")] >= 0.06


async def test_process_and_build_are_shown(settings: ServiceSettings, client_for: ClientFor) -> None:
    text = (await client_for(app_for(settings, "building")).get("/metrics")).text
    assert 'flexmesh_build_info{python="3.' in text and 'service="building"' in text
    assert "process_cpu_seconds_total" in text


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_jobs_are_timed_and_counted_by_outcome() -> None:
    with metrics.job("toast"):
        assert value("flexmesh_jobs_in_flight", queue="toast") == 1
    with metrics.job("toast") as outcome:
        outcome.value = "returned"
    with pytest.raises(ValueError), metrics.job("toast"):
        raise ValueError
    for name in ("done", "returned", "failed"):
        assert value("flexmesh_job_seconds_count", queue="toast", outcome=name) == 1
    assert value("flexmesh_jobs_in_flight", queue="toast") == 0


async def test_a_sampler_that_fails_or_hangs_does_no_harm(
    settings: ServiceSettings, client_for: ClientFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics.QUEUE_LENGTH.clear()

    async def works() -> None:
        metrics.QUEUE_LENGTH.labels("bake").set(7)

    async def fails() -> None:
        raise RuntimeError

    async def hangs() -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(metrics, "samplers", {fails, hangs, works})
    client = client_for(app_for(settings, "sampling"))
    assert await scrape(client, "flexmesh_queue_messages") == {("bake",): 7.0}


async def test_probes_do_not_count_as_requests(settings: ServiceSettings, client_for: ClientFor) -> None:
    client = client_for(app_for(settings, "probing"))
    await client.get("/health/ready")
    await client.get("/metrics")
    assert 'service="probing",status' not in (await client.get("/metrics")).text
