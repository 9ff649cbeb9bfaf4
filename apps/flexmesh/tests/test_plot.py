"""Plots for the terminal."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from flexmesh import plot
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

START = datetime(2026, 1, 31, 7, tzinfo=ZoneInfo("Europe/Amsterdam"))


def test_bars_reach_from_zero_to_the_value() -> None:
    rows = plot.bars(np.repeat([2.0, -2.0], 36), "kW", height=4)
    assert [row[:1] for row in rows] == ["█", "█", " ", " "]
    assert [row[36:37] for row in rows] == [" ", "─", "█", "█"]


def test_the_scale_names_top_zero_and_bottom() -> None:
    labels = [row[72:].strip() for row in plot.bars(np.repeat([500.0, -250.0], 36), "kW", height=9)]
    assert [label for label in labels if label] == ["500 kW", "0 kW", "-250 kW"]


def test_gaps_stay_empty() -> None:
    rows = plot.bars(np.repeat([1.0, np.nan], 36), "kW", height=3)
    assert all("█" not in row[36:72] for row in rows)


@settings(deadline=None)
@example(np.array([5e-324]))
@example(np.array([0.0, -1e-310]))
@given(arrays(float, st.integers(1, 3000), elements=st.floats(-1e6, 1e6)))
def test_every_series_fits_the_width(values: np.ndarray) -> None:
    rows = plot.bars(values, "kW")
    width = len(plot.columns_for(values))
    assert width <= plot.WIDTH
    assert len(rows) == plot.HEIGHT
    assert all(len(row) >= width for row in rows)
    assert len(plot.strip(values)) == width


def test_many_values_are_averaged() -> None:
    means = plot.columns_for(np.arange(720.0), width=72)
    assert means[0] == pytest.approx(4.5)
    assert means[-1] == pytest.approx(714.5)


def test_a_strip_shows_low_and_high() -> None:
    assert plot.strip([1, 1, 9, 5]) == "▁" * 36 + "█" * 18 + "▅" * 18


@pytest.mark.parametrize(
    ("duration", "marks"),
    [
        (timedelta(hours=2), ["07:00", "08:00"]),
        (timedelta(hours=12), ["07:00", "09:00", "11:00", "13:00", "15:00", "17:00"]),
        (timedelta(days=3), ["31 Jan", "01 Feb", "02 Feb"]),
    ],
)
def test_the_axis_marks_times_that_do_not_overlap(duration: timedelta, marks: list[str]) -> None:
    axis = plot.time_axis(START, duration, 48)
    found = [axis[i : i + len(mark)] for mark in marks for i in [axis.find(mark)] if i >= 0]
    assert found == marks
    assert "  " in axis
