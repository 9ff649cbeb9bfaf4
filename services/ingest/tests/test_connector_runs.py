"""Runs of connectors over a real database: claims, retries, backfills, and what is stored and recorded."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flexmodel.errors import Conflict, Invalid, NotFound, Unavailable
from flexserve import logs
from ingest.connectors import connector_runner as runner_module
from ingest.connectors import repository
from ingest.connectors import service as connectors
from ingest.connectors.connector_runner import LEASE, split_window
from ingest.connectors.fetched_series import FetchError, TemporaryFetchError
from ingest.connectors.registry import get_kind
from ingest.connectors.service import ConnectorChanges
from ingest_service import CONNECTOR_SECRET, ConnectorBench, Service
from waiting import until

START = datetime(2026, 2, 3, tzinfo=UTC)


def answer_of(*values: float | None, start: datetime = START) -> str:
    items = [{"t": (start + timedelta(hours=hour)).isoformat(), "p": value} for hour, value in enumerate(values)]
    return json.dumps({"data": items})


async def test_what_is_due_runs_and_is_stored(bench: ConnectorBench, service: Service) -> None:
    bench.provider.reply(answer_of(1, None, 3))
    number = await bench.add()
    assert await bench.due() == [number]
    before = datetime.now(UTC)
    await bench.runner.run_due(number)
    assert await service.values(bench.sensor) == {START: 1, START + timedelta(hours=2): 3}
    row = await bench.row(number)
    assert before <= row["last_success_at"] == row["last_run_at"]
    assert (row["last_error"], row["failures"], row["claim"], row["sent_at"]) == (None, 0, None, None)
    assert row["data_until"] == START + timedelta(hours=3)
    assert timedelta(minutes=59) < row["next_run_at"] - datetime.now(UTC) <= timedelta(hours=1)
    assert await bench.due() == []
    async with bench.store.connection() as con:
        [source] = await con.fetch("select distinct s.* from source s join belief b on b.source_id = s.id")
    assert (source["name"], source["type"], source["model"]) == ("prices", "gateway", f"connector {number}")


async def test_a_run_that_finds_the_same_changes_nothing(bench: ConnectorBench, service: Service) -> None:
    bench.provider.reply(answer_of(1, 2))
    number = await bench.add()
    await bench.runner.run_due(number)
    ran = await bench.runner.run_now(number)
    assert (ran.written.new, ran.written.unchanged) == (0, 2)
    assert len(await service.rows(bench.sensor)) == 2


async def test_a_run_that_fails_leaves_what_was_there_and_says_why(bench: ConnectorBench, service: Service) -> None:
    bench.provider.reply(answer_of(1))
    bench.provider.reply(status=404)
    number = await bench.add()
    await bench.runner.run_due(number)
    good = await bench.row(number)
    for failures, minutes in ((1, 1), (2, 2), (3, 4)):
        await bench.set(number, next_run_at=datetime.now(UTC))
        await bench.runner.run_due(number)
        row = await bench.row(number)
        assert (row["failures"], row["last_error"]) == (failures, "127.0.0.1 answered with status 404.")
        wait = row["next_run_at"] - datetime.now(UTC)
        assert timedelta(minutes=0.95 * minutes) < wait < timedelta(minutes=1.15 * minutes)
    assert (row["last_success_at"], row["data_until"]) == (good["last_success_at"], good["data_until"])
    assert await service.values(bench.sensor) == {START: 1}
    bench.provider.replies.clear()
    bench.provider.reply(answer_of(1, 2))
    await bench.runner.run_now(number)
    row = await bench.row(number)
    assert (row["failures"], row["last_error"]) == (0, None)


async def test_failures_never_wait_longer_than_usual_unless_the_server_says_so(bench: ConnectorBench) -> None:
    bench.provider.reply(status=429, headers={"Retry-After": "7200"})
    number = await bench.add(every=timedelta(minutes=5))
    await bench.set(number, failures=50)
    await bench.runner.run_due(number)
    row = await bench.row(number)
    assert timedelta(hours=2) <= row["next_run_at"] - row["last_run_at"] < timedelta(hours=2.3)
    bench.provider.replies.clear()
    bench.provider.reply(status=429, headers={"Retry-After": "999999999"})
    with pytest.raises(TemporaryFetchError):
        await bench.runner.run_now(number)
    row = await bench.row(number)
    assert row["next_run_at"] - row["last_run_at"] < timedelta(days=1.2)
    bench.provider.replies.clear()
    bench.provider.reply(status=404)
    with pytest.raises(FetchError):
        await bench.runner.run_now(number)
    row = await bench.row(number)
    assert row["next_run_at"] - row["last_run_at"] < timedelta(minutes=6)


async def test_one_run_at_a_time_however_many_begin(bench: ConnectorBench) -> None:
    bench.provider.reply(answer_of(1), delay=0.3)
    bench.provider.reply(delay=60)
    number = await bench.add()
    await asyncio.gather(*(bench.runner.run_due(number) for _ in range(5)))
    assert len(bench.provider.requests) == 1
    going = asyncio.create_task(bench.runner.run_now(number))
    await until(lambda: len(bench.provider.requests) == 2)
    with pytest.raises(Conflict, match="running right now"):
        await bench.runner.run_now(number)
    going.cancel()


async def test_what_is_due_is_told_to_one_and_again_if_nothing_came_of_it(bench: ConnectorBench) -> None:
    number = await bench.add()
    found = await asyncio.gather(*(bench.due() for _ in range(6)))
    assert sorted(found, key=len) == [[], [], [], [], [], [number]]
    await bench.set(number, sent_at=datetime.now(UTC) - repository.REANNOUNCE_AFTER)
    assert await bench.due() == [number]


async def test_a_run_that_died_is_taken_over_when_its_lease_is_over(bench: ConnectorBench) -> None:
    bench.provider.reply(answer_of(1))
    number = await bench.add()
    async with bench.store.connection() as con:
        dead = await repository.claim(con, number, LEASE, forced=False)
    assert dead is not None
    await bench.runner.run_due(number)
    assert bench.provider.requests == []
    await bench.set(number, claimed_until=datetime.now(UTC))
    await bench.runner.run_due(number)
    after = await bench.row(number)
    async with bench.store.connection() as con:
        assert not await repository.extend_claim(con, dead, LEASE)
        await repository.record_failure(con, dead, "I am back", timedelta(0))
    assert await bench.row(number) == after


async def test_a_run_is_not_taken_over_however_long_it_takes(
    bench: ConnectorBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "LEASE", timedelta(seconds=0.3))
    monkeypatch.setattr(runner_module, "HEARTBEAT_SECONDS", 0.1)
    bench.provider.reply(answer_of(1), delay=0.8)
    number = await bench.add()
    going = asyncio.create_task(bench.runner.run_due(number))
    await asyncio.sleep(0.6)
    await bench.runner.run_due(number)
    await going
    assert len(bench.provider.requests) == 1
    assert (await bench.row(number))["last_error"] is None


async def test_a_run_that_is_cut_off_begins_anew(bench: ConnectorBench) -> None:
    bench.provider.reply(delay=60)
    number = await bench.add()
    going = asyncio.create_task(bench.runner.run_due(number))
    await until(lambda: bench.provider.requests)
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    row = await bench.row(number)
    assert (row["claim"], row["failures"], row["last_run_at"]) == (None, 0, None)
    assert await bench.due() == [number]


async def test_backfilling_asks_part_by_part_and_says_nothing_of_the_connector(
    bench: ConnectorBench, service: Service
) -> None:
    for month in range(3):
        bench.provider.reply(answer_of(month, start=START + month * timedelta(days=31)))
    number = await bench.add()
    before = await bench.row(number)
    told = []
    window = (START, START + timedelta(days=80))
    ran = await bench.runner.run_now(number, window, lambda until, written: told.append((until, written.new)))
    assert ran.written.new == 3
    assert told == [(START + timedelta(days=31), 1), (START + timedelta(days=62), 2), (START + timedelta(days=80), 3)]
    assert [asked["path"] for asked in bench.provider.requests] == ["/2026-02-03", "/2026-03-06", "/2026-04-06"]
    assert dict(await bench.row(number)) == dict(before)


async def test_a_backfill_that_fails_keeps_what_it_had(bench: ConnectorBench, service: Service) -> None:
    bench.provider.reply(answer_of(1))
    bench.provider.reply(status=404)
    number = await bench.add()
    with pytest.raises(FetchError, match="404"):
        await bench.runner.run_now(number, (START, START + timedelta(days=60)))
    assert await service.values(bench.sensor) == {START: 1}
    row = await bench.row(number)
    assert (row["claim"], row["failures"], row["last_error"]) == (None, 0, None)


def test_windows_that_make_no_sense() -> None:
    for start, end in ((START, START), (START, START - timedelta(days=1)), (START, START + timedelta(days=40_000))):
        with pytest.raises(Invalid):
            list(split_window(start, end, timedelta(days=31)))


async def test_while_the_database_is_away_nothing_is_said_of_the_connector(
    bench: ConnectorBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = await bench.add()

    async def away(*_: object) -> None:
        raise Unavailable("database")

    monkeypatch.setattr(get_kind("http-json"), "fetch", away)
    with pytest.raises(Unavailable):  # so that the message goes back to its queue
        await bench.runner.run_due(number)
    row = await bench.row(number)
    assert (row["claim"], row["failures"], row["last_error"]) == (None, 0, None)


async def test_what_is_not_there_and_what_listens_cannot_be_run(bench: ConnectorBench) -> None:
    with pytest.raises(NotFound):
        await bench.runner.run_now(99)
    number = await bench.add()
    await bench.set(number, kind="mqtt")
    with pytest.raises(Conflict, match="listens all the time"):
        await bench.runner.run_now(number)
    assert (await bench.row(number))["failures"] == 0


async def test_bugs_of_ours_are_noted_too(bench: ConnectorBench, monkeypatch: pytest.MonkeyPatch) -> None:
    number = await bench.add()

    async def broken(*_: object) -> None:
        raise RuntimeError(f"with {CONNECTOR_SECRET}")

    monkeypatch.setattr(get_kind("http-json"), "fetch", broken)
    await bench.runner.run_due(number)
    row = await bench.row(number)
    assert (row["last_error"], row["failures"]) == ("Internal error (RuntimeError). Please report it.", 1)


async def test_the_log_says_which_connector_ran(bench: ConnectorBench, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []

    class Log:
        def info(self, event: str, **_: object) -> None:
            said.append((event, logs.current("connector"), logs.current("kind")))

    monkeypatch.setattr(runner_module, "log", Log())
    bench.provider.reply(answer_of(1))
    number = await bench.add()
    await bench.runner.run_due(number)
    assert said == [("a connector ran", number, "http-json")]


async def test_a_series_that_does_not_fit_its_sensor_does_not_keep_the_others_out(
    bench: ConnectorBench, service: Service
) -> None:
    bench.provider.reply(json.dumps({"data": [{"t": "2026-02-03T00:00Z", "p": 1, "q": 2}]}))
    number = await bench.add()
    power = await service.add_sensor("kW", 60)
    price = {"values": "p", "unit": "EUR/MWh"}
    given = {"series": {"price": price, "power": {"values": "q", "unit": "kW"}}}
    async with bench.store.transaction() as con:
        await connectors.edit(
            con, number, ConnectorChanges(settings=given, sensors={"price": bench.sensor, "power": power})
        )
        await con.execute("update sensor set unit = 'm/s' where id = $1", power)
    await bench.runner.run_due(number)
    assert f"does not fit sensor {power}" in (await bench.row(number))["last_error"]
    assert await service.values(bench.sensor) == {START: 1}
