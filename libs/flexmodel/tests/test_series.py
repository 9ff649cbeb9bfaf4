"""Resampling, segments and gaps."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from flexmodel.problem import Window
from flexmodel.series import (
    MissingData,
    Overlap,
    end_instants,
    hold_last,
    segments_to_instants,
    segments_to_steps,
    to_instants,
    to_steps,
)
from flexmodel.time import steps
from flexmodel.values import Segment, Segments
from hypothesis import given
from hypothesis import strategies as st

START = datetime(2026, 3, 2, tzinfo=UTC)
QUARTER, HOUR = timedelta(minutes=15), timedelta(hours=1)
NAN = np.nan


def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


def quarters(count: int = 8) -> Window:
    return Window(START, QUARTER, count)


def same(actual: np.ndarray, expected: list[float]) -> None:
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


def segments(*items: tuple[int, int, float]) -> Segments:
    return Segments(tuple(Segment(START + minutes(begin), START + minutes(end), value) for begin, end, value in items))


def test_coarse_values_repeat() -> None:
    same(to_steps(steps(START, HOUR, 2), np.array([1.0, 2]), HOUR, quarters()), [1, 1, 1, 1, 2, 2, 2, 2])


def test_a_coarse_value_that_began_earlier_counts() -> None:
    same(to_steps(steps(START - 2 * QUARTER, HOUR, 1), np.array([7.0]), HOUR, quarters(4)), [7, 7, NAN, NAN])


def test_fine_values_are_averaged_over_what_is_known() -> None:
    values = np.array([1.0, 2, 3, NAN, 5, 9, NAN, NAN, NAN])
    same(to_steps(steps(START, minutes(5), 9), values, minutes(5), quarters(3)), [2, 7, NAN])


def test_steps_that_do_not_divide_the_events() -> None:
    same(to_steps(steps(START, minutes(10), 3), np.array([1.0, 2, 3]), minutes(10), quarters(2)), [4 / 3, 8 / 3])


def test_events_shifted_against_the_steps_are_averaged() -> None:
    window = Window(START, HOUR, 2)
    same(to_steps(steps(START - 2 * QUARTER, HOUR, 2), np.array([1.0, 2]), HOUR, window), [1.5, 2])


def test_instantaneous_values_count_only_on_the_tick() -> None:
    starts = steps(START, minutes(10), 4)
    same(to_steps(starts, np.arange(4.0), timedelta(0), quarters(3)), [0, NAN, 3])
    same(to_instants(starts, np.arange(4.0), timedelta(0), quarters(3), "first"), [NAN, 3, NAN])


def test_without_events_nothing_is_known() -> None:
    nothing = steps(START, HOUR, 0)
    assert np.isnan(to_steps(nothing, np.array([]), HOUR, quarters())).all()
    assert np.isnan(to_instants(nothing, np.array([]), HOUR, quarters(), "min")).all()


@pytest.mark.parametrize(("overlap", "shared"), [("first", 5), ("min", 3), ("max", 5)])
def test_events_of_a_state_count_at_both_ends(overlap: Overlap, shared: float) -> None:
    events = steps(START, 2 * QUARTER, 2)
    same(
        to_instants(events, np.array([5.0, 3.0]), 2 * QUARTER, quarters(5), overlap),
        [5, shared, 3, 3, NAN],
    )


def test_segments_cover_only_whole_steps() -> None:
    same(segments_to_steps(segments((10, 60, 7)), quarters(5)), [NAN, 7, 7, 7, NAN])
    same(segments_to_steps(segments((30, 65, 7)), quarters(5)), [NAN, NAN, 7, 7, NAN])


def test_points_cover_no_step() -> None:
    assert np.isnan(segments_to_steps(segments((30, 30, 7)), quarters())).all()


def test_states_hold_at_both_ends_of_a_segment() -> None:
    same(segments_to_instants(segments((15, 45, 7), (75, 75, 9)), quarters(6)), [7, 7, 7, NAN, 9, NAN])


def test_points_between_ticks_match_nothing() -> None:
    assert np.isnan(segments_to_instants(segments((20, 20, 7)), quarters())).all()


@pytest.mark.parametrize(("overlap", "shared"), [("first", 7), ("min", 4), ("max", 7)])
def test_overlapping_segments(overlap: Overlap, shared: float) -> None:
    overlapping = segments((0, 60, 7), (45, 75, 4))
    same(segments_to_steps(overlapping, quarters(5), overlap), [7, 7, 7, shared, 4])


def test_segments_around_the_window_are_cut() -> None:
    same(segments_to_steps(segments((-600, 6000, 1)), quarters(2)), [1, 1])
    assert np.isnan(segments_to_steps(segments((-60, 0, 1), (600, 900, 1)), quarters(2))).all()


def test_ends_of_steps() -> None:
    assert end_instants(quarters(2)).tolist() == [datetime(2026, 3, 2, 0, 15), datetime(2026, 3, 2, 0, 30)]  # noqa: DTZ001 - in UTC, as arrays hold them


def test_gaps_are_filled_with_the_last_value() -> None:
    held = hold_last(np.array([4.0, NAN, NAN, 5, NAN]), quarters(4), lead=1)
    same(held.values, [4, 4, 5, 5])
    assert [(gap.start - START, gap.end - START, gap.value) for gap in held.gaps] == [
        (minutes(0), minutes(30), 4.0),
        (minutes(45), minutes(60), 5.0),
    ]


def test_nothing_is_held_where_all_is_known() -> None:
    held = hold_last(np.array([1.0, 2.0]), quarters(2))
    assert held.gaps == ()
    same(held.values, [1, 2])


def test_a_gap_before_all_values_is_an_error() -> None:
    with pytest.raises(MissingData) as missing:
        hold_last(np.array([NAN, NAN, 1.0, NAN]), quarters(4))
    assert (missing.value.start, missing.value.end) == (START, START + 2 * QUARTER)
    assert "2026-03-02T00:00:00+00:00" in str(missing.value)


def test_a_value_is_held_for_one_day_and_no_longer() -> None:
    day = Window(START, HOUR, 25)
    values = np.full(25, NAN)
    values[0] = 3.0
    same(hold_last(values, day).values, [3.0] * 25)
    longer = np.append(values, NAN)
    with pytest.raises(MissingData) as missing:
        hold_last(longer, Window(START, HOUR, 26))
    assert missing.value.start == START + HOUR


def test_values_long_ago_are_not_held() -> None:
    values = np.full(30, NAN)
    values[0] = 3.0
    with pytest.raises(MissingData):
        hold_last(values, Window(START, HOUR, 3), lead=27)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=40), st.sampled_from([5, 15, 30, 60]))
def test_averaging_keeps_the_energy(values: list[float], length: int) -> None:
    """Whatever the steps, the energy over a window that contains all events is the same."""
    resolution = minutes(length)
    total = len(values) * resolution
    window = Window(START, HOUR, -(-total // HOUR))
    padded = np.zeros(window.steps * (HOUR // resolution))
    padded[: len(values)] = values
    averaged = to_steps(steps(START, resolution, len(padded)), padded, resolution, window)
    assert averaged.sum() == pytest.approx(sum(values) * (resolution / HOUR), abs=1e-9)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=20), st.sampled_from([1, 2, 4, 12]))
def test_repeating_and_averaging_back_changes_nothing(values: list[float], parts: int) -> None:
    coarse = Window(START, HOUR, len(values))
    fine = Window(START, HOUR / parts, len(values) * parts)
    repeated = to_steps(steps(START, HOUR, len(values)), np.array(values), HOUR, fine)
    back = to_steps(steps(START, HOUR / parts, fine.steps), repeated, HOUR / parts, coarse)
    np.testing.assert_allclose(back, values, rtol=1e-12, atol=1e-12)
