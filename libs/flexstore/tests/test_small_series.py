"""Latest and nearest values, statistics, staleness and deletion, on a series of four events."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from flexstore import sources
from flexstore.series import (
    BeliefBatch,
    SourceStatistics,
    delete_beliefs,
    load_latest_values,
    load_nearest_value,
    load_source_statistics,
    load_staleness,
    to_datetime64,
    write_beliefs,
)
from flexstore.store import Connection, Store

type AddSite = Callable[..., Awaitable[tuple[int, int]]]
type AddSensor = Callable[..., Awaitable[int]]

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def at(hours: float) -> datetime:
    return START + hours * HOUR


@pytest.fixture
async def con(store: Store) -> AsyncIterator[Connection]:
    async with store.connection() as con:
        yield con


@pytest.fixture
async def sensor(con: Connection, add_site: AddSite, add_sensor: AddSensor) -> int:
    """Events at 0, 1, 2 and 5 h with values 0, 10, 20 and 50, believed at 0 h. At 3 h, the one at 2 h becomes 21."""
    sensor = await add_sensor((await add_site())[1])
    ada = await sources.ensure(con, "Ada", "user")
    bob = await sources.ensure(con, "Bob", "forecaster")
    events = np.array([to_datetime64(at(hour)) for hour in (0, 1, 2, 5)])
    await write_beliefs(con, BeliefBatch(sensor, events, to_datetime64(at(0)), np.array([0.0, 10.0, 20.0, 50.0]), ada))
    await write_beliefs(con, BeliefBatch(sensor, events[2:3], to_datetime64(at(3)), np.array([21.0]), bob))
    return sensor


@pytest.mark.parametrize(
    ("when", "prior", "value"),
    [(None, None, 50), (5, None, 50), (4.9, None, 21), (4.9, 2.9, 20), (0, None, 0), (-1, None, None), (9, -1, None)],
)
async def test_latest_value(
    con: Connection, sensor: int, when: float | None, prior: float | None, value: float | None
) -> None:
    found = await load_latest_values(
        con, [sensor, 999], None if when is None else at(when), None if prior is None else at(prior)
    )
    assert {number: latest.value for number, latest in found.items()} == ({} if value is None else {sensor: value})


@pytest.mark.parametrize(
    ("when", "radius", "prior", "value"),
    [
        (1.2, 1, None, 10), (1.5, 1, None, 21), (1.5, 0.5, None, 21), (1.5, 0.5, 2, 20), (1.5, 0.4, None, None),
        (3.5, 2, None, 50), (3.4, 2, None, 21), (-4, 4, None, 0), (5, 0, None, 50), (9, 4, -1, None),
    ],
)  # fmt: skip
async def test_nearest_value(
    con: Connection, sensor: int, when: float, radius: float, prior: float | None, value: float | None
) -> None:
    found = await load_nearest_value(con, sensor, at(when), radius * HOUR, None if prior is None else at(prior))
    assert (found and found.value) == value


async def test_statistics_per_source_include_superseded_beliefs(con: Connection, sensor: int) -> None:
    ada = SourceStatistics(1, "Ada", at(0), at(6), at(0), 0, 50, 20, 80, 4)
    bob = SourceStatistics(2, "Bob", at(2), at(3), at(3), 21, 21, 21, 21, 1)
    assert await load_source_statistics(con, sensor) == [ada, bob]
    assert await load_source_statistics(con, sensor, at(1), at(2)) == [
        SourceStatistics(1, "Ada", at(1), at(2), at(0), 10, 10, 10, 10, 1)
    ]
    assert await load_source_statistics(con, sensor, at(6)) == []


async def test_staleness_per_type_of_source(con: Connection, sensor: int) -> None:
    found = await load_staleness(con, sensor)
    assert [(one.source_type, one.last_event_start, one.last_event_end, one.last_recorded) for one in found] == [
        ("forecaster", at(2), at(3), at(3)),
        ("user", at(5), at(6), at(0)),
    ]
    assert await load_staleness(con, 999) == []


@pytest.mark.parametrize(
    ("start", "end", "deleted"), [(None, None, 5), (1, 2, 1), (2, None, 3), (None, 2, 2), (2, 3, 2), (7, 9, 0)]
)
async def test_deletion_of_a_period(
    con: Connection, sensor: int, start: float | None, end: float | None, deleted: int
) -> None:
    other = BeliefBatch(sensor + 1, np.array([to_datetime64(at(2))]), to_datetime64(at(0)), np.array([1.0]), 1)
    await write_beliefs(con, other)
    span = (None if start is None else at(start), None if end is None else at(end))
    assert await delete_beliefs(con, sensor, *span) == deleted
    assert await con.fetchval("select count(*) from belief") == 6 - deleted
