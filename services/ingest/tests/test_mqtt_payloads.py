"""Parsing of messages of devices, and their errors."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from ingest.connectors.fetched_series import FetchError
from ingest.connectors.loaded_connector import parse_settings, split_secrets
from ingest.connectors.mqtt.inbox import MqttMessage
from ingest.connectors.mqtt.listener import Mqtt
from ingest.connectors.mqtt.mapping import map_series
from ingest.connectors.mqtt.payloads import parse_readings
from ingest.connectors.mqtt.settings import MqttSeries, MqttSettings
from ingest.data.repository import Sensor
from pydantic import ValidationError

ARRIVED = datetime(2026, 3, 2, 12, 0, 7, tzinfo=UTC)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def message(payload: object) -> MqttMessage:
    content = payload if isinstance(payload, bytes) or payload is None else json.dumps(payload).encode()
    return MqttMessage("meters/1/power", content, 1, 1, False, ARRIVED)


def series(**more: object) -> MqttSeries:
    return MqttSeries.model_validate({"topic": "meters/1/power", "unit": "W", **more})


def readings(payload: object, **more: object) -> list[tuple[datetime, float]]:
    found = parse_readings(message(payload), series(**more))
    times = [time.replace(tzinfo=UTC) for time in found.times.astype("datetime64[us]").tolist()]
    return list(zip(times, found.values.tolist(), strict=True))


@pytest.mark.parametrize("payload", [b"12.5", b" 12.5\n", b"+12.5", b'"12.5"', b"1.25e1"])
def test_a_number_alone_was_read_when_it_arrived(payload: bytes | None) -> None:
    assert readings(payload) == [(ARRIVED, 12.5)]


@pytest.mark.parametrize(
    ("time", "more"),
    [
        ("2026-03-02T13:00:00+01:00", {}),
        ("2026-03-02T12:00:00Z", {}),
        ("2026-03-02T13:00:00", {"timezone": "Europe/Amsterdam"}),
        ("2026-03-02T12:00:00", {}),
        (NOON.timestamp(), {}),
        (NOON.timestamp() * 1000, {"epoch": "ms"}),
    ],
)
def test_times(time: str, more: dict[str, Any]) -> None:
    payload = {"Time": time, "ENERGY": {"Power": 230}}
    assert readings(payload, value="ENERGY.Power", time="Time", **more) == [(NOON, 230.0)]


@pytest.mark.parametrize(
    ("arrived", "read_at"),
    [("2026-10-25T00:30:02Z", "2026-10-25T00:30:00Z"), ("2026-10-25T01:29:58Z", "2026-10-25T01:30:00Z")],
)
def test_a_time_that_the_clock_shows_twice_is_the_one_that_is_new(arrived: str, read_at: str) -> None:
    payload = json.dumps({"t": "2026-10-25T02:30:00", "v": 1}).encode()
    sent = MqttMessage("meters/1/power", payload, 1, 1, False, datetime.fromisoformat(arrived))
    found = parse_readings(sent, series(value="v", time="t", timezone="Europe/Amsterdam"))
    assert found.times.tolist() == [datetime.fromisoformat(read_at).replace(tzinfo=None)]


def test_several_readings_in_one_message() -> None:
    minute = timedelta(minutes=1)
    rows = [{"t": (NOON + i * minute).isoformat(), "v": i} for i in range(3)]
    expected = [(NOON + i * minute, float(i)) for i in range(3)]
    assert readings(rows, items="@", value="v", time="t") == expected
    assert readings(rows, value="[].v", time="[].t") == expected
    columns = {"t": [row["t"] for row in rows], "v": [0, None, 2]}
    assert readings(columns, value="v", time="t") == [expected[0], expected[2]]


def test_a_message_may_tell_its_unit() -> None:
    assert parse_readings(message({"v": 1, "u": "kW"}), series(value="v", unit_in="u")).unit == "kW"
    assert parse_readings(message({"v": 1}), series(value="v")).unit == "W"


@pytest.mark.parametrize(
    ("payload", "more", "reason"),
    [
        (b"", {}, "neither a number nor JSON"),
        (None, {}, "larger than 1 MB"),
        (b"on", {}, "neither a number nor JSON"),
        (b"\xff\xfe", {}, "neither a number nor JSON"),
        (b"12,5", {}, "neither a number nor JSON"),
        (b"1_000", {}, "neither a number nor JSON"),
        (b"NaN", {}, "no number in it"),
        (b"null", {}, "no number in it"),
        (b"Infinity", {}, "is not a number"),
        (b"1e999", {}, "is not a number"),
        (b"1" + b"0" * 400, {}, "too large"),
        (b"true", {}, "is not a number"),
        (b'{"v": 1}', {}, "is not a number"),
        (b"[" * 100_000, {}, "neither a number nor JSON"),
        (b'{"a":' * 150 + b"1" + b"}" * 150, {"value": ".".join("a" * 60)}, "is not a number"),
        ({"v": 1}, {"value": "w"}, "no number in it"),
        ({"v": 1}, {"value": "v", "time": "t"}, "A time that should be there is not"),
        ({"v": 1, "t": "yesterday"}, {"value": "v", "time": "t"}, "'yesterday' is not a time"),
        ({"v": 1, "t": 9e99}, {"value": "v", "time": "t"}, "time between 1970 and 2200"),
        ({"v": [1, 2], "t": [0]}, {"value": "v", "time": "t"}, "1 times and 2 values"),
        ({"v": 1, "u": 3}, {"value": "v", "unit_in": "u"}, "there is no unit"),
        ({"v": list(range(20_000))}, {"value": "v"}, "too many"),
        ([], {"value": "[].v"}, "no number in it"),
    ],
    ids=range(23),
)
def test_what_is_not_understood_is_refused_with_the_reason(
    payload: bytes | None, more: dict[str, Any], reason: str
) -> None:
    with pytest.raises(FetchError) as refused:
        parse_readings(message(payload), series(**more))
    assert reason in refused.value.message
    assert len(refused.value.message) < 200


@pytest.mark.parametrize("topic", ["a", "a/+/b", "+/+", "a/#", "#", "/a/", "$SYS/x"])
def test_topics(topic: str) -> None:
    assert MqttSeries(topic=topic, unit="W").topic == topic


@pytest.mark.parametrize("topic", ["", "a/#/b", "a+", "a/b#", "x" * 501, "a\0b"])
def test_topics_that_are_none(topic: str) -> None:
    with pytest.raises(ValidationError):
        MqttSeries(topic=topic, unit="W")


def settings(**more: object) -> MqttSettings:
    return MqttSettings.model_validate({"host": "broker", "series": {"power": {"topic": "a", "unit": "W"}}, **more})


def test_settings_that_do_not_go_together() -> None:
    of_ours = {"certificate": "...", "key": "..."}
    for wrong in ({"ca": "..."}, {"password": "x"}, {"client_id": ""}, {"qos": 2}, {"host": "mqtt://broker"}, of_ours):
        with pytest.raises(ValidationError):
            settings(**wrong)


def test_every_connector_has_a_name_of_its_own_at_the_broker() -> None:
    assert settings().client_id != settings().client_id
    assert len(settings().client_id) <= 23  # more, some brokers refuse
    kept = split_secrets(Mqtt(), settings())[0]
    assert parse_settings(Mqtt(), kept) == parse_settings(Mqtt(), kept)  # it is stored, not thought up again
    assert settings().address == ("broker", 1883)
    assert settings(tls=True).address == ("broker", 8883)


def one(unit: str, meaning: str, sensor_unit: str, minutes: float) -> str:
    """Return the unit in which readings are stored."""
    sensor = Sensor(1, "x", sensor_unit, timedelta(minutes=minutes), "UTC", None)
    given = MqttSettings(host="b", series={"x": {"topic": "a", "unit": unit, "meaning": meaning}})
    return map_series(given, {"x": sensor})["x"].unit


@pytest.mark.parametrize(
    ("unit", "meaning", "sensor", "minutes", "kept"),
    [
        ("W", "level", "kW", 15, "kW"),
        ("degF", "level", "°C", 15, "°C"),
        ("W", "level", "kW", 0, "kW"),
        ("Wh", "counter", "kWh", 15, "kWh"),
        ("Wh", "counter", "kW", 15, "(kW) * h"),
        ("Wh", "amount", "MW", 15, "(MW) * h"),
        ("m^3", "counter", "m^3/h", 60, "(m^3/h) * h"),
        ("Wh", "event", "kW", 15, "kW"),
        ("Wh", "counter", "kWh", 0, "kWh"),
    ],
)
def test_readings_are_kept_in_a_unit_that_follows_from_the_sensor(
    unit: str, meaning: str, sensor: str, minutes: float, kept: str
) -> None:
    assert one(unit, meaning, sensor, minutes) == kept


@pytest.mark.parametrize(
    ("unit", "meaning", "sensor", "minutes"),
    [
        ("Wh", "level", "kW", 15),
        ("W", "level", "kWh", 15),
        ("Wh", "counter", "kW", 0),
        ("°C", "counter", "kW", 15),
        ("W", "event", "kWh", 15),
        ("W", "level", "kW", 7),
        ("W", "level", "kW", 60 * 24 * 7),
    ],
)
def test_readings_that_cannot_become_values_are_refused_at_once(
    unit: str, meaning: str, sensor: str, minutes: float
) -> None:
    with pytest.raises(FetchError, match="cannot become"):
        one(unit, meaning, sensor, minutes)


def test_readings_hold_no_holes() -> None:
    assert not np.isnan(parse_readings(message({"v": [1, None]}), series(value="v")).values).any()
