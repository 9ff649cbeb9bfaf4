"""Management of connectors over a real database: adding, editing, pausing, secrets, locations and metrics."""

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flexmodel.errors import Conflict, Forbidden, Invalid, NotFound
from ingest.connectors import connector_metrics, repository
from ingest.connectors import service as connectors
from ingest.connectors.loaded_connector import secret_fields
from ingest.connectors.registry import POLLING_KINDS, get_kind
from ingest.connectors.service import ConnectorChanges
from ingest_service import CONNECTOR_SECRET, ConnectorBench, Service
from prometheus_client import REGISTRY

START = datetime(2026, 2, 3, tzinfo=UTC)


def answer_of(*values: float | None, start: datetime = START) -> str:
    items = [{"t": (start + timedelta(hours=hour)).isoformat(), "p": value} for hour, value in enumerate(values)]
    return json.dumps({"data": items})


async def test_pausing_and_resuming(bench: ConnectorBench) -> None:
    bench.provider.reply(answer_of(1))
    number = await bench.add()
    async with bench.store.transaction() as con:
        assert await connectors.set_enabled(con, number, on=False) == "prices"
    assert await bench.due() == []
    await bench.runner.run_due(number)
    assert bench.provider.requests == []
    await bench.runner.run_now(number)  # who asks for it gets it
    async with bench.store.transaction() as con:
        await connectors.set_enabled(con, number, on=True)
    assert await bench.due() == [number]


async def test_secrets_are_told_to_nobody(
    bench: ConnectorBench, service: Service, capfd: pytest.CaptureFixture[str]
) -> None:
    bench.provider.reply(b"<html>", headers={"content-type": "text/html"})
    number = await bench.add()
    logging.getLogger().setLevel(logging.DEBUG)
    await bench.runner.run_due(number)
    row = await bench.row(number)
    assert row["secrets"] == {"token": CONNECTOR_SECRET}
    assert bench.provider.requests[0]["query"]["key"] == CONNECTOR_SECRET
    async with bench.store.transaction() as con:
        await connectors.edit(con, number, ConnectorChanges(settings={"token": CONNECTOR_SECRET * 2}))
        found = await con.fetch("select * from audit_log")
        connector = await repository.load(con, number)
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
        assert CONNECTOR_SECRET not in text


async def test_a_server_that_repeats_a_secret_does_not_get_it_into_the_error(bench: ConnectorBench) -> None:
    bench.provider.reply(json.dumps({"data": [{"t": CONNECTOR_SECRET, "p": 1}]}))
    number = await bench.add()
    await bench.runner.run_due(number)
    assert (await bench.row(number))["last_error"] == "'***' is not a time in ISO 8601."


async def test_adding_looks_at_everything(bench: ConnectorBench, service: Service) -> None:
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
        (Invalid, "http-json", "b", {"sensors": {"x": bench.sensor}, "settings": {"url": "x"}}),
        (NotFound, "http-json", "b", {"sensors": {"x": 999}}),
        (NotFound, "telex", "b", {"sensors": {"x": bench.sensor}}),
    ]
    for error, kind, name, changes in cases:
        with pytest.raises(error):
            async with bench.store.transaction() as con:
                await connectors.add(con, kind, name, ConnectorChanges(**{"settings": good, **changes}))
    async with bench.store.connection() as con:
        assert await con.fetchval("select count(*) from connector") == 1


async def test_a_connector_fills_sensors_of_its_own_account_only(bench: ConnectorBench, service: Service) -> None:
    bench.provider.reply(answer_of(1))
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
            await connectors.edit(con, number, ConnectorChanges(sensors={"price": foreign}))
    # Its asset may also be given away later.
    async with bench.store.connection() as con:
        await con.execute("update asset set account_id = $1 where id = $2", other, service.asset)
    await bench.runner.run_due(number)
    assert "its own account" in (await bench.row(number))["last_error"]
    assert await service.rows(bench.sensor) == []


async def test_when_its_sensor_is_gone_it_says_so(bench: ConnectorBench) -> None:
    number = await bench.add()
    async with bench.store.connection() as con:
        await con.execute("delete from sensor where id = $1", bench.sensor)
    await bench.runner.run_due(number)
    assert "fills no sensor" in (await bench.row(number))["last_error"]


async def test_the_metrics_tell_how_connectors_do(bench: ConnectorBench) -> None:
    bench.provider.reply(answer_of(1))
    number = await bench.add(every=timedelta(minutes=10))
    await bench.runner.run_due(number)
    await bench.set(
        number,
        last_success_at=datetime.now(UTC) - timedelta(hours=1),
        data_until=datetime.now(UTC) - timedelta(hours=2),
        failures=3,
    )

    def metric(name: str) -> float | None:
        return REGISTRY.get_sample_value(f"flexmesh_connector_{name}", {"connector": str(number), "kind": "http-json"})

    from flexserve import metrics

    with connector_metrics.publish_connector_metrics(bench.store):
        await asyncio.gather(*(look() for look in metrics.samplers))
        assert metric("success_age_seconds") == pytest.approx(3600, abs=30)
        assert metric("data_ahead_seconds") == pytest.approx(-7200, abs=30)
        assert (metric("interval_seconds"), metric("failures")) == (600, 3)
        await bench.set(number, enabled=False)
        await asyncio.gather(*(look() for look in metrics.samplers))
        assert metric("failures") is None


async def test_what_has_never_had_data_is_no_better_than_what_has_none_any_more(bench: ConnectorBench) -> None:
    number = await bench.add()
    await bench.set(number, created_at=datetime.now(UTC) - timedelta(hours=3))

    from flexserve import metrics

    with connector_metrics.publish_connector_metrics(bench.store):
        await asyncio.gather(*(look() for look in metrics.samplers))
        labels = {"connector": str(number), "kind": "http-json"}
        ahead = REGISTRY.get_sample_value("flexmesh_connector_data_ahead_seconds", labels)
    assert ahead == pytest.approx(-3 * 3600, abs=30)


async def test_a_sensor_holds_one_series(bench: ConnectorBench) -> None:
    number = await bench.add()
    series = {name: {"values": "p", "unit": "EUR/MWh"} for name in ("price", "other")}
    changes = ConnectorChanges(settings={"series": series}, sensors=dict.fromkeys(series, bench.sensor))
    async with bench.store.transaction() as con:
        with pytest.raises(Invalid, match="cannot hold both price and other"):
            await connectors.edit(con, number, changes)


async def test_places_are_those_of_the_nearest_asset_above(bench: ConnectorBench, service: Service) -> None:
    number = await bench.add()
    async with bench.store.connection() as con:
        assert await repository.load_locations(con, number) == {}
        site = await con.fetchval(
            "insert into asset (name, account_id, asset_type_id, latitude, longitude) values ('site', $1, 6, 52, 4)"
            " returning id",
            service.account,
        )
        await con.execute("update asset set parent_asset_id = $1 where id = $2", site, service.asset)
        [place] = (await repository.load_locations(con, number)).values()
    assert (place.latitude, place.longitude) == (52, 4)


def test_every_kind_can_be_told_apart_and_explains_itself() -> None:
    for name in POLLING_KINDS:
        kind = get_kind(name)
        assert kind.name == name
        assert kind.about.endswith(".")
        assert kind.interval >= timedelta(minutes=1)
        assert set(secret_fields(kind)) <= set(kind.settings.model_fields)
