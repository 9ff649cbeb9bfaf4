"""Aggregation of readings into events, also on days of clock changes."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from flexmodel.time import Instants
from hypothesis import given
from hypothesis import strategies as st
from ingest.connectors.mqtt.aggregation import Meaning, aggregate_readings, event_bounds, event_starts
from ingest.data.repository import Sensor

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
QUARTER, HOUR = timedelta(minutes=15), timedelta(hours=1)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def at(*minutes: float) -> Instants:
    offsets = np.array([round(60e6 * minute) for minute in minutes], dtype="timedelta64[us]")
    times: Instants = np.datetime64("2026-03-02T12:00", "us") + offsets
    return times


def events(
    meaning: Meaning, readings: Mapping[int, float] | Mapping[float, float], count: int = 2, gap: timedelta = HOUR
) -> list[float | None]:
    """Aggregate readings by minute into `count` quarters of an hour."""
    times, values = at(*readings), np.array(list(readings.values()), dtype=float)
    found = aggregate_readings(meaning, at(*range(0, 15 * (count + 1), 15)), times, values, gap)
    return [None if np.isnan(value) else value for value in found.tolist()]


@pytest.mark.parametrize(
    ("resolution", "day", "count"),
    [
        (HOUR, (2026, 3, 29), 23),
        (HOUR, (2026, 10, 25), 25),
        (QUARTER, (2026, 3, 29), 92),
        (timedelta(days=1), (2026, 10, 25), 1),
        (timedelta(hours=4), (2026, 3, 29), 6),
        (timedelta(minutes=1), (2026, 3, 2), 1440),
    ],
)
def test_events_of_a_local_day(resolution: timedelta, day: tuple[int, int, int], count: int) -> None:
    start = datetime(*day, tzinfo=AMSTERDAM)
    found = event_bounds(start, start + timedelta(days=1), resolution, AMSTERDAM)
    assert len(found) == count + 1
    assert (found[0], found[-1]) == tuple(
        np.datetime64(moment.astimezone(UTC).replace(tzinfo=None)) for moment in (start, start + timedelta(days=1))
    )


def test_hours_tick_with_the_clock_on_the_wall_where_it_is_off_by_half_an_hour() -> None:
    found = event_bounds(NOON, NOON + timedelta(minutes=1), HOUR, ZoneInfo("Asia/Kolkata"))
    assert [f"{tick:%H:%M}" for tick in found.tolist()] == ["11:30", "12:30"]


def test_an_event_that_ends_when_asked_is_the_last() -> None:
    assert len(event_bounds(NOON, NOON + QUARTER, QUARTER, UTC)) == 2
    assert len(event_bounds(NOON, NOON, QUARTER, UTC)) == 1


def test_levels_are_averaged_over_the_time_they_hold() -> None:
    assert events("level", {0: 2, 10: 5, 15: 7}) == [3.0, 7.0]
    assert events("level", {-5: 2, 7.5: 4}) == [3.0, 4.0]


def test_a_level_holds_no_longer_than_the_longest_gap() -> None:
    assert events("level", {0: 4}, count=3, gap=timedelta(minutes=20)) == [4.0, 4.0, None]
    assert events("level", {0: 4, 12: 10}, count=1, gap=timedelta(minutes=3)) == [7.0]


def test_what_happened_before_the_first_reading_is_not_guessed() -> None:
    assert events("level", {20: 3}) == [None, 3.0]
    assert events("level", {}) == [None, None]


def test_a_steady_level_has_no_float_dust() -> None:
    assert events("level", {m / 6: 0.1 for m in range(180)}) == [0.1, 0.1]


def test_amounts_add_up_in_the_event_that_they_end() -> None:
    assert events("amount", {5: 1, 15: 2, 20: 4}) == [3.0, 4.0]
    assert events("amount", {0: 8, 40: 8}) == [None, None]


def test_the_last_reading_of_each_event() -> None:
    assert events("last", {0: 1, 14: 2, 15: 3}) == [2.0, 3.0]
    assert events("last", {31: 2}, count=3) == [None, None, 2.0]


def test_counters_are_differenced_between_the_readings_around_each_bound() -> None:
    assert events("counter", {0: 100, 15: 101, 30: 103}) == [1.0, 2.0]
    assert events("counter", {-5: 100, 5: 110, 20: 125, 35: 155}) == [15.0, 25.0]


def test_a_counter_that_has_not_gone_past_the_end_of_an_event_does_not_tell() -> None:
    assert events("counter", {0: 100, 15: 101, 29: 103}) == [1.0, None]
    assert events("counter", {5: 100, 30: 101}) == [None, pytest.approx(0.6)]
    assert events("counter", {}) == [None, None]


def test_a_counter_that_starts_anew_leaves_one_event_unknown() -> None:
    assert events("counter", {0: 100, 15: 101, 20: 102, 25: 0, 30: 1, 45: 4}, count=3) == [1.0, None, 3.0]
    assert events("counter", {0: 100, 14: 101, 16: 0, 45: 3}, count=3) == [None, None, pytest.approx(1.5517241379310)]


def test_a_long_silence_of_a_counter_is_not_spread_over_its_events() -> None:
    silent = {0: 100, 100: 200}
    assert events("counter", silent, count=6) == [None] * 6
    counted = events("counter", silent, count=6, gap=timedelta(hours=2))
    assert sum(value for value in counted if value is not None) == pytest.approx(90)


@given(st.lists(st.tuples(st.integers(-30, 120), st.integers(0, 1000)), min_size=1, unique_by=lambda pair: pair[0]))
def test_means_stay_within_the_readings_and_counters_give_what_they_counted(pairs: list[tuple[int, int]]) -> None:
    readings = dict(sorted(pairs))
    means = [value for value in events("level", readings, count=6) if value is not None]
    assert all(min(readings.values()) <= value <= max(readings.values()) for value in means)
    rising = dict(zip(readings, sorted(readings.values()), strict=True))
    counted = events("counter", rising, count=6, gap=timedelta(days=1))
    known = [value for value in counted if value is not None]
    assert all(value >= 0 for value in known)
    assert sum(known) <= max(rising.values()) - min(rising.values()) + 1e-9


@pytest.mark.parametrize(
    ("time_is", "resolution", "moment", "start"),
    [
        ("start", QUARTER, "2026-03-02T12:14:59", "2026-03-02T12:00"),
        ("end", QUARTER, "2026-03-02T12:15:00", "2026-03-02T12:00"),
        ("end", QUARTER, "2026-03-02T12:15:02", "2026-03-02T12:00"),
        ("end", QUARTER, "2026-03-02T12:14:58", "2026-03-02T12:00"),
        ("start", timedelta(days=1), "2026-10-25T22:30", "2026-10-24T22:00"),  # a day of 25 hours
        ("end", timedelta(days=1), "2026-10-25T23:00", "2026-10-24T22:00"),
    ],
)
def test_the_event_that_a_value_is_of(
    time_is: Literal["start", "end"], resolution: timedelta, moment: str, start: str
) -> None:
    sensor = Sensor(1, "x", "kW", resolution, "Europe/Amsterdam", None)
    assert event_starts(np.array([moment], dtype="datetime64[us]"), time_is, sensor) == np.datetime64(start)
