"""Acknowledged work survives whatever happens to the processes it passes through: it is done, and done once."""

import signal
from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import uuid4

import asyncpg
import httpx
import pytest
from platforms import Platform, separate_processes
from rabbitmq import RabbitBroker
from waiting import eventually

START = datetime.fromisoformat("2026-11-22T00:00:00+01:00")
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitBroker]:
    with RabbitBroker(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(scope="module")
def services(
    tmp_path_factory: pytest.TempPathFactory, module_database_url: str, broker: RabbitBroker
) -> Iterator[Platform]:
    running = separate_processes(tmp_path_factory.mktemp("platform"), module_database_url, broker.url)
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def platform(services: Platform) -> Iterator[Platform]:
    """Gateway and ingest with a broker of their own; workers are each test's to start."""
    kept = set(services.processes)
    try:
        yield services
    finally:
        for name in set(services.processes) - kept:
            services.kill(name)


def create(client: httpx.Client, path: str, **body: object) -> int:
    answer = client.post(f"/api/v3_0/{path}", json=body)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def trigger(client: httpx.Client, devices: int, step: str = "PT15M") -> tuple[str, list[int]]:
    """Ask for a day's schedule of so many batteries on a new site: the job and the power sensors."""
    account = client.get("/api/v3_0/accounts").json()[0]["id"]
    site = create(client, "assets", name=f"site {uuid4().hex[:8]}", account_id=account, generic_asset_type_id=6)
    price = create(client, "sensors", name="price", unit="EUR/MWh", event_resolution="PT1H", generic_asset_id=site)
    values = [round(60 + 40 * ((h * 37 % 24) / 24) + h % 5, 2) for h in range(24)]
    data = {"start": START.isoformat(), "duration": "PT24H", "values": values, "unit": "EUR/MWh"}
    stored = client.post(f"/api/v3_0/sensors/{price}/data", json=data)
    assert stored.status_code == 200, stored.text
    sensors = []
    for number in range(devices):
        battery = create(
            client,
            "assets",
            name=f"battery {number}",
            account_id=account,
            generic_asset_type_id=5,
            parent_asset_id=site,
        )
        sensors.append(
            create(client, "sensors", name="power", unit="kW", event_resolution=step, generic_asset_id=battery)
        )
    message = {
        "start": START.isoformat(),
        "duration": "PT24H",
        "flex-model": [
            {
                "sensor": sensor,
                "soc-at-start": f"{10 + number} kWh",
                "soc-min": "5 kWh",
                "soc-max": f"{80 + number} kWh",
                "power-capacity": f"{20 + number % 7} kW",
                "roundtrip-efficiency": "90%",
            }
            for number, sensor in enumerate(sensors)
        ],
        "flex-context": {
            "consumption-price": {"sensor": price},
            "site-power-capacity": f"{6 * devices} kW",
            "site-peak-consumption-price": "20 EUR/MW",
        },
    }
    answer = client.post(f"/api/v3_0/assets/{site}/schedules/trigger", json=message)
    assert answer.status_code == 202, answer.text
    return answer.json()["schedule"], sensors


def status(client: httpx.Client, job: str) -> str:
    return str(client.get(f"/api/v3_0/jobs/{job}").json()["status"])


def finished(client: httpx.Client, job: str, seconds: float = 60) -> None:
    def done() -> bool:
        now = status(client, job)
        assert now != "FAILED", client.get(f"/api/v3_0/jobs/{job}").text
        return now == "FINISHED"

    eventually(done, "the job being finished", seconds)


async def stored_once(database_url: str, job: str, sensors: list[int], steps: int) -> int:
    """Assert that every sensor has its schedule exactly once; how many attempts the job took."""
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch(
            "select sensor_id, cardinality(event_values) from schedule where job_id = $1", job
        )
        assert sorted(tuple(row) for row in rows) == [(sensor, steps) for sensor in sensors]
        beliefs = await connection.fetchval("select count(*) from belief where sensor_id = any($1)", sensors)
        assert beliefs == steps * len(sensors)
        attempts = await connection.fetchval("select attempts from job where id = $1", job)
    finally:
        await connection.close()
    return int(attempts)


async def test_worker_killed_in_the_middle_of_a_solve(platform: Platform, module_database_url: str) -> None:
    worker = platform.start("worker", "worker", "schedule", FLEXMESH_PORT="0")
    client = platform.login()
    job, sensors = trigger(client, devices=20, step="PT5M")
    eventually(lambda: status(client, job) == "STARTED", "the worker having started")
    worker.send_signal(signal.SIGSTOP)  # so that it is certainly still at it when it is killed
    assert status(client, job) == "STARTED"
    platform.kill("worker")
    platform.start("successor", "worker", "schedule", FLEXMESH_PORT="0")
    finished(client, job)
    assert await stored_once(module_database_url, job, sensors, 288) == 2


async def test_worker_thought_dead_comes_back(platform: Platform, module_database_url: str) -> None:
    """A worker that was frozen and overtaken must not store its schedule a second time."""
    frozen = platform.start("worker", "worker", "schedule", FLEXMESH_PORT="0")
    client = platform.login()
    job, sensors = trigger(client, devices=20, step="PT5M")
    eventually(lambda: status(client, job) == "STARTED", "the worker having started")
    frozen.send_signal(signal.SIGSTOP)
    assert status(client, job) == "STARTED"
    platform.start("successor", "worker", "schedule", FLEXMESH_PORT="0")
    finished(client, job, 120)  # the broker has to notice first that the frozen one takes no messages
    frozen.send_signal(signal.SIGCONT)
    again, more = trigger(client, devices=1)
    finished(client, again)
    assert await stored_once(module_database_url, job, sensors, 288) == 2
    assert await stored_once(module_database_url, again, more, 96) == 1


async def test_broker_stopped_between_trigger_and_work(
    platform: Platform, broker: RabbitBroker, module_database_url: str
) -> None:
    client = platform.login()
    before, sensors_before = trigger(client, devices=1)
    broker.stop()
    while_away, sensors_away = trigger(client, devices=1)  # still accepted: the job is stored
    ready = client.get("/health/ready")
    assert ready.status_code == 503
    assert "broker" in ready.text
    assert ready.headers["Retry-After"]
    platform.start("worker", "worker", "schedule", FLEXMESH_PORT="0")
    assert {status(client, before), status(client, while_away)} == {"QUEUED"}
    broker.start()
    for job, sensors in ((before, sensors_before), (while_away, sensors_away)):
        finished(client, job)
        assert await stored_once(module_database_url, job, sensors, 96) == 1
    eventually(lambda: client.get("/health/ready").status_code == 200, "the gateway being ready again")


async def test_worker_asked_to_stop_gives_its_job_to_the_next(platform: Platform, module_database_url: str) -> None:
    worker = platform.start("worker", "worker", "schedule", FLEXMESH_PORT="0", FLEXMESH_SHUTDOWN_GRACE="0")
    client = platform.login()
    job, sensors = trigger(client, devices=20, step="PT5M")
    eventually(lambda: status(client, job) == "STARTED", "the worker having started")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    platform.start("successor", "worker", "schedule", FLEXMESH_PORT="0")
    finished(client, job)
    assert await stored_once(module_database_url, job, sensors, 288) == 1
