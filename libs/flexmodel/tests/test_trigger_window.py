"""The planning window of a trigger."""

from datetime import datetime, timedelta

import pytest
from plants import Json, TriggerParser

QUARTER = timedelta(minutes=15)
DAY = timedelta(days=1)


def target(text: str) -> Json:
    return {"soc-targets": [{"datetime": text, "value": "50 kWh"}]}


def test_the_start_is_in_utc_and_the_steps_are_those_of_the_sensor(
    parse: TriggerParser, battery: Json, start: datetime
) -> None:
    trigger = parse([battery])
    assert trigger.window.start == start
    assert trigger.window.start.utcoffset() == timedelta(0)
    assert (trigger.window.resolution, trigger.window.steps) == (QUARTER, 96)
    assert trigger.requested_end == trigger.window.end == start + DAY
    assert trigger.prior is None


def test_the_finest_power_sensor_sets_the_resolution(parse: TriggerParser, battery: Json) -> None:
    charger = {"sensor": 50, "power-capacity": "11 kW"}
    assert parse([battery, charger]).window.resolution == timedelta(minutes=5)


def test_without_sensors_a_step_is_a_quarter_of_an_hour(parse: TriggerParser) -> None:
    assert parse([{"asset": 3, "power-capacity": "1 kW"}]).window.resolution == QUARTER
    assert parse([]).window.steps == 96


@pytest.mark.parametrize(("text", "steps"), [("PT1H", 24), ("PT30M", 48), ("PT5M", 288), ("PT15M", 96)])
def test_requested_resolution(parse: TriggerParser, battery: Json, text: str, steps: int) -> None:
    assert parse([battery], resolution=text).window.steps == steps


@pytest.mark.parametrize(
    ("begin", "resolution"),
    [
        ("2026-03-02T00:00:00+01:00", "PT4H"),
        ("2026-03-02T00:00:00+01:00", "P1D"),
        ("2026-03-02T00:00:00+00:00", "PT12H"),
        ("2026-03-02T00:00:00+05:30", "PT1H"),
        ("2026-03-01T23:00:00+00:00", "PT24H"),
    ],
)
def test_long_steps_count_from_local_midnight_or_that_of_utc(
    parse: TriggerParser, battery: Json, begin: str, resolution: str
) -> None:
    trigger = parse([battery], start=begin, resolution=resolution)
    assert trigger.window.start == datetime.fromisoformat(begin)


def test_a_target_extends_by_whole_steps_from_the_start(parse: TriggerParser, battery: Json, start: datetime) -> None:
    trigger = parse([battery | target("2026-03-03T05:00:00+01:00")], resolution="PT4H")
    assert trigger.window.end == start + timedelta(hours=32)


def test_on_a_sensor_the_resolution_is_a_multiple(parse: TriggerParser, battery: Json) -> None:
    del battery["sensor"]
    assert parse(battery, sensor_id=30, resolution="PT1H").window.steps == 24


def test_the_default_duration_is_the_planning_horizon(parse: TriggerParser, battery: Json) -> None:
    message = {"flex-model": [battery], "flex-context": {"consumption-price": {"sensor": 20}}}
    assert parse.raw(message, without=["duration"]).window.steps == 192


def test_a_day_counts_by_the_offset_of_the_start(parse: TriggerParser, battery: Json) -> None:
    assert parse([battery], start="2026-10-25T00:00:00+02:00", duration="P1D").window.steps == 96


def test_a_month(parse: TriggerParser, battery: Json) -> None:
    assert parse([battery], start="2026-02-01T00:00:00+01:00", duration="P1M").window.steps == 28 * 96


def test_prior(parse: TriggerParser, battery: Json, start: datetime) -> None:
    assert parse([battery], prior="2026-03-01T23:00:00+01:00").prior == start - timedelta(hours=1)


def test_a_late_target_extends_the_window_to_the_next_step(
    parse: TriggerParser, battery: Json, start: datetime
) -> None:
    trigger = parse([battery | target("2026-03-03T07:05:00+01:00")])
    assert trigger.window.end == start + timedelta(hours=31, minutes=15)
    assert trigger.requested_end == start + DAY
    assert trigger.warnings == ()


def test_minima_do_not_extend_the_window(parse: TriggerParser, battery: Json) -> None:
    minima = [{"datetime": "2026-03-03T07:00:00+01:00", "value": "50 kWh"}]
    assert parse([{**battery, "soc-minima": minima}]).window.steps == 96


@pytest.mark.parametrize(("limit", "length"), [(200, 200 * QUARTER), (timedelta(days=2), timedelta(days=2)), (10, DAY)])
def test_the_window_is_extended_no_further_than_the_limit(
    parse: TriggerParser, battery: Json, start: datetime, limit: int | timedelta, length: timedelta
) -> None:
    trigger = parse([battery | target("2027-12-01T00:00:00+01:00")], max_horizon=limit)
    assert trigger.window.end == start + length
    assert trigger.warnings == (
        "A target at 2027-12-01T00:00:00+01:00 lies beyond the end of the schedule and is left out.",
    )
