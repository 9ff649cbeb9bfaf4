"""Connectors at work over a real database: who runs when, what is stored, and what is noted of it."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flexmodel.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from flexserve import logs
from ingest.connectors import configuration, gauges, repository
from ingest.connectors import running as running_module
from ingest.connectors import service as connectors
from ingest.connectors import web as web_module
from ingest.connectors.fetched import NotFetched, Passing
from ingest.connectors.registry import PULLED, kind_of
from ingest.connectors.running import LEASE, Running, parts
from ingest.connectors.service import Changes
from ingest.connectors.web import Limits, opened
from ingest.storing import Storage
from prometheus_client import REGISTRY
from waiting import until

START = datetime(2026, 2, 3, tzinfo=UTC)
SECRET = "hush-hush-hush"


def answer_of(*values: float | None, start: datetime = START) -> str:
    items = [{"t": (start + timedelta(hours=hour)).isoformat(), "p": value} for hour, value in enumerate(values)]
    return json.dumps({"data": items})


class Bench:
    """A connector that asks the provider for the values of a sensor, and what runs it."""

    def __init__(self, running: Running, sensor: int, provider: Any) -> None:
        self.running = running
        self.store = running.store
        self.sensor = sensor
        self.provider = provider

    async def add(self, name: str = "prices", **how: Any) -> int:
        config = {
            "url": f"{self.provider.url}/{{start:%Y-%m-%d}}?key={{token}}",
            "token": SECRET,
            "items": "data",
            "times": "t",
            "series": {"price": {"values": "p", "unit": "EUR/MWh"}},
        }
        changes = Changes(given=config, sensors={"price": self.sensor}, every=how.pop("every", None))
        async with self.store.transaction() as con:
            return await connectors.add(con, "http-json", name, changes)

    async def row(self, number: int) -> Any:
        async with self.store.connection() as con:
            return await con.fetchrow("select * from connector where id = $1", number)

    async def set(self, number: int, **columns: Any) -> None:
        assigned = ", ".join(f"{name} = ${place}" for place, name in enumerate(columns, 2))
        async with self.store.connection() as con:
            await con.execute(f"update connector set {assigned} where id = $1", number, *columns.values())

    async def due(self) -> list[int]:
        async with self.store.connection() as con:
            return await repository.due(con, PULLED)


@pytest.fixture
async def bench(service: Any, provider: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(web_module, "FIRST_WAIT", 0.01)
    sensor = await service.add_sensor("EUR/MWh", 60)
    async with opened(Limits(seconds=2, largest=1_000_000), private_addresses=True) as web:
        yield Bench(Running(service.store, Storage(), web), sensor, provider)


async def test_what_is_due_runs_and_is_stored(bench, service):
    bench.provider.answer(answer_of(1, None, 3))
    number = await bench.add()
    assert await bench.due() == [number]
    before = datetime.now(UTC)
    await bench.running.run_due(number)
    assert await service.values(bench.sensor) == {START: 1, START + timedelta(hours=2): 3}
    row = await bench.row(number)
    assert before <= row["last_success_at"] == row["last_run_at"]
    assert (row["last_error"], row["failures"], row["claim"], row["sent_at"]) == (None, 0, None, None)
    assert row["data_until"] == START + timedelta(hours=3)
    assert timedelta(minutes=59) < row["next_run_at"] - datetime.now(UTC) <= timedelta(hours=1)
    assert await bench.due() == []
    async with bench.store.connection() as con:
        source = await con.fetchrow("select distinct s.* from source s join belief b on b.source_id = s.id")
    assert (source["name"], source["type"], source["model"]) == ("prices", "gateway", f"connector {number}")


async def test_a_run_that_finds_the_same_changes_nothing(bench, service):
    bench.provider.answer(answer_of(1, 2))
    number = await bench.add()
    await bench.running.run_due(number)
    ran = await bench.running.run_now(number)
    assert (ran.written.new, ran.written.unchanged) == (0, 2)
    assert len(await service.rows(bench.sensor)) == 2


async def test_a_run_that_fails_leaves_what_was_there_and_says_why(bench, service):
    bench.provider.answer(answer_of(1))
    bench.provider.answer(status=404)
    number = await bench.add()
    await bench.running.run_due(number)
    good = await bench.row(number)
    for failures, minutes in ((1, 1), (2, 2), (3, 4)):
        await bench.set(number, next_run_at=datetime.now(UTC))
        await bench.running.run_due(number)
        row = await bench.row(number)
        assert (row["failures"], row["last_error"]) == (failures, "127.0.0.1 answered with status 404.")
        wait = row["next_run_at"] - datetime.now(UTC)
        assert timedelta(minutes=0.95 * minutes) < wait < timedelta(minutes=1.15 * minutes)
    assert (row["last_success_at"], row["data_until"]) == (good["last_success_at"], good["data_until"])
    assert await service.values(bench.sensor) == {START: 1}
    bench.provider.replies.clear()
    bench.provider.answer(answer_of(1, 2))
    await bench.running.run_now(number)
    row = await bench.row(number)
    assert (row["failures"], row["last_error"]) == (0, None)


async def test_failures_never_wait_longer_than_usual_unless_the_server_says_so(bench):
    bench.provider.answer(status=429, headers={"Retry-After": "7200"})
    number = await bench.add(every=timedelta(minutes=5))
    await bench.set(number, failures=50)
    await bench.running.run_due(number)
    row = await bench.row(number)
    assert timedelta(hours=2) <= row["next_run_at"] - row["last_run_at"] < timedelta(hours=2.3)
    bench.provider.replies.clear()
    bench.provider.answer(status=429, headers={"Retry-After": "999999999"})
    with pytest.raises(Passing):
        await bench.running.run_now(number)
    row = await bench.row(number)
    assert row["next_run_at"] - row["last_run_at"] < timedelta(days=1.2)
    bench.provider.replies.clear()
    bench.provider.answer(status=404)
    with pytest.raises(NotFetched):
        await bench.running.run_now(number)
    row = await bench.row(number)
    assert row["next_run_at"] - row["last_run_at"] < timedelta(minutes=6)


async def test_one_run_at_a_time_however_many_begin(bench):
    bench.provider.answer(answer_of(1), delay=0.3)
    bench.provider.answer(delay=60)
    number = await bench.add()
    await asyncio.gather(*(bench.running.run_due(number) for _ in range(5)))
    assert len(bench.provider.asked) == 1
    going = asyncio.create_task(bench.running.run_now(number))
    await until(lambda: len(bench.provider.asked) == 2)
    with pytest.raises(Conflict, match="running right now"):
        await bench.running.run_now(number)
    going.cancel()


async def test_what_is_due_is_told_to_one_and_again_if_nothing_came_of_it(bench):
    number = await bench.add()
    found = await asyncio.gather(*(bench.due() for _ in range(6)))
    assert sorted(found, key=len) == [[], [], [], [], [], [number]]
    await bench.set(number, sent_at=datetime.now(UTC) - repository.RESEND)
    assert await bench.due() == [number]


async def test_a_run_that_died_is_taken_over_when_its_lease_is_over(bench):
    bench.provider.answer(answer_of(1))
    number = await bench.add()
    async with bench.store.connection() as con:
        dead = await repository.claim(con, number, LEASE, forced=False)
    await bench.running.run_due(number)
    assert bench.provider.asked == []
    await bench.set(number, claimed_until=datetime.now(UTC))
    await bench.running.run_due(number)
    after = await bench.row(number)
    async with bench.store.connection() as con:
        assert not await repository.keep(con, dead, LEASE)
        await repository.fail(con, dead, "I am back", timedelta(0))
    assert await bench.row(number) == after


async def test_a_run_is_not_taken_over_however_long_it_takes(bench, monkeypatch):
    monkeypatch.setattr(running_module, "LEASE", timedelta(seconds=0.3))
    monkeypatch.setattr(running_module, "SIGN_SECONDS", 0.1)
    bench.provider.answer(answer_of(1), delay=0.8)
    number = await bench.add()
    going = asyncio.create_task(bench.running.run_due(number))
    await asyncio.sleep(0.6)
    await bench.running.run_due(number)
    await going
    assert len(bench.provider.asked) == 1
    assert (await bench.row(number))["last_error"] is None


async def test_a_run_that_is_cut_off_begins_anew(bench):
    bench.provider.answer(delay=60)
    number = await bench.add()
    going = asyncio.create_task(bench.running.run_due(number))
    await until(lambda: bench.provider.asked)
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    row = await bench.row(number)
    assert (row["claim"], row["failures"], row["last_run_at"]) == (None, 0, None)
    assert await bench.due() == [number]


async def test_pausing_and_resuming(bench):
    bench.provider.answer(answer_of(1))
    number = await bench.add()
    async with bench.store.transaction() as con:
        assert await connectors.switch(con, number, on=False) == "prices"
    assert await bench.due() == []
    await bench.running.run_due(number)
    assert bench.provider.asked == []
    await bench.running.run_now(number)  # who asks for it gets it
    async with bench.store.transaction() as con:
        await connectors.switch(con, number, on=True)
    assert await bench.due() == [number]


async def test_backfilling_asks_part_by_part_and_says_nothing_of_the_connector(bench, service):
    for month in range(3):
        bench.provider.answer(answer_of(month, start=START + month * timedelta(days=31)))
    number = await bench.add()
    before = await bench.row(number)
    told = []
    window = (START, START + timedelta(days=80))
    ran = await bench.running.run_now(number, window, lambda until, written: told.append((until, written.new)))
    assert ran.written.new == 3
    assert told == [(START + timedelta(days=31), 1), (START + timedelta(days=62), 2), (START + timedelta(days=80), 3)]
    assert [asked["path"] for asked in bench.provider.asked] == ["/2026-02-03", "/2026-03-06", "/2026-04-06"]
    assert dict(await bench.row(number)) == dict(before)


async def test_a_backfill_that_fails_keeps_what_it_had(bench, service):
    bench.provider.answer(answer_of(1))
    bench.provider.answer(status=404)
    number = await bench.add()
    with pytest.raises(NotFetched, match="404"):
        await bench.running.run_now(number, (START, START + timedelta(days=60)))
    assert await service.values(bench.sensor) == {START: 1}
    row = await bench.row(number)
    assert (row["claim"], row["failures"], row["last_error"]) == (None, 0, None)


def test_windows_that_make_no_sense():
    for start, end in ((START, START), (START, START - timedelta(days=1)), (START, START + timedelta(days=40_000))):
        with pytest.raises(Invalid):
            list(parts(start, end, timedelta(days=31)))


async def test_secrets_are_told_to_nobody(bench, service, capfd):
    bench.provider.answer(b"<html>", headers={"content-type": "text/html"})
    number = await bench.add()
    logging.getLogger().setLevel(logging.DEBUG)
    await bench.running.run_due(number)
    row = await bench.row(number)
    assert row["secrets"] == {"token": SECRET}
    assert bench.provider.asked[0]["query"]["key"] == SECRET
    async with bench.store.transaction() as con:
        await connectors.edit(con, number, Changes(given={"token": SECRET * 2}))
        found = await con.fetch("select * from audit_log")
        connector = await repository.find(con, number)
    assert len(found) == 2
    out, err = capfd.readouterr()
    for text in (
        str(row["config"]),
        str(row["last_error"]),
        repr([dict(each) for each in found]),
        repr(connector),
        out,
        err,
    ):
        assert SECRET not in text


async def test_a_server_that_repeats_a_secret_does_not_get_it_into_the_error(bench):
    bench.provider.answer(json.dumps({"data": [{"t": SECRET, "p": 1}]}))
    number = await bench.add()
    await bench.running.run_due(number)
    assert (await bench.row(number))["last_error"] == "'***' is not a time in ISO 8601."


async def test_while_the_database_is_away_nothing_is_said_of_the_connector(bench, monkeypatch):
    number = await bench.add()

    async def away(*_: Any) -> Any:
        raise Unavailable("database")

    monkeypatch.setattr(kind_of("http-json"), "fetch", away)
    with pytest.raises(Unavailable):  # so that the message goes back to its queue
        await bench.running.run_due(number)
    row = await bench.row(number)
    assert (row["claim"], row["failures"], row["last_error"]) == (None, 0, None)


async def test_what_is_not_there_and_what_listens_cannot_be_run(bench):
    with pytest.raises(NotFound):
        await bench.running.run_now(99)
    number = await bench.add()
    await bench.set(number, kind="mqtt")
    with pytest.raises(Conflict, match="listens all the time"):
        await bench.running.run_now(number)
    assert (await bench.row(number))["failures"] == 0


async def test_bugs_of_ours_are_noted_too(bench, monkeypatch):
    number = await bench.add()

    async def broken(*_: Any) -> Any:
        raise RuntimeError(f"with {SECRET}")

    monkeypatch.setattr(kind_of("http-json"), "fetch", broken)
    await bench.running.run_due(number)
    row = await bench.row(number)
    assert (row["last_error"], row["failures"]) == ("Internal error (RuntimeError). Please report it.", 1)


async def test_adding_looks_at_everything(bench, service):
    number = await bench.add()
    assert number
    kilowatts = await service.add_sensor("kW")
    good = {
        "url": "https://example.org/",
        "items": "a",
        "times": "t",
        "series": {"x": {"values": "p", "unit": "EUR/MWh"}},
    }
    cases: list[tuple[type[Exception], str, str, dict[str, Any]]] = [
        (Conflict, "http-json", "prices", {"sensors": {"x": bench.sensor}}),
        (Invalid, "http-json", "b", {"sensors": {}}),
        (Invalid, "http-json", "b", {"sensors": {"y": bench.sensor}}),
        (Invalid, "http-json", "b", {"sensors": {"x": kilowatts}}),
        (Invalid, "http-json", "b", {"sensors": {"x": bench.sensor}, "every": timedelta(seconds=1)}),
        (Invalid, "http-json", "b", {"sensors": {"x": bench.sensor}, "given": {"url": "x"}}),
        (NotFound, "http-json", "b", {"sensors": {"x": 999}}),
        (NotFound, "telex", "b", {"sensors": {"x": bench.sensor}}),
    ]
    for error, kind, name, changes in cases:
        with pytest.raises(error):
            async with bench.store.transaction() as con:
                await connectors.add(con, kind, name, Changes(**{"given": good, **changes}))
    async with bench.store.connection() as con:
        assert await con.fetchval("select count(*) from connector") == 1


async def test_a_connector_fills_sensors_of_its_own_account_only(bench, service):
    bench.provider.answer(answer_of(1))
    number = await bench.add()
    async with bench.store.transaction() as con:
        other = await con.fetchval("insert into account (name) values ('neighbour') returning id")
        asset = await con.fetchval(
            "insert into asset (name, account_id, asset_type_id) values ('shed', $1, 6) returning id", other
        )
        foreign = await con.fetchval(
            "insert into sensor (asset_id, name, unit, event_resolution) values ($1, 'x', 'EUR/MWh', 'PT1H')"
            " returning id",
            asset,
        )
    with pytest.raises(Forbidden, match=f"sensor {foreign}"):
        async with bench.store.transaction() as con:
            await connectors.edit(con, number, Changes(sensors={"price": foreign}))
    # Its asset may also be given away later.
    async with bench.store.connection() as con:
        await con.execute("update asset set account_id = $1 where id = $2", other, service.asset)
    await bench.running.run_due(number)
    assert "its own account" in (await bench.row(number))["last_error"]
    assert await service.rows(bench.sensor) == []


async def test_when_its_sensor_is_gone_it_says_so(bench):
    number = await bench.add()
    async with bench.store.connection() as con:
        await con.execute("delete from sensor where id = $1", bench.sensor)
    await bench.running.run_due(number)
    assert "fills no sensor" in (await bench.row(number))["last_error"]


async def test_the_metrics_tell_how_connectors_do(bench):
    bench.provider.answer(answer_of(1))
    number = await bench.add(every=timedelta(minutes=10))
    await bench.running.run_due(number)
    await bench.set(
        number,
        last_success_at=datetime.now(UTC) - timedelta(hours=1),
        data_until=datetime.now(UTC) - timedelta(hours=2),
        failures=3,
    )

    def metric(name: str) -> float | None:
        return REGISTRY.get_sample_value(f"flexmesh_connector_{name}", {"connector": str(number), "kind": "http-json"})

    from flexserve import metrics

    with gauges.shown(bench.store):
        await asyncio.gather(*(look() for look in metrics.samplers))
        assert metric("success_age_seconds") == pytest.approx(3600, abs=30)
        assert metric("data_ahead_seconds") == pytest.approx(-7200, abs=30)
        assert (metric("interval_seconds"), metric("failures")) == (600, 3)
        await bench.set(number, enabled=False)
        await asyncio.gather(*(look() for look in metrics.samplers))
        assert metric("failures") is None


async def test_what_has_never_had_data_is_no_better_than_what_has_none_any_more(bench):
    number = await bench.add()
    await bench.set(number, created_at=datetime.now(UTC) - timedelta(hours=3))

    from flexserve import metrics

    with gauges.shown(bench.store):
        await asyncio.gather(*(look() for look in metrics.samplers))
        labels = {"connector": str(number), "kind": "http-json"}
        ahead = REGISTRY.get_sample_value("flexmesh_connector_data_ahead_seconds", labels)
    assert ahead == pytest.approx(-3 * 3600, abs=30)


async def test_the_log_says_which_connector_ran(bench, monkeypatch):
    said: list[Any] = []

    class Log:
        def info(self, event: str, **_: Any) -> None:
            said.append((event, logs.current("connector"), logs.current("kind")))

    monkeypatch.setattr(running_module, "log", Log())
    bench.provider.answer(answer_of(1))
    number = await bench.add()
    await bench.running.run_due(number)
    assert said == [("a connector ran", number, "http-json")]


async def test_a_series_that_does_not_fit_its_sensor_does_not_keep_the_others_out(bench, service):
    bench.provider.answer(json.dumps({"data": [{"t": "2026-02-03T00:00Z", "p": 1, "q": 2}]}))
    number = await bench.add()
    power = await service.add_sensor("kW", 60)
    price = {"values": "p", "unit": "EUR/MWh"}
    given = {"series": {"price": price, "power": {"values": "q", "unit": "kW"}}}
    async with bench.store.transaction() as con:
        await connectors.edit(con, number, Changes(given=given, sensors={"price": bench.sensor, "power": power}))
        await con.execute("update sensor set unit = 'm/s' where id = $1", power)
    await bench.running.run_due(number)
    assert f"does not fit sensor {power}" in (await bench.row(number))["last_error"]
    assert await service.values(bench.sensor) == {START: 1}


async def test_a_sensor_holds_one_series(bench):
    number = await bench.add()
    series = {name: {"values": "p", "unit": "EUR/MWh"} for name in ("price", "other")}
    changes = Changes(given={"series": series}, sensors=dict.fromkeys(series, bench.sensor))
    async with bench.store.transaction() as con:
        with pytest.raises(Invalid, match="cannot hold both price and other"):
            await connectors.edit(con, number, changes)


async def test_places_are_those_of_the_nearest_asset_above(bench, service):
    number = await bench.add()
    async with bench.store.connection() as con:
        assert await repository.places_of(con, number) == {}
        site = await con.fetchval(
            "insert into asset (name, account_id, asset_type_id, latitude, longitude) values ('site', $1, 6, 52, 4)"
            " returning id",
            service.account,
        )
        await con.execute("update asset set parent_asset_id = $1 where id = $2", site, service.asset)
        [place] = (await repository.places_of(con, number)).values()
    assert (place.latitude, place.longitude) == (52, 4)


def test_every_kind_can_be_told_apart_and_explains_itself():
    for name in PULLED:
        kind = kind_of(name)
        assert kind.name == name
        assert kind.about.endswith(".")
        assert kind.interval >= timedelta(minutes=1)
        assert set(configuration.secret_fields(kind)) <= set(kind.settings.model_fields)
