"""Wishes between two steps, carried over to the steps around them."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from flexmodel.problem import Window
from flexmodel.values import Segment, Segments
from scheduler.resolve.soc_requirements import Projection, Reach, off_tick_points, project, project_known_state

WINDOW = Window(datetime(2026, 1, 13, 16, tzinfo=UTC), timedelta(minutes=15), 8)
AT_1700, AT_1715 = 3, 4
"""The indices of the steps that end then."""


def reach(up: float = 0.04, down: float = 0.04, charging: float = 1.0, discharging: float = 1.0) -> Reach:
    full = np.full(WINDOW.steps, 1.0)
    return Reach(full * up * charging, full * down / discharging, 0.0, 2.0)


def point(value: float, minute: int = 12) -> Segment:
    moment = datetime(2026, 1, 13, 17, minute, tzinfo=UTC)
    return Segment(moment, moment, value)


def test_a_target_binds_before_and_after() -> None:
    onto = Projection.empty(WINDOW.steps)
    project("targets", [point(1.0)], WINDOW, reach(), onto)
    assert onto.minima[AT_1700] == pytest.approx(0.992)
    assert onto.maxima[AT_1700] == pytest.approx(1.008)
    assert onto.targets[AT_1715] == 1.0
    assert np.isnan(np.delete(onto.minima, AT_1700)).all()


def test_a_minimum_without_production_still_holds_at_the_next_step() -> None:
    onto = Projection.empty(WINDOW.steps)
    project("minima", [point(1.0)], WINDOW, reach(down=0.0), onto)
    assert onto.minima[AT_1700] == pytest.approx(0.992)
    assert onto.minima[AT_1715] == 1.0
    assert np.isnan(onto.maxima).all()


def test_a_maximum() -> None:
    onto = Projection.empty(WINDOW.steps)
    project("maxima", [point(0.5)], WINDOW, reach(down=0.0), onto)
    assert onto.maxima[AT_1700] == pytest.approx(0.5)
    assert onto.maxima[AT_1715] == pytest.approx(0.502)


def test_efficiencies_change_the_reach() -> None:
    onto = Projection.empty(WINDOW.steps)
    project("minima", [point(1.0)], WINDOW, reach(charging=4.0, discharging=0.8), onto)
    assert onto.minima[[AT_1700, AT_1715]] == pytest.approx([0.968, 0.9975])


def test_a_state_known_during_the_first_step_bounds_its_end() -> None:
    window = Window(datetime(2026, 1, 13, 16, 45, tzinfo=UTC), timedelta(minutes=15), 4)
    onto = Projection.empty(window.steps)
    known = datetime(2026, 1, 13, 16, 47, tzinfo=UTC)
    project_known_state(known, 0.5, window, reach(charging=0.9, discharging=0.8), onto)
    assert onto.minima[0] == pytest.approx(0.5 - 0.05 * 13 / 60)
    assert onto.maxima[0] == pytest.approx(0.5 + 0.036 * 13 / 60)


def test_the_stricter_of_two_requirements_counts_within_the_limits() -> None:
    onto = Projection.empty(WINDOW.steps)
    project("minima", [point(1.0), point(0.9, 13)], WINDOW, reach(), onto)
    assert onto.minima[AT_1700] == pytest.approx(0.992)
    project("maxima", [point(5.0)], WINDOW, reach(), onto)
    assert onto.maxima[AT_1715] == 2.0


def test_only_points_between_steps_and_inside_the_window_are_projected() -> None:
    def at(hour: int, minute: int) -> Segment:
        moment = datetime(2026, 1, 13, hour, minute, tzinfo=UTC)
        return Segment(moment, moment, 1.0)

    span = Segment(at(17, 1).start, at(17, 20).start, 1.0)
    points = Segments((at(17, 12), at(17, 15), at(15, 59), at(18, 1), span))
    assert off_tick_points(points, WINDOW) == [at(17, 12)]
