"""Expired beliefs are deleted, all of them and no others."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from flexmodel.errors import Invalid
from flexstore import daily_rollups, retention, timescale
from flexstore.series import BeliefBatch, load_daily_statistics, load_source_statistics, to_datetime64, write_beliefs
from flexstore.store import Store

type AddHouse = Callable[..., Awaitable[int]]

HOUR = np.timedelta64(3_600_000_000, "us")
NOW = datetime.now(UTC)
TODAY = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
DAYS = 150


async def fill(store: Store, sensor: int, hours: int = 24 * DAYS, before: int = DAYS) -> None:
    async with store.connection() as con:
        await con.execute("insert into source (name, type) values ('meter', 'user') on conflict do nothing")
        source = await con.fetchval("select id from source where name = 'meter'")
        starts = to_datetime64(TODAY - timedelta(days=before)) + np.arange(hours) * HOUR
        await write_beliefs(con, BeliefBatch(sensor, starts, starts[0], np.arange(hours, dtype=float), source))


async def count_stored(store: Store, sensor: int) -> tuple[int, datetime]:
    """Return the number of stored values and the first event. Check that statistics agree with the table."""
    async with store.connection() as con:
        row = await con.fetchrow("select count(*), min(event_start) from belief where sensor_id = $1", sensor)
        assert row is not None
        assert (await load_daily_statistics(con, sensor)).count.sum() == row[0]
        if row[0]:
            [figures] = await load_source_statistics(con, sensor)
            assert (figures.count, figures.first_event_start) == tuple(row)
    return row[0], row[1]


async def test_precedence_is_sensor_then_account_then_platform(either_store: Store, house: AddHouse) -> None:
    by_sensor = await house(sensor={"retention": "P10D"}, account={"retention": "P20D"})
    by_account = await house(account={"retention": "P20D"})
    by_platform = await house(sensor={"retention": None})
    forever = await house(sensor={"retention": "forever"}, account={"retention": "P20D"})
    invalid = await house(sensor={"retention": "a while"})
    sensors = (by_sensor, by_account, by_platform, forever, invalid)
    for sensor in sensors:
        await fill(either_store, sensor)
    deleted = await retention.delete_expired(either_store, timedelta(days=40))
    left = [await count_stored(either_store, sensor) for sensor in sensors]
    for (count, first), age in zip(left[:3], (10, 20, 40), strict=True):
        assert first == TODAY - timedelta(days=age, hours=1)  # this event ends when the day of that age begins
        assert count == 24 * age + 1
    assert [count for count, _ in left[3:]] == [24 * DAYS, 24 * DAYS]
    assert deleted == {
        sensor: 24 * DAYS - count for sensor, (count, _) in zip(sensors, left, strict=True) if count < 24 * DAYS
    }


async def test_without_retention_nothing_is_deleted(either_store: Store, house: AddHouse) -> None:
    sensor = await house()
    await fill(either_store, sensor)
    assert await retention.delete_expired(either_store) == {}
    assert (await count_stored(either_store, sensor))[0] == 24 * DAYS


async def test_rollups_of_expired_beliefs_are_deleted_as_well(either_store: Store, house: AddHouse) -> None:
    sensor = await house("Asia/Kathmandu", sensor={"retention": "P1M"})
    await fill(either_store, sensor)
    await daily_rollups.refresh(either_store)
    await retention.delete_expired(either_store)
    before = await count_stored(either_store, sensor)
    await daily_rollups.refresh(either_store)
    assert await count_stored(either_store, sensor) == before
    async with either_store.connection() as con:
        assert await con.fetchval("select min(day) from belief_per_day") > TODAY - timedelta(days=33)
    assert await retention.delete_expired(either_store) == {}


async def test_deletions_are_recorded_in_the_audit_log_of_the_account(either_store: Store, house: AddHouse) -> None:
    sensor = await house(sensor={"retention": "P30D"})
    await fill(either_store, sensor)
    deleted = await retention.delete_expired(either_store)
    async with either_store.connection() as con:
        [row] = await con.fetch("select event, account_id, details from audit_log")
        owner = await con.fetchval(
            "select account_id from asset join sensor on asset_id = asset.id where sensor.id = $1", sensor
        )
    assert row["account_id"] == owner
    assert row["event"] == f"Deleted {deleted[sensor]} values of 1 sensors, which need not be kept any longer"
    before = (TODAY - timedelta(days=30, hours=1)).isoformat()
    assert row["details"] == {"sensors": {str(sensor): {"values": deleted[sensor], "before": before}}}


async def test_only_one_process_deletes_at_a_time(either_store: Store, house: AddHouse) -> None:
    sensor = await house(sensor={"retention": "P30D"})
    await fill(either_store, sensor)
    async with either_store.connection() as con:
        await con.execute("select pg_advisory_lock($1)", retention.LOCK)
        assert await retention.delete_expired(either_store) == {}
        await con.execute("select pg_advisory_unlock($1)", retention.LOCK)
    assert await retention.delete_expired(either_store) != {}


async def test_chunks_with_only_expired_beliefs_are_dropped(
    timescale_url: str, add_house: Callable[[Store], AddHouse]
) -> None:
    store = await Store.connect(timescale_url)
    house = add_house(store)
    expired, expired_later, stays = (
        await house(sensor={"retention": "P35D"}), await house(sensor={"retention": "P65D"}), await house()
    )  # fmt: skip
    await fill(store, expired)
    await fill(store, expired_later)
    await fill(store, stays, hours=24, before=120)  # in one chunk only
    async with store.connection() as con:
        await con.execute(
            "select compress_chunk(chunk) from show_chunks('belief', older_than => $1::timestamptz) chunk", TODAY
        )
        before = await timescale.load_chunks_until(con, NOW + timedelta(days=60))
        droppable = [
            chunk
            for chunk in before
            if chunk.end <= TODAY - timedelta(days=65, hours=1)
            and not chunk.start <= TODAY - timedelta(days=120) < chunk.end
        ]
        assert droppable
        await retention.delete_expired(store)
        after = await timescale.load_chunks_until(con, NOW + timedelta(days=60))
    assert set(before) - set(after) == set(droppable)
    assert await count_stored(store, expired) == (35 * 24 + 1, TODAY - timedelta(days=35, hours=1))
    assert await count_stored(store, expired_later) == (65 * 24 + 1, TODAY - timedelta(days=65, hours=1))
    assert await count_stored(store, stays) == (24, TODAY - timedelta(days=120))
    await daily_rollups.refresh(store)
    assert (await count_stored(store, stays))[0] == 24
    await store.close()


async def test_chunks_in_use_are_not_dropped(
    timescale_url: str, add_house: Callable[[Store], AddHouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "LOCK_SECONDS", 1)
    store = await Store.connect(timescale_url)
    sensor = await add_house(store)(sensor={"retention": "P40D"})
    await fill(store, sensor)
    async with store.transaction() as busy:
        async with store.connection() as con:
            [first, *_] = await timescale.load_chunks_until(con, NOW)
        await busy.execute(f"lock table {first.name} in row exclusive mode")
        await retention.delete_expired(store)  # deletes rows instead, which needs no exclusive lock
    assert await count_stored(store, sensor) == (40 * 24 + 1, TODAY - timedelta(days=40, hours=1))
    await store.close()


@pytest.mark.parametrize("value", ["P0D", "PT23H", "-P1Y", "2 years", "", 5, ["P1D"], "P99999Y"])
def test_invalid_retentions_are_rejected(value: object) -> None:
    with pytest.raises(Invalid, match=r"retention: .*(no length of time|shorter than a day)"):
        retention.parse_retention(value)


def test_valid_retentions() -> None:
    assert retention.parse_retention("forever") is None
    two_years = retention.parse_retention("P2Y")
    assert two_years is not None
    assert two_years.before(datetime(2024, 2, 29, tzinfo=UTC)) == datetime(2022, 2, 28, tzinfo=UTC)
