"""Resampling of values to the events of a sensor: resolution, clock, belief times."""

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from flexmodel.errors import Invalid
from flexmodel.time import instant, steps
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest.data import resampling
from ingest.data.resampling import Values

HOUR, QUARTER, MINUTE = timedelta(hours=1), timedelta(minutes=15), timedelta(minutes=1)
START = datetime(2026, 3, 2, tzinfo=UTC)
AMSTERDAM, KOLKATA = ZoneInfo("Europe/Amsterdam"), ZoneInfo("Asia/Kolkata")

amounts = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50).map(np.array)
times = st.integers(1, 12)


def sentence(problem: pytest.ExceptionInfo[Invalid]) -> str:
    return problem.value.message


@given(amounts, times)
def test_averaging_keeps_the_mean(slots: Values, parts: int) -> None:
    values = np.repeat(slots, parts) + np.tile(np.arange(parts), len(slots))
    fitted = resampling.resample(values, len(slots), additive=False)
    assert len(fitted) == len(slots)
    assert fitted.mean() == pytest.approx(values.mean(), abs=1e-6)


@given(amounts, times)
def test_repeating_keeps_every_value_and_averages_back(values: Values, parts: int) -> None:
    repeated = resampling.resample(values, len(values) * parts, additive=False)
    assert (repeated.reshape(-1, parts) == values[:, None]).all()
    np.testing.assert_allclose(resampling.resample(repeated, len(values), additive=False), values, rtol=1e-12)


@given(amounts, times)
def test_amounts_keep_their_sum_both_ways(values: Values, parts: int) -> None:
    divided = resampling.resample(values, len(values) * parts, additive=True)
    assert divided.sum() == pytest.approx(values.sum(), abs=1e-6)
    np.testing.assert_allclose(resampling.resample(divided, len(values), additive=True), values, rtol=1e-9, atol=1e-9)


def test_a_hole_is_left_out_of_a_mean_but_makes_a_sum_unknown() -> None:
    values = np.array([1.0, np.nan, 3.0, 5.0, np.nan, np.nan])
    np.testing.assert_array_equal(resampling.resample(values, 3, additive=False), [1.0, 4.0, np.nan])
    np.testing.assert_array_equal(resampling.resample(values, 3, additive=True), [np.nan, 8.0, np.nan])


@pytest.mark.parametrize(
    ("count", "duration", "resolution", "slots"),
    [
        (4, HOUR, QUARTER, 4),
        (1, HOUR, QUARTER, 4),
        (12, HOUR, QUARTER, 4),
        (8, 2 * HOUR, HOUR, 2),
        (8, HOUR, QUARTER, 4),  # seven and a half minutes each
        (6, 6 * HOUR, QUARTER, 24),
    ],
)
def test_how_many_events_a_window_fills(count: int, duration: timedelta, resolution: timedelta, slots: int) -> None:
    assert resampling.count_slots(count, duration, resolution) == slots


@pytest.mark.parametrize(
    ("count", "duration", "resolution", "said"),
    [
        (
            7,
            HOUR,
            HOUR,
            "Resolution of 0:08:34.285714 is incompatible with the sensor's required resolution of 1:00:00.",
        ),
        (5, HOUR, QUARTER, "Resolution of 0:12:00 is incompatible with the sensor's required resolution of 0:15:00."),
        (3, HOUR, QUARTER, "Resolution of 0:20:00 is incompatible with the sensor's required resolution of 0:15:00."),
        (1, 40 * MINUTE, QUARTER, "Resolution of 0:40:00 is incompatible"),
        (4, 20 * MINUTE, QUARTER, "The window of 0:20:00 is not a whole number of the sensor's events of 0:15:00."),
        (1, 5 * MINUTE, QUARTER, "The window of 0:05:00 is not a whole number"),
    ],
)
def test_values_that_do_not_fit_are_refused(count: int, duration: timedelta, resolution: timedelta, said: str) -> None:
    with pytest.raises(Invalid) as problem:
        resampling.count_slots(count, duration, resolution)
    assert said in sentence(problem)


@settings(deadline=None)
@given(st.integers(1, 500), st.integers(1, 10_000_000), st.integers(1, 10_000_000))
def test_any_window_is_either_filled_whole_or_refused(count: int, length: int, step: int) -> None:
    duration, resolution = timedelta(microseconds=length), timedelta(microseconds=step)
    try:
        slots = resampling.count_slots(count, duration, resolution)
    except Invalid:
        return
    assert slots * resolution == duration
    assert slots % count == 0 or count % slots == 0
    assert len(resampling.resample(np.zeros(count), slots, additive=False)) == slots


@pytest.mark.parametrize(
    ("start", "resolution", "zone"),
    [
        (START + QUARTER, QUARTER, UTC),
        (datetime(2026, 3, 2, 7, tzinfo=KOLKATA), HOUR, KOLKATA),  # half past the hour in UTC
        (datetime(2026, 3, 2, 7, tzinfo=timezone(timedelta(hours=5, minutes=30))), HOUR, UTC),
        (START, HOUR, AMSTERDAM),
        (datetime(2026, 3, 29, tzinfo=AMSTERDAM), timedelta(days=1), AMSTERDAM),
        (datetime(2026, 6, 1, tzinfo=AMSTERDAM).astimezone(UTC), timedelta(days=7), AMSTERDAM),
        (START + timedelta(seconds=7), timedelta(0), UTC),
    ],
)
def test_windows_on_the_clock(start: datetime, resolution: timedelta, zone: tzinfo) -> None:
    resampling.check_clock(start, resolution, zone)


@pytest.mark.parametrize(
    ("start", "resolution", "zone"),
    [
        (START + 7 * MINUTE, QUARTER, UTC),
        (START + timedelta(microseconds=1), QUARTER, AMSTERDAM),
        (START + QUARTER, HOUR, UTC),
        (START + HOUR, timedelta(days=1), UTC),
        (START + HOUR, timedelta(days=7), UTC),
    ],
)
def test_windows_off_the_clock_are_refused(start: datetime, resolution: timedelta, zone: tzinfo) -> None:
    with pytest.raises(Invalid) as problem:
        resampling.check_clock(start, resolution, zone)
    assert start.isoformat() in sentence(problem)
    assert "start" in problem.value.fields


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25), ((2026, 7, 1), 24)])
def test_a_local_day_has_its_own_number_of_hours(day: tuple[int, int, int], hours: int) -> None:
    start = datetime(*day, tzinfo=AMSTERDAM)
    events = resampling.spread_evenly(start, hours * HOUR, np.arange(hours, dtype=float))
    resampling.check_clock(start, HOUR, AMSTERDAM)
    assert (np.diff(events.starts) == np.timedelta64(1, "h")).all()
    assert events.starts[0] == instant(start)
    next_day = datetime(day[0], day[1], day[2] + 1, tzinfo=AMSTERDAM)
    assert events.starts[-1] + np.timedelta64(1, "h") == instant(next_day)


def test_instantaneous_values_are_spread_over_the_window() -> None:
    events = resampling.spread_evenly(START, HOUR, np.array([1.0, 2.0, 3.0, 4.0]))
    assert list(events.starts) == [instant(START + i * QUARTER) for i in range(4)]
    assert list(resampling.spread_evenly(START, timedelta(0), np.array([20.0])).starts) == [instant(START)]


def test_instantaneous_values_at_one_moment_would_overlap() -> None:
    with pytest.raises(Invalid, match="overlap"):
        resampling.spread_evenly(START, timedelta(0), np.array([1.0, 2.0]))


def test_values_that_no_clock_can_tell_apart_are_refused() -> None:
    with pytest.raises(Invalid, match="cannot be spread evenly"):
        resampling.spread_evenly(START, timedelta(microseconds=10), np.ones(3))


def test_belief_times() -> None:
    starts = steps(START, QUARTER, 2)
    now = START + timedelta(days=1)
    by_horizon = resampling.compute_belief_times(starts, QUARTER, prior=None, horizon=HOUR, now=now)
    assert isinstance(by_horizon, np.ndarray)
    assert list(by_horizon) == [instant(START + QUARTER - HOUR), instant(START + 2 * QUARTER - HOUR)]
    by_prior = resampling.compute_belief_times(starts, QUARTER, prior=START, horizon=HOUR, now=now)
    assert by_prior == instant(START)
    assert resampling.compute_belief_times(starts, QUARTER, prior=None, horizon=None, now=now) == instant(now)


def test_only_known_events_are_kept() -> None:
    events = resampling.EventValues(steps(START, HOUR, 3), np.array([1.0, np.nan, 3.0])).drop_missing()
    assert events.values.tolist() == [1.0, 3.0]
    assert list(events.starts) == [instant(START), instant(START + 2 * HOUR)]
