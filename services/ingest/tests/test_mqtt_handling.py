"""Handling of messages over a real database: readings wait for the end of their event, and are never mixed."""

import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from flexmodel.errors import Unavailable
from ingest.belief_writer import BeliefWriter
from ingest.connectors import repository as connectors
from ingest.connectors.connector_kind import ListenerContext
from ingest.connectors.fetched_series import FetchedSeries, FetchError
from ingest.connectors.loaded_connector import load_connector
from ingest.connectors.mqtt import listener
from ingest.connectors.mqtt.event_finalizer import EventFinalizer
from ingest.connectors.mqtt.inbox import MqttMessage
from ingest.connectors.mqtt.mapping import SeriesMapping, map_series
from ingest.connectors.mqtt.message_handler import MessageHandler, ParsedMessages
from ingest.connectors.mqtt.settings import MqttSettings
from ingest.connectors.series_writer import store_series
from ingest_service import Service
from prometheus_client import REGISTRY

type MakeMeter = Callable[..., Awaitable["Meter"]]

MINUTE, HOUR, LATE = timedelta(minutes=1), timedelta(hours=1), timedelta(days=3)


@pytest.fixture
def noon() -> datetime:
    """Noon UTC of a recent day, all of whose readings are in the past and none too late."""
    return (datetime.now(UTC) - timedelta(hours=25)).replace(hour=12, minute=0, second=0, microsecond=0)


@dataclass
class Meter:
    """A connector with the handler of its messages."""

    service: Service
    connector: int
    sensor: int
    context: ListenerContext
    mappings: dict[str, SeriesMapping]
    handler: MessageHandler
    finalizer: EventFinalizer

    async def say(self, *payloads: str, topic: str = "m/1", retained: bool = False, at: datetime | None = None) -> None:
        arrived = at or datetime.now(UTC)
        messages = [MqttMessage(topic, text.encode(), 1, i, retained, arrived) for i, text in enumerate(payloads)]
        await self.handler.store(self.handler.parse(messages))

    async def read(self, start: datetime, readings: dict[float, float]) -> None:
        """Handle readings by minute, each in a message of its own."""
        await self.say(*(f'{{"t": "{(start + m * MINUTE).isoformat()}", "v": {v}}}' for m, v in readings.items()))

    async def values(self, start: datetime) -> dict[float, float]:
        """Return the stored values by minute."""
        found = await self.service.values(self.sensor)
        return {(time - start) / MINUTE: value for time, value in found.items()}

    async def count(self, table: str) -> int:
        async with self.service.store.connection() as con:
            number: int = await con.fetchval(f"select count(*) from {table}")
        return number

    def restarted(self) -> "Meter":
        """Return the meter as after a restart of the process."""
        handler = MessageHandler(self.mappings, LATE, self.context)
        return replace(self, handler=handler, finalizer=EventFinalizer(self.mappings, handler))


@pytest.fixture
def meter(service: Service) -> MakeMeter:
    async def make(unit: str = "W", sensor_unit: str = "kW", minutes: float = 15, **series: object) -> Meter:
        sensor = await service.add_sensor(sensor_unit, minutes)
        told = {"topic": "m/+", "unit": unit, "value": "v", "time": "t", **series}
        async with service.store.transaction() as con:
            number = await con.fetchval(
                "insert into connector (account_id, kind, name, config, every) values ($1, 'mqtt', $2, $3, '1h')"
                " returning id",
                service.account,
                f"meter {sensor}",
                {"host": "broker", "client_id": "x", "series": {"power": told}},
            )
            await con.execute("insert into connector_sensor values ($1, 'power', $2)", number, sensor)
            row = await connectors.load(con, number)
        assert row is not None
        loaded = await load_connector(service.store, row)
        writer = BeliefWriter()

        async def deliver(fetched: Sequence[FetchedSeries]) -> None:
            await store_series(service.store, writer, loaded, fetched)

        context = ListenerContext(number, loaded.sensors, deliver, service.store)
        assert isinstance(loaded.settings, MqttSettings)
        mappings = map_series(loaded.settings, loaded.sensors)
        handler = MessageHandler(mappings, LATE, context)
        return Meter(service, number, sensor, context, mappings, handler, EventFinalizer(mappings, handler))

    return make


def outcomes() -> dict[str, float]:
    names = ("stored", "refused", "retained", "unknown")
    return {name: REGISTRY.get_sample_value("flexmesh_mqtt_messages_total", {"outcome": name}) or 0 for name in names}


async def test_readings_become_events_when_these_are_over(meter: MakeMeter, noon: datetime) -> None:
    found = await meter()
    await found.read(noon, {m / 6: 1000 + m for m in range(100)})  # every ten seconds
    await found.finalizer.finalize(noon + 15 * MINUTE)
    assert await found.values(noon) == {}  # some may still be on their way
    await found.finalizer.finalize(noon + 15 * MINUTE + timedelta(seconds=6))
    assert await found.values(noon) == {0: 1.0445}
    await found.read(noon, {30: 0})
    await found.finalizer.finalize(noon + 31 * MINUTE)
    assert (await found.values(noon))[15] == pytest.approx(1.0987, abs=1e-3)


async def test_a_process_that_is_killed_leaves_its_readings_to_the_next(meter: MakeMeter, noon: datetime) -> None:
    found = await meter("kWh", "kW", meaning="counter")
    await found.read(noon, {0: 100, 10: 101})
    found = found.restarted()
    await found.read(noon, {20: 103})
    await found.finalizer.finalize(noon + 21 * MINUTE)
    assert await found.values(noon) == {0: 8.0}
    found = found.restarted()
    await found.read(noon, {40: 104})
    await found.finalizer.finalize(noon + 41 * MINUTE)
    assert await found.values(noon) == {0: 8.0, 15: 6.0}


@pytest.mark.parametrize(
    ("unit", "meaning", "expected"),
    [
        ("kWh", "counter", {0: 1.5, 15: 1.5}),
        ("Wh", "counter", {0: 0.0015, 15: 0.0015}),
        ("kWh", "amount", {-15: 10.0, 0: 11.5, 15: 13.0}),
        ("kWh", "last", {0: 10.0, 15: 11.5, 30: 13.0}),
        ("kWh", "level", {0: 10.0, 15: 11.5, 30: 13.0}),
    ],
)
async def test_meanings(
    meter: MakeMeter, noon: datetime, unit: str, meaning: str, expected: dict[float, float]
) -> None:
    found = await meter(unit, "kWh", meaning=meaning)
    await found.read(noon, {0: 10, 15: 11.5, 30: 13})
    await found.finalizer.finalize(noon + 50 * MINUTE)
    assert await found.values(noon) == expected


async def test_a_late_reading_makes_a_new_belief_of_its_event(meter: MakeMeter, noon: datetime) -> None:
    found = await meter(unit="kW")
    await found.read(noon, {0: 1, 15: 1, 30: 1})
    await found.finalizer.finalize(noon + 50 * MINUTE)
    await found.read(noon, {7.5: 3})
    await found.finalizer.finalize(noon + 51 * MINUTE)
    assert (await found.values(noon))[0] == 2.0
    assert [row["event_value"] for row in await found.service.rows(found.sensor)][:2] == [1.0, 2.0]
    assert len(await found.service.rows(found.sensor)) == 4


async def test_a_reading_that_comes_while_its_event_is_made_is_not_forgotten(meter: MakeMeter, noon: datetime) -> None:
    found = await meter(unit="kW")
    deliver = found.context.deliver

    async def deliver_slowly(fetched: Sequence[FetchedSeries]) -> None:
        await deliver(fetched)
        found.finalizer.context = found.context
        await found.read(noon, {7.5: 3})

    await found.read(noon, {0: 1, 14: 1})
    found.finalizer.context = replace(found.context, deliver=deliver_slowly)
    await found.finalizer.finalize(noon + 16 * MINUTE)
    await found.finalizer.finalize(noon + 17 * MINUTE)
    assert (await found.values(noon))[0] == pytest.approx((7.5 + 6.5 * 3 + 1) / 15)


async def test_messages_that_come_twice_change_nothing(meter: MakeMeter, noon: datetime) -> None:
    found = await meter("kWh", meaning="amount")
    for _ in range(2):
        await found.read(noon, {1: 1, 2: 1})
    await found.finalizer.finalize(noon + 16 * MINUTE)
    assert await found.values(noon) == {0: 8.0}
    assert await found.count("reading") == 2


async def test_what_is_too_old_to_matter_is_forgotten(meter: MakeMeter, noon: datetime) -> None:
    found = await meter(unit="kW")
    await found.read(noon, dict.fromkeys(range(0, 120, 5), 1))
    await found.finalizer.finalize(noon + 121 * MINUTE)
    assert await found.count("reading") == 24
    found.handler.max_delay = timedelta(minutes=1)
    await found.finalizer.finalize(noon + 136 * MINUTE + 10 * HOUR)
    assert await found.count("reading") == 0
    assert len(await found.values(noon)) == 12  # it held for an hour after the last, which was in the eighth quarter


async def test_values_of_whole_events_are_stored_at_once(meter: MakeMeter, noon: datetime) -> None:
    found = await meter("Wh", "kW", meaning="event", time_is="end")
    await found.read(noon, {15: 500, 30.05: 250})
    assert await found.values(noon) == {0: 2.0, 15: 1.0}
    assert await found.count("reading") == 0


async def test_moments_are_stored_as_they_come(meter: MakeMeter, noon: datetime) -> None:
    found = await meter("Wh", "kWh", 0, meaning="counter")
    await found.read(noon, {0: 1000, 0.1: 1001, 7: 1002})
    await found.read(noon, {7: 1003})
    assert await found.values(noon) == {0: 1.0, 0.1: 1.001, 7: 1.003}


async def test_the_source_is_the_connector(meter: MakeMeter, noon: datetime) -> None:
    found = await meter(minutes=0)
    await found.read(noon, {0: 1})
    [row] = await found.service.rows(found.sensor)
    async with found.service.store.connection() as con:
        [source] = await con.fetch("select * from source where id = $1", row["source_id"])
    assert (source["type"], source["model"]) == ("gateway", f"connector {found.connector}")
    assert row["belief_time"] > datetime.now(UTC) - MINUTE


async def test_wrong_messages_are_counted_and_do_not_keep_the_others_out(
    meter: MakeMeter, noon: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    found = await meter(minutes=0)
    before = outcomes()
    time = noon.isoformat()
    await found.say("on", "[" * 9999, f'{{"t": "{time}", "v": NaN}}', f'{{"t": "{time}", "v": 1000}}')
    await found.say("1", topic="elsewhere")
    assert await found.values(noon) == {0: 1.0}
    assert {name: value - before[name] for name, value in outcomes().items()} == {
        "stored": 1,
        "refused": 3,
        "retained": 0,
        "unknown": 1,
    }
    said = capsys.readouterr().err
    assert said.count("a message was refused") == 1  # the others are counted until there is a next line
    assert "m/1" in said
    assert "neither a number nor JSON" in said


async def test_long_messages_are_read_beside_the_event_loop(meter: MakeMeter, monkeypatch: pytest.MonkeyPatch) -> None:
    found = await meter()
    threads = []

    def sort(messages: Sequence[MqttMessage]) -> ParsedMessages:
        threads.append(threading.current_thread())
        return ParsedMessages()

    monkeypatch.setattr(found.handler, "parse", sort)
    await listener.store_messages([], found.handler)
    assert threads != [threading.current_thread()]


async def test_retained_messages_are_taken_if_they_tell_when(meter: MakeMeter, noon: datetime) -> None:
    found = await meter(minutes=0, time=None, value=None)
    await found.say("1000", retained=True)
    assert await found.values(noon) == {}
    with_time = await meter(minutes=0)
    await with_time.say(f'{{"t": "{noon.isoformat()}", "v": 1000}}', retained=True)
    assert await with_time.values(noon) == {0: 1.0}
    wanted = await meter(minutes=0, time=None, value=None, retained=True)
    await wanted.say("1000", retained=True, at=noon)
    assert await wanted.values(noon) == {0: 1.0}


@pytest.mark.parametrize("minutes", [-5 * 24 * 60, 48 * 60])
async def test_readings_of_impossible_times_are_refused(meter: MakeMeter, noon: datetime, minutes: float) -> None:
    found = await meter()
    await found.read(noon, {minutes: 1})
    assert await found.count("reading") == 0


async def test_a_message_may_tell_another_unit_but_not_of_another_kind(meter: MakeMeter, noon: datetime) -> None:
    found = await meter(minutes=0, unit_in="u")
    time = noon.isoformat()
    await found.say(f'{{"t": "{time}", "v": 2, "u": "kW"}}', f'{{"t": "{time}", "v": 3, "u": "°C"}}')
    assert await found.values(noon) == {0: 2.0}


async def test_one_series_that_cannot_be_stored_does_not_keep_the_others_out(meter: MakeMeter, noon: datetime) -> None:
    found = await meter(minutes=0)

    async def refuse(fetched: Sequence[FetchedSeries]) -> None:
        raise FetchError("It does not fit.")

    before = outcomes()["refused"]
    found.handler.context = replace(found.context, deliver=refuse)
    await found.read(noon, {0: 1})
    assert outcomes()["refused"] == before + 1

    async def away(fetched: Sequence[FetchedSeries]) -> None:
        raise Unavailable("database")

    found.handler.context = replace(found.context, deliver=away)
    with pytest.raises(Unavailable):
        await found.read(noon, {0: 1})


async def test_readings_of_another_meaning_are_not_mixed_and_are_dropped(meter: MakeMeter, noon: datetime) -> None:
    found = await meter("kW")
    await found.read(noon, {0: 1, 5: 1})
    async with found.service.store.connection() as con:
        await con.execute("update reading set meaning = 'counter'")
        await con.execute("update reading_due set meaning = 'counter'")
    await found.finalizer.finalize(noon + HOUR)
    assert await found.values(noon) == {}
    assert await found.count("reading") == await found.count("reading_due") == 0


async def test_a_connector_that_is_deleted_takes_its_readings_with_it(meter: MakeMeter, noon: datetime) -> None:
    found = await meter("kW")
    await found.read(noon, {0: 1})
    async with found.service.store.connection() as con:
        await con.execute("delete from connector where id = $1", found.connector)
    assert await found.count("reading") == await found.count("reading_due") == 0


async def test_readings_that_wait_are_a_sign_of_life(meter: MakeMeter, noon: datetime) -> None:
    found = await meter("kW")
    delivered = []

    async def deliver(fetched: Sequence[FetchedSeries]) -> None:
        delivered.append(fetched)

    found.handler.context = replace(found.context, deliver=deliver)
    await found.read(noon, {0: 1})
    await found.read(noon, {1: 1})
    assert delivered == [[]]


async def test_a_sensor_that_is_deleted_meanwhile_is_told(meter: MakeMeter, noon: datetime) -> None:
    found = await meter("kW")
    async with found.service.store.connection() as con:
        await con.execute("delete from sensor where id = $1", found.sensor)
    with pytest.raises(FetchError, match="not there any more"):
        await found.read(noon, {0: 1})


async def test_a_sensor_whose_events_cannot_be_stored_does_not_keep_others_waiting(
    meter: MakeMeter, noon: datetime
) -> None:
    found, other = await meter("kW"), await meter("kW")
    async with found.service.store.connection() as con:  # two sensors of one connector
        await con.execute("insert into connector_sensor values ($1, 'other', $2)", found.connector, other.sensor)
    both = found.mappings | {"other": replace(other.mappings["power"], name="other")}
    handler = MessageHandler(both, LATE, found.context)
    finalizer = EventFinalizer(both, handler)
    delivered: list[str] = []

    async def deliver(fetched: Sequence[FetchedSeries]) -> None:
        delivered.extend(each.series for each in fetched)
        if fetched and fetched[0].series == "power":
            raise FetchError("It does not fit.")

    finalizer.context = handler.context = replace(found.context, deliver=deliver)
    await replace(found, handler=handler).read(noon, {0: 1})
    await finalizer.finalize(noon + HOUR)
    await finalizer.finalize(noon + HOUR + timedelta(seconds=30))
    assert sorted(set(delivered)) == ["other", "power"]
    assert delivered.count("power") == 1  # it is left alone for a minute
