"""Writing and loading series, compared with a simple model of beliefs, on every path through the code."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TypedDict, Unpack

import numpy as np
import pytest
from flexmodel.errors import Invalid
from flexstore import sources
from flexstore.series import (
    BeliefBatch,
    SeriesQuery,
    WriteCounts,
    belief_writes,
    latest_beliefs,
    load_series,
    to_datetime64,
    write_beliefs,
)
from flexstore.series.binary_format import DatetimeArray
from flexstore.store import Connection, Store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

type AddSite = Callable[..., Awaitable[tuple[int, int]]]

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SENSORS = count(1)


class Filter(TypedDict, total=False):
    """Filters of sources in a query."""

    sources: list[int]
    types: list[str]
    excluded_types: list[str]
    accounts: list[int]


VERSIONS = (None, "9", "10", "9")
"""The versions of the four sources, in the order of their ids."""


def at(hours: float) -> datetime:
    return START + hours * HOUR


def times(hours: Iterable[float]) -> DatetimeArray:
    return np.array([to_datetime64(at(hour)) for hour in hours], dtype="datetime64[us]")


@pytest.fixture(params=["few rows", "many rows", "many stored"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """All paths: rows as parameters of one statement; comparison and choice in arrays; comparison and choice in SQL."""
    if request.param != "few rows":
        monkeypatch.setattr(belief_writes, "MAX_INLINE_ROWS", 0)
    monkeypatch.setattr(belief_writes, "MAX_STORED_PER_ROW", 0 if request.param == "many stored" else 1000)
    monkeypatch.setattr(latest_beliefs, "MAX_CANDIDATES", 1 if request.param == "many stored" else 1000)
    return str(request.param)


@pytest.fixture
async def four_sources(store: Store) -> list[int]:
    async with store.connection() as con:
        return [
            await sources.ensure(con, f"source {number}", "user" if number else "forecaster", version=version)
            for number, version in enumerate(VERSIONS)
        ]


@pytest.fixture
async def con(store: Store, four_sources: list[int]) -> AsyncIterator[Connection]:
    async with store.connection() as con:
        yield con


@dataclass(frozen=True, slots=True)
class ModelBelief:
    """One belief: hours since START, and the index of the source."""

    event: int
    belief_time: int
    source: int
    value: float


@dataclass(slots=True)
class Model:
    """The expected behaviour of the store, in the simplest code."""

    rows: dict[tuple[int, int, int], float] = field(default_factory=dict)

    def write(self, rows: list[ModelBelief]) -> WriteCounts:
        counts = {"new": 0, "changed": 0, "unchanged": 0}
        last = {(row.event, row.belief_time, row.source): row.value for row in rows}
        one_source = len({row.source for row in rows}) == 1
        for key in sorted(last, key=lambda key: key[1]):
            counts[self.write_one(key, last[key], one_source)] += 1
        return WriteCounts(**counts)

    def write_one(self, key: tuple[int, int, int], value: float, one_source: bool) -> str:
        if key in self.rows:
            outcome = "unchanged" if self.rows[key] == value else "changed"
        else:
            outcome = "unchanged" if one_source and self.repeats(key, value) else "new"
        if outcome != "unchanged":
            self.rows[key] = value
        return outcome

    def repeats(self, key: tuple[int, int, int], value: float) -> bool:
        """Return whether the only previous belief about the event is the same value of the same source."""
        event, belief_time, source = key
        last = max((b for e, b, _ in self.rows if e == event and b <= belief_time), default=None)
        previous = {(s, v) for (e, b, s), v in self.rows.items() if (e, b) == (event, last)}
        return last != belief_time and previous == {(source, value)}

    def load_series(self, query: SeriesQuery, four_sources: list[int]) -> dict[datetime, tuple[datetime, int, float]]:
        found: dict[datetime, tuple[tuple[datetime, int, int], int, float]] = {}
        for (event, belief_hour, source), value in self.rows.items():
            start, belief_time = at(event), at(belief_hour)
            overlaps = start < query.end and start + HOUR > query.start
            known = query.prior is None or belief_time <= query.prior
            early = query.horizon is None or belief_time <= start + HOUR - query.horizon
            selected = query.sources is None or four_sources[source] in query.sources
            if overlaps and known and early and selected:
                rank = (belief_time, int(VERSIONS[source] or -1), four_sources[source])
                if start not in found or rank > found[start][0]:
                    found[start] = (rank, four_sources[source], value)
        return {start: (rank[0], source, value) for start, (rank, source, value) in sorted(found.items())}


def beliefs(sensor: int, rows: list[ModelBelief], four_sources: list[int]) -> BeliefBatch:
    return BeliefBatch(
        sensor=sensor,
        event_start=times(row.event for row in rows),
        belief_time=times(row.belief_time for row in rows),
        values=np.array([row.value for row in rows], dtype=np.float64),
        source=np.array([four_sources[row.source] for row in rows], dtype=np.int64),
    )


def rows_of(source: st.SearchStrategy[int]) -> st.SearchStrategy[list[ModelBelief]]:
    value = st.sampled_from([0.0, 1.0, -2.5])
    return st.lists(st.builds(ModelBelief, st.integers(0, 4), st.integers(-6, 6), source, value), max_size=12)


type DrawnQuery = tuple[float, float, int | None, int | None, list[int] | None]

ROWS = rows_of(st.integers(0, 3)) | st.integers(0, 3).flatmap(lambda source: rows_of(st.just(source)))
QUERIES = st.builds(
    lambda start, length, prior, horizon, source: (start, length, prior, horizon, source),
    st.sampled_from([-1.0, 0.0, 0.5, 2.0]),
    st.sampled_from([0.0, 0.5, 1.0, 10.0]),
    st.none() | st.integers(-6, 6),
    st.none() | st.integers(-3, 6),
    st.none() | st.lists(st.integers(0, 3), max_size=2),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(writes=st.lists(ROWS, min_size=1, max_size=4), drawn=st.lists(QUERIES, min_size=1, max_size=3))
async def test_store_agrees_with_the_model(
    con: Connection, four_sources: list[int], path: str, writes: list[list[ModelBelief]], drawn: list[DrawnQuery]
) -> None:
    sensor, model = next(SENSORS), Model()
    for rows in writes:
        assert await write_beliefs(con, beliefs(sensor, rows, four_sources)) == model.write(rows)
    queries = [
        SeriesQuery(
            sensor,
            at(start),
            at(start + length),
            HOUR,
            prior=None if prior is None else at(prior),
            horizon=None if horizon is None else horizon * HOUR,
            sources=None if numbers is None else [four_sources[number] for number in numbers],
        )
        for start, length, prior, horizon, numbers in drawn
    ]
    for query, found in zip(queries, await load_series(con, queries), strict=True):
        assert found.sensor_id == sensor
        rows_found = zip(
            found.event_start.tolist(), found.belief_time.tolist(), found.source.tolist(), found.values.tolist(),
            strict=True,
        )  # fmt: skip
        assert {
            start.replace(tzinfo=UTC): (belief_time.replace(tzinfo=UTC), source, value)
            for start, belief_time, source, value in rows_found
        } == model.load_series(query, four_sources)


def single(sensor: int, value: float, *, belief_time: float = 0, event: float = 0, source: int = 1) -> BeliefBatch:
    return BeliefBatch(sensor, times([event]), to_datetime64(at(belief_time)), np.array([value]), source)


def whole(sensor: int, **filters: Unpack[Filter]) -> SeriesQuery:
    return SeriesQuery(sensor, at(-100), at(100), HOUR, **filters)


async def test_repeated_beliefs_are_unchanged(con: Connection, path: str) -> None:
    sensor = next(SENSORS)
    assert await write_beliefs(con, single(sensor, 7)) == WriteCounts(new=1)
    assert await write_beliefs(con, single(sensor, 7)) == WriteCounts(unchanged=1)
    assert await write_beliefs(con, single(sensor, 7, belief_time=3)) == WriteCounts(unchanged=1)
    assert await write_beliefs(con, single(sensor, 8, belief_time=3)) == WriteCounts(new=1)
    assert await write_beliefs(con, single(sensor, 7, belief_time=4)) == WriteCounts(new=1)
    assert await con.fetchval("select count(*) from belief where sensor_id = $1", sensor) == 3


async def test_another_value_of_the_same_belief_replaces_it(con: Connection, path: str) -> None:
    sensor = next(SENSORS)
    await write_beliefs(con, single(sensor, 7))
    assert await write_beliefs(con, single(sensor, 8)) == WriteCounts(changed=1)
    [found] = await load_series(con, [whole(sensor)])
    assert found.values.tolist() == [8]


async def test_of_duplicates_in_one_batch_the_last_is_stored(con: Connection, path: str) -> None:
    sensor = next(SENSORS)
    values = np.array([1.0, 2.0, 3.0])
    written = await write_beliefs(con, BeliefBatch(sensor, times([0, 1, 0]), to_datetime64(at(0)), values, 1))
    [found] = await load_series(con, [whole(sensor)])
    assert (written, found.values.tolist()) == (WriteCounts(new=2), [3, 2])


async def test_nan_is_not_stored(con: Connection, path: str) -> None:
    sensor = next(SENSORS)
    values = np.array([1.0, np.nan, 3.0])
    assert await write_beliefs(
        con, BeliefBatch(sensor, times([0, 1, 2]), to_datetime64(at(0)), values, 1)
    ) == WriteCounts(new=2)
    assert await write_beliefs(con, single(sensor, np.nan)) == WriteCounts()
    assert (
        await write_beliefs(con, BeliefBatch(sensor, times([]), to_datetime64(at(0)), np.array([]), 1)) == WriteCounts()
    )


@pytest.mark.parametrize("value", [-np.inf, 1e308])
async def test_values_that_are_too_large_are_rejected(con: Connection, value: float) -> None:
    with pytest.raises(Invalid) as error:
        await write_beliefs(con, BeliefBatch(1, times([0, 1]), to_datetime64(at(0)), np.array([1.0, value]), 1))
    assert error.value.fields == {"values": [f"{value} is not between -1e100 and 1e100, in the unit of the sensor."]}


async def test_minus_zero_is_stored_as_zero(con: Connection, path: str) -> None:
    sensor = next(SENSORS)
    await write_beliefs(con, single(sensor, -0.0))
    [found] = await load_series(con, [whole(sensor)])
    assert not np.signbit(found.values).any()


async def test_several_sensors_and_sources_in_one_batch(con: Connection, four_sources: list[int], path: str) -> None:
    one, other = next(SENSORS), next(SENSORS)
    rows = BeliefBatch(
        sensor=np.array([other, one, other, one]),
        event_start=times([1, 0, 0, 0]),
        belief_time=to_datetime64(at(0)),
        values=np.array([1.0, 2.0, 3.0, 4.0]),
        source=np.array([four_sources[1], four_sources[2], four_sources[1], four_sources[1]]),
    )
    assert await write_beliefs(con, rows) == WriteCounts(new=4)
    found = await load_series(
        con, [whole(other), whole(one), whole(one, sources=[four_sources[1]]), whole(next(SENSORS))]
    )
    assert [series.values.tolist() for series in found] == [[3, 1], [2], [4], []]
    assert [series.sensor_id for series in found[:3]] == [other, one, one]
    assert found[0].event_start.tolist() == times([0, 1]).tolist()


async def test_of_a_probabilistic_belief_the_median_is_loaded(con: Connection, path: str) -> None:
    sensor = next(SENSORS)

    def probabilistic(belief_time: float, *values: float) -> BeliefBatch:
        probabilities = np.linspace(0.2, 0.8, len(values))
        return BeliefBatch(
            sensor, times([0] * len(values)), to_datetime64(at(belief_time)), np.array(values), 1, probabilities
        )

    async def value() -> float:
        [found] = await load_series(con, [whole(sensor)])
        return float(found.values[0])

    assert await write_beliefs(con, probabilistic(0, 1, 2, 3)) == WriteCounts(new=3)
    assert await value() == 2
    assert await write_beliefs(con, probabilistic(0, 1, 2, 4)) == WriteCounts(changed=1, unchanged=2)
    # All values of a later probabilistic belief are stored, including its unchanged median.
    assert await write_beliefs(con, probabilistic(1, 0, 2, 9)) == WriteCounts(new=3)
    assert await value() == 2
    # A single value after a probabilistic belief is new, even if it equals the median.
    assert await write_beliefs(con, single(sensor, 2, belief_time=2)) == WriteCounts(new=1)
    assert await write_beliefs(con, single(sensor, 2, belief_time=3)) == WriteCounts(unchanged=1)
    assert await write_beliefs(con, probabilistic(4, 5, 6)) == WriteCounts(new=2)
    assert await value() == 5


async def test_probabilistic_beliefs_are_replaced_as_a_whole(con: Connection, path: str) -> None:
    sensor = next(SENSORS)

    def probabilistic(event: float, belief_time: float, values: dict[float, float]) -> BeliefBatch:
        starts, probabilities = times([event] * len(values)), np.array(list(values))
        return BeliefBatch(
            sensor, starts, to_datetime64(at(belief_time)), np.array(list(values.values())), 1, probabilities
        )

    async def rows() -> list[tuple[datetime, datetime, float, float]]:
        stored = await con.fetch(
            "select event_start, belief_time, cumulative_probability, event_value from belief where sensor_id = $1"
            " order by 1, 2, 3",
            sensor,
        )
        return [(row[0], row[1], round(row[2], 3), row[3]) for row in stored]

    for event in (0, 1):
        assert await write_beliefs(con, probabilistic(event, 0, {0.1: 1, 0.5: 2, 0.9: 3})) == WriteCounts(new=3)
    await write_beliefs(con, probabilistic(0, 1, {0.1: 4, 0.9: 5}))
    # Same source and belief time: quantiles at other probabilities are deleted.
    assert await write_beliefs(con, probabilistic(0, 0, {0.2: 7, 0.5: 2, 0.8: 8})) == WriteCounts(new=2, unchanged=1)
    assert await rows() == [
        (at(0), at(0), 0.2, 7), (at(0), at(0), 0.5, 2), (at(0), at(0), 0.8, 8),
        (at(0), at(1), 0.1, 4), (at(0), at(1), 0.9, 5),
        (at(1), at(0), 0.1, 1), (at(1), at(0), 0.5, 2), (at(1), at(0), 0.9, 3),
    ]  # fmt: skip


async def test_precedence_is_belief_time_then_version_then_source_id(con: Connection, four_sources: list[int]) -> None:
    none, nine, ten, late_nine = four_sources
    sensor = next(SENSORS)

    async def source() -> int:
        [found] = await load_series(con, [whole(sensor)])
        return int(found.source[0])

    for newcomer, belief_time, winner in [
        (ten, 0, ten), (nine, 0, ten), (late_nine, 0, ten), (nine, 1, nine), (late_nine, 1, late_nine), (none, 2, none),
    ]:  # fmt: skip
        await write_beliefs(con, single(sensor, newcomer, belief_time=belief_time, source=newcomer))
        assert await source() == winner


async def test_filters_of_sources(con: Connection, store: Store, add_site: AddSite, four_sources: list[int]) -> None:
    account, _ = await add_site()
    scheduler = await sources.ensure(con, "scheduler", "scheduler", account_id=account)
    sensor = next(SENSORS)
    for number, source in enumerate([*four_sources[:2], scheduler]):
        await write_beliefs(con, single(sensor, number, belief_time=number, source=source))
    filters: list[Filter] = [
        {"types": ["forecaster"]}, {"types": ["forecaster", "user"]}, {"types": []}, {"excluded_types": ["scheduler"]},
        {"excluded_types": ["scheduler", "user"]}, {"accounts": [account]}, {"accounts": [account + 1]},
        {"sources": [four_sources[0], four_sources[1]]}, {"sources": [scheduler], "excluded_types": ["scheduler"]},
    ]  # fmt: skip
    found = await load_series(con, [whole(sensor, **each) for each in filters])
    assert [series.values.tolist() for series in found] == [[0], [1], [], [1], [0], [2], [], [1], []]


async def test_instantaneous_events_from_the_start_until_before_the_end(con: Connection) -> None:
    sensor = next(SENSORS)
    await write_beliefs(con, BeliefBatch(sensor, times([0, 1, 2]), to_datetime64(at(0)), np.array([1.0, 2.0, 3.0]), 1))
    [found] = await load_series(con, [SeriesQuery(sensor, at(0), at(2))])
    assert found.values.tolist() == [1, 2]


async def test_writes_are_part_of_the_callers_transaction(store: Store, con: Connection, path: str) -> None:
    sensor = next(SENSORS)
    with pytest.raises(RuntimeError):
        async with store.transaction() as other:
            await write_beliefs(other, single(sensor, 1))
            await write_beliefs(other, single(sensor, 2, event=5))
            raise RuntimeError
    [found] = await load_series(con, [whole(sensor)])
    assert len(found) == 0


async def test_a_year_written_in_parts(con: Connection) -> None:
    sensor = next(SENSORS)
    hours = np.arange(8760)
    starts = to_datetime64(START) + hours * np.timedelta64(3_600_000_000, "us")
    shuffled = np.random.default_rng(1).permutation(8760)
    parts = (shuffled[:50], shuffled[50:4000], shuffled[3900:], hours)
    written = [
        await write_beliefs(con, BeliefBatch(sensor, starts[p], to_datetime64(START), p.astype(float), 1))
        for p in parts
    ]
    [found] = await load_series(con, [SeriesQuery(sensor, START, at(8760), HOUR)])
    assert written == [
        WriteCounts(new=50),
        WriteCounts(new=3950),
        WriteCounts(new=4760, unchanged=100),
        WriteCounts(unchanged=8760),
    ]
    assert np.array_equal(found.values, hours)
    assert np.array_equal(found.event_start, starts)


async def test_times_without_a_zone_are_rejected(con: Connection) -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - the subject of the test
    with pytest.raises(ValueError, match="2026-01-01T00:00:00 has no time zone"):
        to_datetime64(naive)
    with pytest.raises(ValueError, match="2026-01-01T00:00:00 has no time zone"):
        await load_series(con, [SeriesQuery(1, naive, START)])


async def test_a_repetition_is_new_after_another_source_contradicted(
    con: Connection, four_sources: list[int], path: str
) -> None:
    first, second = four_sources[0], four_sources[3]
    sensor = next(SENSORS)
    for belief_time, source, value in [(0, first, 5), (1, second, 6), (2, first, 5)]:
        assert await write_beliefs(con, single(sensor, value, belief_time=belief_time, source=source)) == WriteCounts(
            new=1
        )
    assert await write_beliefs(con, single(sensor, 5, belief_time=3, source=first)) == WriteCounts(unchanged=1)
    [found] = await load_series(con, [whole(sensor)])
    assert (found.values.tolist(), found.belief_time.tolist()) == ([5], times([2]).tolist())
