"""Concurrent writers: no belief is lost, duplicated or mixed up, and no writer fails."""

import asyncio
from datetime import UTC, datetime

import asyncpg
import numpy as np
import pytest
from flexstore.series import (
    BeliefBatch,
    SeriesQuery,
    WriteCounts,
    belief_writes,
    load_series,
    to_datetime64,
    write_beliefs,
)
from flexstore.series.binary_format import ROW_DTYPE, BeliefRows
from flexstore.store import Store

START = to_datetime64(datetime(2026, 3, 1, tzinfo=UTC))
HOUR = np.timedelta64(3_600_000_000, "us")
WRITERS, SENSORS, EVENTS = 16, 3, 2000


def window(writer: int, number: int) -> BeliefBatch:
    """Build shuffled events of several sensors, overlapping with those of other writers. No two values are equal."""
    rng = np.random.default_rng([writer, number])
    events = rng.permutation(EVENTS)[: rng.choice([3, 60, 900])]
    sensors = rng.integers(1, SENSORS + 1, len(events))
    values = writer + events / 10_000 + sensors * 100.0
    return BeliefBatch(sensors, START + events * HOUR, START + writer * HOUR, values, 1)


async def test_result_of_sixteen_writers_is_independent_of_their_order(store: Store) -> None:
    async def writer(number: int) -> list[WriteCounts]:
        written = []
        for window_number in range(6):
            async with store.connection() as con:
                written.append(await write_beliefs(con, window(number, window_number)))
        return written

    await asyncio.gather(*(writer(number) for number in range(WRITERS)))
    expected: dict[tuple[int, int], tuple[int, float]] = {}
    for number in range(WRITERS):
        for window_number in range(6):
            part = window(number, window_number)
            for sensor, event, value in zip(np.atleast_1d(part.sensor), part.event_start, part.values, strict=True):
                key = (int(sensor), int((event - START) // HOUR))
                expected[key] = max(expected.get(key, (-1, 0.0)), (number, float(value)))
    end = datetime(2027, 1, 1, tzinfo=UTC)
    async with store.connection() as con:
        found = await load_series(
            con, [SeriesQuery(sensor, datetime(2026, 1, 1, tzinfo=UTC), end) for sensor in (1, 2, 3)]
        )
    actual = {
        (series.sensor_id, int((event - START) // HOUR)): (int((belief_time - START) // HOUR), float(value))
        for series in found
        for event, belief_time, value in zip(series.event_start, series.belief_time, series.values, strict=True)
    }
    assert actual == expected


async def test_writers_of_the_same_beliefs_store_each_once(store: Store) -> None:
    events = START + np.arange(500) * HOUR

    async def writer(number: int) -> WriteCounts:
        async with store.connection() as con:
            return await write_beliefs(con, BeliefBatch(1, events, START, np.full(500, float(number)), 1))

    written = await asyncio.gather(*(writer(number) for number in range(WRITERS)))
    async with store.connection() as con:
        stored = await con.fetch("select event_value from belief order by event_start")
    assert len(stored) == 500
    assert len({row["event_value"] for row in stored}) == 1
    assert sum(one.new for one in written) >= 500


async def test_deadlocks_are_retried(store: Store) -> None:
    """Two writers each hold a lock that the other needs: one is retried, and both succeed."""
    async with store.connection() as con:
        # In TimescaleDB, the first belief in a period creates a chunk, and other writers wait for that.
        await write_beliefs(con, BeliefBatch(9, np.array([START]), START, np.array([0.0]), 1))
        await con.execute("create table held (id int primary key, x int); insert into held values (1, 0), (2, 0)")
        await con.execute("create sequence tries")
        await con.execute("""
            create function lock_rows() returns trigger language plpgsql as $$ begin
                update held set x = x + 1 where id = new.event_value;
                perform nextval('tries');
                while (select last_value from tries) < 2 loop perform pg_sleep(0.01); end loop;
                return new;
            end $$
        """)
        await con.execute("create trigger lock_rows before insert on belief for each row execute function lock_rows()")

    async def writer(mine: int, others: int) -> WriteCounts:
        async with store.transaction() as con:
            values = np.array([float(mine), float(others)])
            return await write_beliefs(con, BeliefBatch(mine, START + np.arange(2) * HOUR, START, values, 1))

    assert list(await asyncio.gather(writer(1, 2), writer(2, 1))) == [WriteCounts(new=2)] * 2
    async with store.connection() as con:
        assert await con.fetchval("select count(*) from belief where sensor_id < 9") == 4
        assert await con.fetchval("select last_value from tries") > 4


async def test_beliefs_stored_by_another_writer_after_the_comparison_are_detected(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def load_nothing(*_: object) -> BeliefRows:
        return np.empty(0, ROW_DTYPE)

    monkeypatch.setattr(belief_writes, "_load_stored", load_nothing)
    events = START + np.arange(300) * HOUR
    async with store.connection() as con:
        assert await write_beliefs(con, BeliefBatch(1, events[:200], START, np.ones(200), 1)) == WriteCounts(new=200)
        again = await write_beliefs(con, BeliefBatch(1, events, START, np.full(300, 2.0), 1))
        assert again == WriteCounts(new=100, changed=200)
        assert await con.fetchval("select sum(event_value) from belief") == 600


async def test_failed_writes_store_nothing(store: Store) -> None:
    async with store.connection() as con:
        await con.execute("alter table belief add constraint tall check (event_value < 1000)")
        values = np.arange(1200, dtype=float)
        with pytest.raises(asyncpg.CheckViolationError):
            await write_beliefs(con, BeliefBatch(1, START + np.arange(1200) * HOUR, START, values, 1))
        assert await con.fetchval("select count(*) from belief") == 0
