"""Queries of beliefs one by one, with all quantiles, and of long series in batches."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from flexstore import sources
from flexstore.series import (
    BeliefBatch,
    BeliefSet,
    SeriesQuery,
    find_next_batch,
    load_beliefs,
    to_datetime64,
    write_beliefs,
)
from flexstore.store import Connection, Store

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def at(hours: float) -> datetime:
    return START + hours * HOUR


async def write_quantiles(
    con: Connection, source: int, event: float, belief_time: float, values: dict[float, float]
) -> None:
    starts = np.full(len(values), to_datetime64(at(event)))
    probabilities, numbers = np.array(list(values)), np.array(list(values.values()))
    await write_beliefs(con, BeliefBatch(1, starts, to_datetime64(at(belief_time)), numbers, source, probabilities))


@pytest.fixture
async def two_sources(store: Store) -> list[int]:
    """A forecaster with probabilistic beliefs, and a meter."""
    async with store.transaction() as con:
        forecaster = await sources.ensure(con, "forecaster", "forecaster", version="2")
        meter = await sources.ensure(con, "meter", "user")
        await write_quantiles(con, forecaster, 0, -2, {0.1: 1, 0.5: 2, 0.9: 3})
        await write_quantiles(con, forecaster, 0, -1, {0.1: 1.5, 0.9: 2.5})
        await write_quantiles(con, meter, 0, 1, {0.5: 2.25})
        await write_quantiles(con, forecaster, 1, -1, {0.25: 4, 0.75: 5})
        await write_quantiles(con, meter, 3, 4, {0.5: 6})
    return [forecaster, meter]


def rows(beliefs: BeliefSet) -> list[tuple[float, float, int, float, float]]:
    hours = [
        (column - to_datetime64(START)) / np.timedelta64(1, "h")
        for column in (beliefs.event_start, beliefs.belief_time)
    ]
    starts, times = (column.tolist() for column in hours)
    numbers = beliefs.source.tolist(), beliefs.probability.tolist(), beliefs.values.tolist()
    return list(zip(starts, times, *numbers, strict=True))


async def test_latest_beliefs_are_loaded_with_all_quantiles(store: Store, two_sources: list[int]) -> None:
    forecaster, meter = two_sources
    whole = SeriesQuery(1, START, at(4), HOUR)
    early = SeriesQuery(1, START, at(4), HOUR, prior=START)
    async with store.connection() as con:
        now, before = await load_beliefs(con, [whole, early], latest=True)
        [everything] = await load_beliefs(con, [whole], latest=False)
    quantiles = [(1.0, -1.0, forecaster, 0.25, 4.0), (1.0, -1.0, forecaster, 0.75, 5.0)]
    assert rows(now) == [(0.0, 1.0, meter, 0.5, 2.25), *quantiles, (3.0, 4.0, meter, 0.5, 6.0)]
    assert [row[3:] for row in rows(before)] == [(0.1, 1.5), (0.9, 2.5), (0.25, 4.0), (0.75, 5.0)]
    assert [row[3:] for row in rows(everything)] == [
        (0.1, 1.0), (0.5, 2.0), (0.9, 3.0), (0.1, 1.5), (0.9, 2.5), (0.5, 2.25), (0.25, 4.0), (0.75, 5.0), (0.5, 6.0),
    ]  # fmt: skip


async def test_queries_without_results(store: Store) -> None:
    async with store.connection() as con:
        [found] = await load_beliefs(con, [SeriesQuery(1, START, at(4))], latest=False)
        assert len(found) == 0
        assert await load_beliefs(con, [], latest=True) == []


async def test_batches_are_limited_and_contain_whole_events(store: Store, two_sources: list[int]) -> None:
    async with store.connection() as con:
        for count, expected in (
            (100, (at(0), at(9))),
            (9, (at(0), at(9))),
            (8, (at(0), at(3))),
            (6, (at(0), at(1))),
            # The first event has six beliefs, and is not split.
            (2, (at(0), at(0) + timedelta(microseconds=1))),
        ):
            assert await find_next_batch(con, 1, at(-5), at(9), count) == expected, count
        assert await find_next_batch(con, 1, at(0.5), at(9), 2) == (at(1), at(3))
        assert await find_next_batch(con, 1, at(4), at(9), 2) == (at(9), at(9))
        assert await find_next_batch(con, 1, at(3), at(3), 2) == (at(3), at(3))
