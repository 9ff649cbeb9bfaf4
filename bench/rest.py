"""Measure a running platform through its public REST API, as a client sees it.

    python bench/rest.py                      start a platform of its own in a temporary folder and measure it
    python bench/rest.py --base URL [--other URL]   measure one server, or two in turn with the ratio between them

Posted values count only when all of them can be read back; a schedule counts only when its values were read. The
client is a lean one, because it lives on the same processor as what it measures.
"""

import argparse
import asyncio
import json
import math
import os
import platform
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import aiohttp
import orjson
import uvloop
from yarl import URL

EMAIL, PASSWORD = "toy-user@flexmeasures.io", "toy-password"
START = datetime(2026, 3, 2, tzinfo=UTC)
YEAR = 8760
"""Hours."""
QUARTER = timedelta(minutes=15)


def prices(count: int, step: timedelta) -> list[float]:
    """A day-night swing, a faster ripple and some noise: no ties, no flat stretch."""
    hours = [i * step / timedelta(hours=1) for i in range(count)]
    return [
        round(85 + 45 * math.sin((h - 9) * math.tau / 24) + 15 * math.cos(h * math.tau / 5) + 2 * (i * 31 % 17), 2)
        for i, h in enumerate(hours)
    ]


def iso(duration: timedelta) -> str:
    return f"PT{round(duration.total_seconds() / 60)}M"


@dataclass
class Client:
    """One logged-in user of one server, with the assets and sensors the figures need."""

    base: str
    http: aiohttp.ClientSession
    account: int = 0
    site: int = 0
    price: dict[timedelta, int] = field(default_factory=dict)
    meter: int = 0
    batteries: list[int] = field(default_factory=list)
    fine_battery: int = 0
    past: int = 0

    async def ask(self, method: str, path: str, json: object = None) -> tuple[int, bytes]:
        async with self.http.request(method, URL(self.base + path, encoded=True), json=json) as answer:
            return answer.status, await answer.read()

    async def call(self, method: str, path: str, json: object = None) -> dict[str, Any]:
        status, text = await self.ask(method, path, json)
        if status >= 300:
            sys.exit(f"{method} {path} answered {status}: {text[:300]!r}")
        content: dict[str, Any] = orjson.loads(text)
        return content

    async def set_up(self, devices: int) -> None:
        login = await self.call("POST", "/api/requestAuthToken", json={"email": EMAIL, "password": PASSWORD})
        self.http.headers["Authorization"] = login["auth_token"]
        self.account = (await self.call("GET", f"/api/v3_0/users/{login['user_id']}"))["account_id"]
        run = uuid4().hex[:8]
        self.site = await self.asset(f"bench site {run}")
        self.meter = await self.sensor(self.site, "meter", "kW", timedelta(hours=1))
        hour = timedelta(hours=1)
        await self.post(self.meter, START, hour, [float(i * 31 % 127) for i in range(YEAR)], "kW")
        await self.until_readable(self.meter, START, YEAR * hour, "kW")
        for step, count in ((QUARTER, 1400), (timedelta(minutes=5), 600)):
            self.price[step] = await self.sensor(self.site, f"price {iso(step)}", "EUR/MWh", step)
            await self.post(self.price[step], START, step, prices(count, step), "EUR/MWh")
            await self.until_readable(self.price[step], START, count * step, "EUR/MWh")
        self.fine_battery = await self.sensor(self.site, "fine power", "kW", timedelta(minutes=5))
        for number in range(devices):
            battery = await self.asset(f"battery {number} {run}", parent=self.site)
            self.batteries.append(await self.sensor(battery, "power", "kW", QUARTER))

    async def asset(self, name: str, parent: int | None = None) -> int:
        body: dict[str, Any] = {"name": name, "account_id": self.account, "generic_asset_type_id": 5}
        body |= {"latitude": 52.4, "longitude": 4.9} | ({"parent_asset_id": parent} if parent else {})
        return int((await self.call("POST", "/api/v3_0/assets", json=body))["id"])

    async def sensor(self, asset: int, name: str, unit: str, step: timedelta) -> int:
        body = {"name": name, "unit": unit, "event_resolution": iso(step), "generic_asset_id": asset}
        return int((await self.call("POST", "/api/v3_0/sensors", json=body))["id"])

    async def post(self, sensor: int, start: datetime, step: timedelta, values: list[float], unit: str) -> None:
        body = {"start": start.isoformat(), "duration": iso(step * len(values)), "values": values, "unit": unit}
        await self.call("POST", f"/api/v3_0/sensors/{sensor}/data", json=body | {"horizon": "PT0M"})

    async def read(self, sensor: int, start: datetime, duration: timedelta, unit: str) -> list[float | None]:
        query = urlencode({"start": start.isoformat(), "duration": iso(duration), "unit": unit})
        return list((await self.call("GET", f"/api/v3_0/sensors/{sensor}/data?{query}"))["values"])

    async def until_readable(self, sensor: int, start: datetime, duration: timedelta, unit: str) -> None:
        deadline = time.monotonic() + 240
        while any(value is None for value in await self.read(sensor, start, duration, unit)):
            if time.monotonic() > deadline:
                sys.exit(f"what was posted to sensor {sensor} from {start} on cannot be read after 240 s")
            await asyncio.sleep(0.02)

    def device(self, number: int) -> dict[str, str]:
        return {
            "soc-at-start": f"{15 + 7 * number % 40} kWh",
            "soc-min": "5 kWh",
            "soc-max": f"{80 + 3 * number % 30} kWh",
            "power-capacity": f"{18 + number % 17} kW",
            "roundtrip-efficiency": "90%",
        }

    async def trigger(self, devices: int, steps: int, step: timedelta) -> tuple[int, str]:
        """Trigger one schedule; the sensor to read it from and its id."""
        price = {"sensor": self.price[step]}
        context = {"consumption-price": price, "production-price": price}
        message: dict[str, Any] = {"start": START.isoformat(), "duration": iso(step * steps)}
        message["force-new-job-creation"] = True
        if devices == 1:
            sensor = self.batteries[0] if step == QUARTER else self.fine_battery
            message |= {"flex-model": self.device(0), "flex-context": context | {"site-power-capacity": "1 MW"}}
            path = f"/api/v3_0/sensors/{sensor}/schedules/trigger"
        else:
            sensor = self.batteries[0]
            model = [{"sensor": s} | self.device(n) for n, s in enumerate(self.batteries[:devices])]
            message |= {"flex-model": model}
            message |= {"flex-context": context | {"site-power-capacity": f"{6 * devices} kW"}}
            path = f"/api/v3_0/assets/{self.site}/schedules/trigger"
        return sensor, str((await self.call("POST", path, json=message))["schedule"])

    async def schedule(self, sensor: int, job: str, duration: timedelta) -> list[float]:
        """Wait for the schedule and read it."""
        deadline = time.monotonic() + 280
        while time.monotonic() < deadline:
            path = f"/api/v3_0/sensors/{sensor}/schedules/{job}?duration={iso(duration)}"
            status, text = await self.ask("GET", path)
            if status == 200:
                return list(orjson.loads(text)["values"])
            if status >= 400 and b"job failed" in text:
                sys.exit(f"schedule {job} failed: {text[:300]!r}")
            await asyncio.sleep(0.01)
        sys.exit(f"schedule {job} is not there after 280 s")


async def rate(count: int, connections: int, work: Callable[[int], Awaitable[Any]]) -> float:
    """Return how many times per second `work` runs with so many callers at once."""
    numbers = iter(range(count))

    async def caller() -> None:
        for number in numbers:
            await work(number)

    begin = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(connections)))
    return count / (time.perf_counter() - begin)


async def posting(client: Client, size: int, count: int, connections: int) -> float:
    """Posts per second, until every value can be read back, a year or less at a time."""
    client.past += 1
    hour, base = timedelta(hours=1), START - timedelta(days=4000 * client.past)
    values = [float(i * 29 % 113) for i in range(size)]
    begin = time.perf_counter()
    await rate(count, connections, lambda i: client.post(client.meter, base + i * size * hour, hour, values, "kW"))
    total = size * count
    for first in range(0, total, YEAR):
        await client.until_readable(client.meter, base + first * hour, min(YEAR, total - first) * hour, "kW")
    return count / (time.perf_counter() - begin)


async def triggering(client: Client, count: int) -> float:
    """Median seconds until a trigger is accepted, one at a time."""
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        job = await client.trigger(1, 96, QUARTER)
        times.append(time.perf_counter() - begin)
        await client.schedule(*job, 96 * QUARTER)
    return statistics.median(times)


async def scheduling(client: Client, devices: int, steps: int, step: timedelta, repeats: int) -> float:
    """Median seconds from trigger to values read."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        values = await client.schedule(*await client.trigger(devices, steps, step), steps * step)
        times.append(time.perf_counter() - begin)
        if len(values) < min(steps, 192):  # the reference cuts one read at two days
            sys.exit(f"{len(values)} values came back where {steps} were scheduled")
    return statistics.median(times)


async def queueing(client: Client, count: int) -> float:
    """Single-battery schedules per second, all triggered at once."""
    begin = time.perf_counter()
    jobs = [await client.trigger(1, 96 + n % 3, QUARTER) for n in range(count)]
    for job in jobs:
        await client.schedule(*job, 96 * QUARTER)
    return count / (time.perf_counter() - begin)


Figure = tuple[str, str, Callable[[Client], Awaitable[float]]]


async def reading(client: Client, size: int, count: int, connections: int) -> float:
    """Reads per second of values that were posted before, once all connections are open."""
    length = timedelta(hours=size)

    def read(_: int) -> Awaitable[Any]:
        return client.read(client.meter, START, length, "kW")

    await rate(4 * connections, connections, read)
    return await rate(count, connections, read)


def figures(devices: int, quick: bool) -> list[Figure]:
    """Return name, unit and measurement of every promised figure."""
    share, repeats = (4, 2) if quick else (1, 7)
    found: list[Figure] = []
    for verb, work, sizes in (
        ("post", posting, ((1, 2000), (96, 400), (8760, 8))),
        ("get", reading, ((96, 2000), (8760, 40))),
    ):
        for (size, count), connections in product(sizes, (1, 8)):
            measurement = partial(work, size=size, count=max(2, count // share), connections=connections)
            found.append((f"{verb} {size} values, {connections} connections", "1/s", measurement))
    for steps, step in ((96, QUARTER), (288, timedelta(minutes=5)), (672, QUARTER)):
        measurement = partial(scheduling, devices=1, steps=steps, step=step, repeats=repeats)
        found.append((f"schedule 1 x {steps}", "s", measurement))
    for number in (10, 100):
        if number <= devices:
            measurement = partial(scheduling, devices=number, steps=96, step=QUARTER, repeats=repeats // 2)
            found.append((f"schedule {number} x 96", "s", measurement))
    found.append(("trigger accepted", "s", partial(triggering, count=30 // share)))
    count = 40 // share
    found.append((f"queue of {count} schedules", "1/s", partial(queueing, count=count)))
    return found


@contextmanager
def own_platform() -> Iterator[str]:
    """A one-process platform in a temporary folder, for the length of the measurement."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="flexmesh-bench-") as folder, Path(folder, "log").open("w+") as log:
        settings = {"FLEXMESH_TRIGGERS_PER_MINUTE": "1000000", "FLEXMESH_LOG_LEVEL": "warning"}
        environment = os.environ | settings | {"FLEXMESH_DATA_DIR": folder + "/data"}
        command = [sys.executable, "-m", "flexmesh", "up", "--toy", "--port", str(port)]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            while "toy-user@" not in Path(log.name).read_text():  # it has printed the login: it serves
                if process.poll() is not None:
                    sys.exit(f"the platform did not start:\n{Path(log.name).read_text()}")
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(300),
        connector=aiohttp.TCPConnector(limit=32),
        cookie_jar=aiohttp.DummyCookieJar(),
        json_serialize=lambda body: orjson.dumps(body).decode(),
    )


async def measure(bases: list[str], devices: int, quick: bool, only: str | None) -> list[dict[str, Any]]:
    clients = [Client(base, session()) for base in bases]
    for client in clients:
        await client.set_up(devices)
    rows = []
    for name, unit, work in figures(devices, quick):
        if only and not re.search(only, name):
            continue
        row: dict[str, Any] = {"figure": name, "unit": unit, "values": [await work(client) for client in clients]}
        if len(clients) == 2:
            ours, theirs = row["values"]
            row["times better"] = ours / theirs if unit == "1/s" else theirs / ours
        rows.append(row)
        shown = "  ".join(f"{value:12.4g}" for value in row["values"])
        if len(clients) == 2:
            shown += f"  {row['times better']:8.1f} times better"
        print(f"{name:36} {unit:4} {shown}", flush=True)
    for client in clients:
        await client.http.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", help="the server to measure; without it, one of our own is started")
    parser.add_argument("--other", help="a second server, measured in turn with the first")
    parser.add_argument("--devices", type=int, default=100)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", help="a pattern: measure only figures whose name matches")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with nullcontext(options.base) if options.base else own_platform() as base:
        bases = [base, options.other] if options.other else [base]
        work = measure(bases, options.devices, options.quick, options.only)
        rows = asyncio.run(work, loop_factory=uvloop.new_event_loop)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
