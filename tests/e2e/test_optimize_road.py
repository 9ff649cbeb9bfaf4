"""A problem that brings everything along goes from the gateway to the scheduler and back, at once or as a job."""

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from api_gateway.app import create_app as create_gateway
from api_gateway.optimize.schemas import ANSWER, EXAMPLE
from api_gateway.settings import GatewaySettings
from flexcore.accounts import service as accounts
from flexcore.credentials import repository as credentials
from flexcore.credentials.secrets import digest, new_token
from flexcore.users import service as users
from flexserve import service_token
from flexserve.service_client import ServiceClient
from flexstore.store import Store
from flexwork import job_runner, jobs
from platforms import Platform
from scheduler.app import create_app as create_scheduler
from scheduler.settings import SchedulerSettings
from scheduler.tasks import make_handler, record_failure

URL = "/api/v1/optimize"
CASES = Path(__file__).parents[2] / "services" / "scheduler" / "tests" / "cases"
Open = Callable[..., AbstractAsyncContextManager[tuple[httpx.AsyncClient, Store]]]


def problem(name: str) -> tuple[dict[str, Any], float]:
    """One of the scheduler's cases as a message, and what its energy costs."""
    case = json.loads((CASES / f"{name}.json").read_text())
    trigger, sensors = case["trigger"], case["sensors"]
    series = {
        name: {
            "unit": sensor["unit"],
            "resolution": sensor["resolution"],
            "start": sensor["data"][0]["start"],
            "values": unpacked(sensor["data"][0]["values"]),
        }
        for name, sensor in sensors.items()
        if "data" in sensor
    }
    entries = [{**entry, "name": entry["sensor"]} for entry in trigger["flex-model"]]
    for entry in entries:
        del entry["sensor"]
    message = {key: trigger[key] for key in ("start", "duration", "flex-context")}
    return message | {"flex-model": entries, "series": series}, case["expect"]["some-costs"]["electricity net energy"]


def unpacked(values: list[Any]) -> list[float]:
    return [one for value in values for one in ([value[0]] * value[1] if isinstance(value, list) else [value])]


GOLDEN = [problem("g01-toy-battery"), problem("g04-toy-solar-and-battery")]


@pytest.fixture
def opened(database_url: str) -> Open:
    """The gateway and the scheduler in this process, and somebody who is logged in."""

    @asynccontextmanager
    async def open_them(optimize_sync_seconds: float = 2.0) -> AsyncIterator[tuple[httpx.AsyncClient, Store]]:
        token, store = service_token.generate_token(), await Store.connect(database_url)
        back = create_scheduler(SchedulerSettings(service_token=token, optimize_sync_seconds=optimize_sync_seconds))
        front = create_gateway(
            GatewaySettings(database_url=database_url, service_token=token),
            ingest=ServiceClient("ingest", "http://nowhere", token),
            scheduler=ServiceClient("scheduler", back, token),
            store=store,
        )
        key = new_token()
        async with store.transaction() as con:
            user = await users.create(con, None, await accounts.create(con, None, "a"), "a@example.com", "a", "")
            await credentials.add_token(con, user, digest(key), timedelta(days=1))
        async with (
            front.router.lifespan_context(front),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(front), base_url="http://gateway", headers={"Authorization": key}
            ) as client,
        ):
            yield client, store
        await store.close()

    return open_them


@pytest.mark.parametrize(("message", "cost"), GOLDEN)
async def test_an_answer_at_once(opened: Open, message: dict[str, Any], cost: float) -> None:
    async with opened() as (client, store):
        answer = await client.post(URL, json=message)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert found["costs"]["electricity net energy"] == pytest.approx(cost, rel=1e-6)
        assert found["schedules"].keys() == {entry["name"] for entry in message["flex-model"]}
        assert found["explanation"]["sentences"]
        async with store.connection() as con:
            assert await con.fetchval("select count(*) from job") == 0
            assert await con.fetchval("select count(*) from belief") == 0


@pytest.mark.parametrize(("message", "cost"), GOLDEN)
async def test_an_answer_from_a_job(opened: Open, message: dict[str, Any], cost: float) -> None:
    async with opened(optimize_sync_seconds=0) as (client, store):
        answer = await client.post(URL, json=message)
        assert answer.status_code == 202, answer.text
        where = answer.headers["location"]
        assert (await client.get(where)).status_code == 202
        await work(store, answer.json()["job"])
        found = await client.get(where)
        assert found.status_code == 200, found.text
        assert found.json()["costs"]["electricity net energy"] == pytest.approx(cost, rel=1e-6)
        assert (await client.get(f"/api/v3_0/jobs/{answer.json()['job']}")).json()["status"] == "FINISHED"


async def work(store: Store, job: str) -> None:
    await job_runner.run(store, UUID(job), make_handler(SchedulerSettings()), on_failure=record_failure)


async def test_what_cannot_be_is_said_at_once(opened: Open) -> None:
    message, _ = problem("g01-toy-battery")
    message["flex-model"][0]["power-capacity"] = "1 kW"
    message["flex-model"][0]["soc-targets"] = [{"datetime": "2026-01-13T08:00:00+01:00", "value": "450 kWh"}]
    message["flex-context"]["relax-constraints"] = False
    sentence = "battery power cannot reach 450 kWh at 2026-01-13 07:00 UTC from 225 kWh at the start"
    async with opened() as (client, _):
        answer = await client.post(URL, json=message)
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert sentence in answer.json()["detail"]
        assert sentence in answer.json()["fields"]["_schema"][0]


async def test_a_job_that_fails_says_why(opened: Open) -> None:
    message, _ = problem("g01-toy-battery")
    message["series"]["price"]["values"] = []
    async with opened(optimize_sync_seconds=0) as (client, store):
        answer = await client.post(URL, json=message)
        await work(store, answer.json()["job"])
        found = await client.get(answer.headers["location"])
        assert found.status_code == 422
        assert "sensor 'price'" in found.json()["detail"]
        async with store.connection() as con:
            job = await jobs.get(con, UUID(answer.json()["job"]))
        assert job is not None
        assert job.status == "FAILED"


async def test_the_examples_are_so(opened: Open) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "optimize.md").read_text()
    (written,) = re.findall(r"```json\n(.*?)```", page, flags=re.DOTALL)
    assert json.loads(written) == EXAMPLE
    async with opened() as (client, _):
        found = (await client.post(URL, json=EXAMPLE)).json()
    assert found.keys() == ANSWER.keys()
    for key in ("status", "window", "currency", "schedules", "state-of-charge", "gap", "warnings"):
        assert found[key] == ANSWER[key]
    assert found["total"] == pytest.approx(ANSWER["total"], abs=0.001)


def test_however_the_platform_runs(platform: Platform) -> None:
    message, cost = problem("g01-toy-battery")
    with platform.login() as client:
        answer = client.post(URL, json=message)
        assert answer.status_code == 200, answer.text
        assert answer.json()["costs"]["electricity net energy"] == pytest.approx(cost, rel=1e-6)
        refused = client.post(URL, json=message | {"start": "noon"})
        assert (refused.status_code, refused.json()["fields"]) == (422, {"start": ["Not a valid datetime."]})
