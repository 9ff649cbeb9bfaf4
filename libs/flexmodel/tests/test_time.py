"""Durations, moments and steps."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from flexmodel.time import (
    TimeError,
    ceil,
    floor,
    format_duration,
    instant,
    is_on_clock,
    moment_of,
    parse_duration,
    parse_fixed_duration,
    parse_moment,
    steps,
    zone,
)
from hypothesis import given
from hypothesis import strategies as st

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
AMSTERDAM = zone("Europe/Amsterdam")
LONG_DAY = parse_moment("2026-10-25T00:00:00+02:00")
SHORT_DAY = parse_moment("2026-03-29T00:00:00+01:00")

durations = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=4000))
moments = st.integers(631152000, 3786912000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("PT15M", timedelta(minutes=15)),
        ("PT24H", DAY),
        ("P1D", 25 * HOUR),
        ("P1DT0H0M0S", 25 * HOUR),
        ("P0DT12H0M0S", 12 * HOUR),
        ("P1W", timedelta(days=7, hours=1)),
        ("P1M", timedelta(days=31, hours=1)),
        ("P1DT2H", 27 * HOUR),
        ("PT0.5H", timedelta(minutes=30)),
        ("P1.5D", 36 * HOUR),
        ("P0D", timedelta(0)),
        ("-PT1H", -HOUR),
    ],
)
def test_durations_on_the_day_with_25_hours(text: str, length: timedelta) -> None:
    assert parse_duration(text).from_start(LONG_DAY, AMSTERDAM) == length


def test_a_day_may_have_23_hours() -> None:
    assert parse_duration("P1D").from_start(SHORT_DAY, AMSTERDAM) == 23 * HOUR


def test_without_a_zone_the_offset_of_the_start_counts() -> None:
    assert parse_duration("P1D").from_start(LONG_DAY) == DAY


def test_months_end_on_days_that_exist() -> None:
    january = parse_moment("2026-01-31T10:00+01:00")
    assert parse_duration("P1M").after(january, AMSTERDAM) == parse_moment("2026-02-28T10:00+01:00")
    assert parse_duration("P11M").after(january, AMSTERDAM) == parse_moment("2026-12-31T10:00+01:00")
    assert parse_duration("P1Y1M").after(january, AMSTERDAM) == parse_moment("2027-02-28T10:00+01:00")


def test_before_goes_backwards() -> None:
    assert parse_duration("P1M").before(parse_moment("2026-03-01T00:00+01:00")) == parse_moment(
        "2026-02-01T00:00+01:00"
    )


@pytest.mark.parametrize("text", ["x", "1 hour", "P", "", "15M", 5, None, {}, ["PT1H"]])
def test_invalid_durations(text: object) -> None:
    with pytest.raises(TimeError, match="as ISO8601 duration"):
        parse_duration(text)


def test_a_fixed_duration_has_no_months() -> None:
    assert parse_fixed_duration("P1D") == DAY
    with pytest.raises(TimeError, match="years and months"):
        parse_fixed_duration("P1M")


@pytest.mark.parametrize(
    ("length", "hours", "days"),
    [
        (timedelta(0), "P0D", "P0D"),
        (timedelta(minutes=15), "PT15M", "PT15M"),
        (DAY, "PT24H", "P1D"),
        (7 * DAY, "PT168H", "P7D"),
        (timedelta(hours=1, minutes=30), "PT1H30M", "PT1H30M"),
        (timedelta(days=1, seconds=71026, microseconds=437389), "PT43H43M46.437389S", "P1DT19H43M46.437389S"),
        (-HOUR, "-PT1H", "-PT1H"),
    ],
)
def test_formatting(length: timedelta, hours: str, days: str) -> None:
    assert format_duration(length) == hours
    assert format_duration(length, days=True) == days


@given(durations, st.booleans())
def test_formatted_durations_parse_to_themselves(length: timedelta, days: bool) -> None:
    assert parse_fixed_duration(format_duration(length, days=days)) == length


@pytest.mark.parametrize("text", ["x", "2026-11-22", "", "2026-13-01T00:00Z", "0001-01-01T00:00+14:00"])
def test_invalid_datetimes(text: str) -> None:
    with pytest.raises(TimeError, match=r"^Not a valid datetime\.$"):
        parse_moment(text)


def test_a_datetime_needs_an_offset() -> None:
    with pytest.raises(TimeError, match=r"^Not a valid aware datetime\.$"):
        parse_moment("2026-11-22T00:00:00")


def test_unknown_zone() -> None:
    with pytest.raises(TimeError, match="Europe/Nowhere"):
        zone("Europe/Nowhere")


@given(moments, st.sampled_from([timedelta(minutes=5), timedelta(minutes=15), HOUR, DAY]))
def test_floor_and_ceil_are_the_ticks_around(moment: datetime, resolution: timedelta) -> None:
    below, above = floor(moment, resolution), ceil(moment, resolution)
    assert below <= moment <= above < below + 2 * resolution
    assert is_on_clock(below, resolution) and is_on_clock(above, resolution)
    assert (above == below) == is_on_clock(moment, resolution)


def test_without_a_resolution_every_moment_is_a_tick(start: datetime) -> None:
    odd = start + timedelta(seconds=7)
    assert floor(odd, timedelta(0)) == odd == ceil(odd, timedelta(0))


@given(moments)
def test_moments_survive_numpy(moment: datetime) -> None:
    assert moment_of(instant(moment)) == moment


def test_steps(start: datetime) -> None:
    ticks = steps(start, timedelta(minutes=15), 3)
    assert [moment_of(tick) - start for tick in ticks] == [timedelta(0), HOUR / 4, HOUR / 2]
    assert ticks.dtype == np.dtype("datetime64[us]")
