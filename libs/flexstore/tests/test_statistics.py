"""Statistics are the same whether or not days are rolled up, and whatever happened to their beliefs since."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from asyncpg import Record
from flexmodel.time import moment_of
from flexstore import continuous_aggregates, daily_rollups, sources, timescale
from flexstore.series import (
    BeliefBatch,
    delete_beliefs,
    load_daily_statistics,
    load_source_statistics,
    to_datetime64,
    write_beliefs,
)
from flexstore.store import Connection, Store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

type AddHouse = Callable[..., Awaitable[int]]

HOUR = np.timedelta64(3_600_000_000, "us")
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
FIRST = TODAY - timedelta(days=30)
ZONES = ("UTC", "Europe/Amsterdam", "Asia/Kathmandu", "America/New_York")


@dataclass(frozen=True)
class Write:
    """Write one value for a number of hours."""

    first: int
    count: int
    belief_time: int
    source: int
    value: float
    probability: float


@dataclass(frozen=True)
class Delete:
    """Delete a number of hours, of one source or all."""

    first: int
    count: int
    source: int | None


@dataclass(frozen=True)
class Refresh:
    """Roll up what is due."""


HOURS = st.sampled_from([0, 5, 24, 100, 480, 690, 719])  # the last ones are too recent for rollups
COUNTS = st.sampled_from([1, 30, 130])
STEPS = st.one_of(
    st.builds(
        Write, HOURS, COUNTS, st.integers(0, 2), st.integers(0, 1), st.sampled_from([0.0, -1.5, 7.25]),
        st.sampled_from([0.5, 0.5, 0.9]),
    ),
    st.builds(Delete, HOURS, COUNTS, st.none() | st.integers(0, 1)),
    st.just(Refresh()),
)  # fmt: skip
SPANS = [
    (None, None),
    (FIRST + timedelta(days=1), FIRST + timedelta(days=21)),
    (FIRST + timedelta(days=2, hours=3, minutes=30), None),
]


async def perform(
    store: Store, con: Connection, sensor: int, two_sources: list[int], step: Write | Delete | Refresh
) -> None:
    first = to_datetime64(FIRST)
    match step:
        case Write():
            starts = first + (step.first + np.arange(step.count)) * HOUR
            values = np.full(step.count, step.value)
            belief_time = first + step.belief_time * HOUR
            await write_beliefs(
                con, BeliefBatch(sensor, starts, belief_time, values, two_sources[step.source], step.probability)
            )
        case Delete():
            start = FIRST + timedelta(hours=step.first)
            source = None if step.source is None else two_sources[step.source]
            await delete_beliefs(con, sensor, start, start + timedelta(hours=step.count), source)
        case Refresh():
            await daily_rollups.refresh(store)


def within(rows: Iterable[Record], start: datetime | None, end: datetime | None) -> list[Record]:
    return [
        row
        for row in rows
        if (start is None or row["event_start"] >= start) and (end is None or row["event_start"] < end)
    ]


def rank(row: Record) -> tuple[datetime, int, float]:
    return row["belief_time"], row["source_id"], -abs(row["cumulative_probability"] - 0.5)


def expected_statistics(rows: list[Record]) -> dict[int, tuple[object, ...]]:
    by_source = defaultdict(list)
    for row in rows:
        by_source[row["source_id"]].append(row)
    return {
        source: (
            min(row["event_start"] for row in some), max(row["event_start"] for row in some) + timedelta(hours=1),
            max(row["belief_time"] for row in some), min(row["event_value"] for row in some),
            max(row["event_value"] for row in some), sum(row["event_value"] for row in some), len(some),
        )
        for source, some in by_source.items()
    }  # fmt: skip


def expected_days(
    rows: list[Record], timezone: str, by_source: bool
) -> dict[tuple[datetime, int | None], tuple[object, ...]]:
    best: dict[tuple[datetime, int | None], Record] = {}
    for row in rows:
        event = row["event_start"], row["source_id"] if by_source else None
        if event not in best or rank(row) > rank(best[event]):
            best[event] = row
    found = defaultdict(list)
    for (start, source), row in best.items():
        local = start.astimezone(ZoneInfo(timezone))
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        found[midnight.astimezone(UTC), source].append(row)
    return {
        day: (
            len(some), min(row["event_value"] for row in some), max(row["event_value"] for row in some),
            sum(row["event_value"] for row in some), max(row["belief_time"] for row in some),
        )
        for day, some in found.items()
    }  # fmt: skip


async def check(con: Connection, sensor: int, timezone: str) -> None:
    rows = await con.fetch("select * from belief where sensor_id = $1", sensor)
    for start, end in SPANS:
        some = within(rows, start, end)
        actual = {
            one.source_id: (
                one.first_event_start, one.last_event_end, one.last_recorded, one.minimum, one.maximum, one.total,
                one.count,
            )
            for one in await load_source_statistics(con, sensor, start, end)
        }  # fmt: skip
        assert actual == expected_statistics(some)
        for by_source in (False, True):
            table = await load_daily_statistics(con, sensor, start, end, by_source=by_source)
            columns = (table.day, table.source.tolist(), table.count.tolist(), table.minimum.tolist(),
                       table.maximum.tolist(), table.total.tolist(), table.last_belief)  # fmt: skip
            assert {
                (moment_of(day), source if by_source else None): (count, low, high, total, moment_of(last))
                for day, source, count, low, high, total, last in zip(*columns, strict=True)
            } == expected_days(some, timezone, by_source)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(timezone=st.sampled_from(ZONES), steps=st.lists(STEPS, min_size=2, max_size=7))
async def test_statistics_are_independent_of_rollups(
    either_store: Store, house: AddHouse, timezone: str, steps: list[Write | Delete | Refresh]
) -> None:
    sensor = await house(timezone)
    async with either_store.connection() as con:
        two = [await sources.ensure(con, name, "user") for name in ("one", "other")]
        for step in steps:
            await perform(either_store, con, sensor, two, step)
            await check(con, sensor, timezone)
        await daily_rollups.refresh(either_store)
        await check(con, sensor, timezone)


@pytest.fixture
async def rolled_up_sensor(either_store: Store, house: AddHouse) -> int:
    """A sensor with 20 days of values, all rolled up."""
    sensor = await house("Europe/Amsterdam")
    async with either_store.connection() as con:
        source = await sources.ensure(con, "meter", "user")
        starts = to_datetime64(FIRST) + np.arange(480) * HOUR
        await write_beliefs(con, BeliefBatch(sensor, starts, to_datetime64(FIRST), np.arange(480.0), source))
    assert await daily_rollups.refresh(either_store) == 1
    return sensor


async def test_days_are_rolled_up_once(either_store: Store, rolled_up_sensor: int) -> None:
    assert await daily_rollups.refresh(either_store) == 0
    async with either_store.connection() as con:
        assert (
            await con.fetchval("select sum(beliefs) from belief_per_day where sensor_id = $1", rolled_up_sensor) == 480
        )
        assert await con.fetchval("select count(*) from belief_day_due") == 0


async def test_continuous_aggregates_are_used_if_available(
    either_store: Store, rolled_up_sensor: int, request: pytest.FixtureRequest
) -> None:
    async with either_store.connection() as con:
        by_timescale = await timescale.is_fully_enabled(con)
        own_rollups = await con.fetchval("select count(*) from belief_day")
        assert (own_rollups == 0) == by_timescale
        if "timescale" in request.node.callspec.id:
            assert by_timescale
            assert {row["view_name"] for row in await con.fetch(continuous_aggregates.SELECT_AGGREGATES)} == {
                continuous_aggregates.aggregate_name("Europe/Amsterdam")
            }


async def test_time_zones_that_timescale_can_no_longer_handle_are_rolled_up_in_sql(
    either_store: Store, rolled_up_sensor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A government may decide to move the clocks at midnight."""
    tokyo = "select 'Asia/Tokyo' as timezone"
    async with either_store.connection() as con:
        for zones in (tokyo, continuous_aggregates.SELECT_TIMEZONES):
            monkeypatch.setattr(continuous_aggregates, "SELECT_TIMEZONES", zones)
            await daily_rollups.refresh(either_store)
            await check(con, rolled_up_sensor, "Europe/Amsterdam")
            assert (
                await con.fetchval("select sum(beliefs) from belief_per_day where sensor_id = $1", rolled_up_sensor)
                == 480
            )
        by_timescale = await timescale.is_fully_enabled(con)
        assert (await con.fetchval("select count(*) from belief_day") == 0) == by_timescale
        names = (
            {row["view_name"] for row in await con.fetch(continuous_aggregates.SELECT_AGGREGATES)}
            if by_timescale
            else set()
        )
        assert names == ({continuous_aggregates.aggregate_name("Europe/Amsterdam")} if by_timescale else set())


async def test_rollups_are_read_except_for_changed_days(either_store: Store, rolled_up_sensor: int) -> None:
    """Only beliefs of the corrected day are read: those of other days may be missing from the table itself."""
    async with either_store.connection() as con:
        source = await sources.ensure(con, "meter", "user")
        at = np.array([to_datetime64(FIRST) + 240 * HOUR])
        await write_beliefs(con, BeliefBatch(rolled_up_sensor, at, to_datetime64(FIRST), np.array([1000.0]), source))
        # Without marking the days as due.
        await con.execute("delete from belief where event_start < $1", FIRST + timedelta(days=5))
        [figures] = await load_source_statistics(con, rolled_up_sensor)
        assert (figures.count, figures.maximum) == (480, 1000.0)
        assert (await load_daily_statistics(con, rolled_up_sensor)).maximum.max() == 1000.0


async def test_quantiles_that_were_replaced_are_not_counted(either_store: Store, rolled_up_sensor: int) -> None:
    async with either_store.connection() as con:
        source = await sources.ensure(con, "forecaster", "forecaster")
        for probabilities in ([0.1, 0.9], [0.1]):
            at = np.full(len(probabilities), to_datetime64(FIRST))
            values = np.array([5.0, 6.0])[: len(probabilities)]
            await write_beliefs(
                con, BeliefBatch(rolled_up_sensor, at, to_datetime64(FIRST), values, source, np.array(probabilities))
            )
            assert [one.count for one in await load_source_statistics(con, rolled_up_sensor)] == [
                480,
                len(probabilities),
            ]
            await daily_rollups.refresh(either_store)
        await check(con, rolled_up_sensor, "Europe/Amsterdam")


async def test_a_change_of_time_zone_changes_the_days(either_store: Store, rolled_up_sensor: int) -> None:
    async with either_store.connection() as con:
        for timezone in ("Asia/Tokyo", "Atlantic/Azores", "Europe/Amsterdam"):
            await con.execute("update sensor set timezone = $2 where id = $1", rolled_up_sensor, timezone)
            await check(con, rolled_up_sensor, timezone)
            await daily_rollups.refresh(either_store)
            await check(con, rolled_up_sensor, timezone)


@pytest.mark.parametrize(("timezone", "day"), [("Atlantic/Azores", (2025, 10, 26)), ("America/Havana", (2025, 11, 2))])
async def test_days_with_two_midnights_keep_their_first_hour(
    either_store: Store, house: AddHouse, timezone: str, day: tuple[int, int, int]
) -> None:
    first = datetime(*day, tzinfo=UTC) - timedelta(days=3)
    sensor = await house(timezone)
    async with either_store.connection() as con:
        source = await sources.ensure(con, "meter", "user")
        await write_beliefs(
            con,
            BeliefBatch(
                sensor, to_datetime64(first) + np.arange(150) * HOUR, to_datetime64(first), np.ones(150), source
            ),
        )
        await daily_rollups.refresh(either_store)
        at = np.array([to_datetime64(first) + 80 * HOUR])
        await write_beliefs(con, BeliefBatch(sensor, at, to_datetime64(first) + HOUR, np.array([2.0]), source))
        await check(con, sensor, timezone)
        await daily_rollups.refresh(either_store)
        await check(con, sensor, timezone)
        assert await con.fetchval("select sum(beliefs) from belief_per_day where sensor_id = $1", sensor) == 151


async def test_unknown_time_zones_do_not_affect_other_sensors(either_store: Store, house: AddHouse) -> None:
    known, unknown = await house("Asia/Tokyo"), await house("Mars/Olympus")
    async with either_store.connection() as con:
        source = await sources.ensure(con, "meter", "user")
        starts = to_datetime64(FIRST) + np.arange(48) * HOUR
        for sensor in (known, unknown):
            await write_beliefs(con, BeliefBatch(sensor, starts, to_datetime64(FIRST), np.ones(48), source))
        await daily_rollups.refresh(either_store)
        assert await con.fetchval("select count(*) from belief_per_day where sensor_id = $1", known) >= 2
        assert [one.count for one in await load_source_statistics(con, unknown)] == [48]


async def test_overflowing_sums_do_not_affect_other_sensors(
    store: Store, add_house: Callable[[Store], AddHouse]
) -> None:
    large, known = await add_house(store)("Asia/Tokyo"), await add_house(store)("Asia/Tokyo")
    async with store.connection() as con:
        source = await sources.ensure(con, "meter", "user")
        starts = to_datetime64(FIRST) + np.arange(48) * HOUR
        for sensor in (large, known):
            await write_beliefs(con, BeliefBatch(sensor, starts, to_datetime64(FIRST), np.ones(48), source))
        await con.execute("update belief set event_value = 1.7e308 where sensor_id = $1", large)
        await daily_rollups.refresh(store)
        assert await con.fetchval("select count(*) from belief_per_day where sensor_id = $1", known) >= 2


async def test_deleted_sensors_leave_no_beliefs_or_rollups(either_store: Store, rolled_up_sensor: int) -> None:
    async with either_store.connection() as con:
        await con.execute("delete from sensor where id = $1", rolled_up_sensor)
        await daily_rollups.refresh(either_store)
        for table in ("belief", "belief_per_day", "belief_day_due"):
            assert await con.fetchval(f"select count(*) from {table}") == 0


async def test_only_one_process_rolls_up_at_a_time(either_store: Store, rolled_up_sensor: int) -> None:
    async with either_store.connection() as con:
        await con.execute("insert into belief_day_due (sensor_id, first_event, last_event) values ($1, $2, $2)",
                          rolled_up_sensor, FIRST)  # fmt: skip
        await con.execute("select pg_advisory_lock($1)", daily_rollups.LOCK)
        assert await daily_rollups.refresh(either_store) == 0
        await con.execute("select pg_advisory_unlock($1)", daily_rollups.LOCK)
    assert await daily_rollups.refresh(either_store) == 1


async def test_beliefs_written_during_rollups_are_counted(either_store: Store, rolled_up_sensor: int) -> None:
    """Every late value that is stored while days are rolled up is counted, at once and afterwards."""
    finished = asyncio.Event()

    async def writer(number: int) -> None:
        async with either_store.connection() as con:
            source = await sources.ensure(con, f"writer {number}", "user")
            for post in range(25):
                at = np.array([to_datetime64(FIRST) + (post * 19 + number) * HOUR])
                await write_beliefs(
                    con, BeliefBatch(rolled_up_sensor, at, to_datetime64(FIRST) + HOUR, np.array([1.0]), source)
                )
                [own] = [one for one in await load_source_statistics(con, rolled_up_sensor) if one.source_id == source]
                assert own.count == post + 1

    async def roll_up() -> None:
        while not finished.is_set():
            await daily_rollups.refresh(either_store)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(roll_up())
        await asyncio.gather(*(writer(number) for number in range(4)))
        finished.set()
    await daily_rollups.refresh(either_store)
    async with either_store.connection() as con:
        assert await con.fetchval("select count(*) from belief_day_due") == 0
        await check(con, rolled_up_sensor, "Europe/Amsterdam")
