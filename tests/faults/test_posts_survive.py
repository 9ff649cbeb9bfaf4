"""Values posted by many at once while ingest and the database are killed: what was acknowledged is there, once."""

import asyncio
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from flexmesh.data_directory import DataDirectory
from flexmesh.postgres import Postgres
from platforms import Platform, separate_processes
from waiting import eventually

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
WRITERS, SENSORS, EVENTS = 16, 3, 100
CALM, LEAST_POSTS = 0.7, 20

type Value = tuple[int, datetime, datetime, float]
"""Sensor, event, belief time, value."""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Postgres]:
    """A PostgreSQL of its own that keeps what it has committed, to be killed."""
    directory = DataDirectory(tmp_path / "database")
    directory.create()
    server = Postgres(directory)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def platform(tmp_path: Path, database: Postgres, amqp_url: str) -> Iterator[Platform]:
    running = separate_processes(tmp_path, database.url, amqp_url)
    try:
        yield running
    finally:
        running.stop()


def crash(database: Postgres) -> None:
    """Kill the server as a power cut would, and wait until it is there again."""
    assert database.process is not None
    database.process.send_signal(signal.SIGKILL)
    database.process.wait(10)
    eventually(lambda: answers(database.url), "PostgreSQL was started again")


def answers(url: str) -> bool:
    try:
        asyncio.run(stored(url))
    except (OSError, asyncpg.PostgresError):
        return False
    return True


@dataclass
class Writers:
    """Sixteen clients that post overlapping windows, each until it was told that the window is stored."""

    url: str
    token: str
    sensors: list[int]
    acknowledged: set[Value] = field(default_factory=set)
    posts: Counter[int] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    enough: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        async with httpx.AsyncClient(base_url=self.url, headers={"Authorization": self.token}, timeout=30) as client:
            await asyncio.gather(*(self._write(client, writer) for writer in range(WRITERS)))

    async def _write(self, client: httpx.AsyncClient, writer: int) -> None:
        dice = random.Random(writer)
        while not (self.enough.is_set() and self.posts[writer] >= LEAST_POSTS):
            number = self.posts[writer]
            sensor, first, length = dice.choice(self.sensors), dice.randrange(EVENTS), dice.choice((1, 2, 24, 120))
            # A value tells who posted it, where to and when; belief times are different for each post.
            value = float(sensor * 10_000_000 + writer * 100_000 + number)
            believed = START - timedelta(seconds=writer * 100_000 + number)
            message = {
                "start": (START + first * HOUR).isoformat(),
                "duration": f"PT{length}H",
                "values": [value] * length,
                "unit": "kW",
                "prior": believed.isoformat(),
            }
            await self._until_stored(client, sensor, message)
            self.posts[writer] += 1
            self.acknowledged |= {(sensor, START + (first + i) * HOUR, believed, value) for i in range(length)}

    async def _until_stored(self, client: httpx.AsyncClient, sensor: int, message: dict[str, Any]) -> None:
        while True:
            answer = await client.post(f"/api/v3_0/sensors/{sensor}/data", json=message)
            if answer.status_code == 200:
                return
            assert answer.status_code == 503, answer.text
            assert answer.headers["Retry-After"]
            self.refusals[answer.json()["message"]] += 1
            await asyncio.sleep(0.2)


async def stored(url: str) -> list[Value]:
    con = await asyncpg.connect(url)
    try:
        rows = await con.fetch("select sensor_id, event_start, belief_time, event_value from belief")
    finally:
        await con.close()
    return [tuple(row) for row in rows]


def test_no_acknowledged_value_is_lost_or_doubled(platform: Platform, database: Postgres) -> None:
    with platform.login() as client:
        account = client.get("/api/v3_0/accounts").json()[0]["id"]
        site = {"name": uuid4().hex, "account_id": account, "generic_asset_type_id": 6}
        asset = client.post("/api/v3_0/assets", json=site).json()["id"]
        meter = {"unit": "kW", "event_resolution": "PT1H", "generic_asset_id": asset}
        sensors = [
            client.post("/api/v3_0/sensors", json=meter | {"name": f"meter {number}"}).json()["id"]
            for number in range(SENSORS)
        ]
        writers = Writers(platform.url, client.headers["Authorization"], sensors)
    before = set(asyncio.run(stored(database.url)))
    thread = threading.Thread(target=writers.run)
    thread.start()
    port = platform.environment["FLEXMESH_INGEST_URL"].rpartition(":")[2]
    for faults in (["ingest"], ["database"], ["ingest", "database"]):
        time.sleep(CALM)
        if "ingest" in faults:
            platform.kill("ingest")
        if "database" in faults:
            crash(database)
        if "ingest" in faults:
            time.sleep(0.1)
            platform.start("ingest", "serve", "ingest", "--port", port)
            platform.until_ready("ingest", int(port))
    time.sleep(CALM)
    writers.enough.set()
    thread.join(60)
    assert not thread.is_alive(), "the writers should have come to an end"
    assert min(writers.posts[writer] for writer in range(WRITERS)) >= LEAST_POSTS, "a writer gave up"
    assert writers.refusals, "the writers should have noticed something"

    found = [value for value in asyncio.run(stored(database.url)) if value not in before]
    assert len(found) == len(set(found)), "a belief is there twice"
    assert set(found) == writers.acknowledged
