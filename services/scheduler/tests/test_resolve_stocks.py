"""Requirements of states of charge, losses, and the states at the start."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from flexmodel.errors import Invalid
from flexmodel.problem import Stocks, Window
from flexmodel.time import instant
from flexmodel.trigger import Device, Reference, StateReference, Stock, Trigger
from flexmodel.values import Fixed, Segment, Segments, SensorReference
from scheduler.resolve.devices import resolve_devices
from scheduler.resolve.profiles import Profiles
from scheduler.resolve.series import LoadedSeries, SensorSeries, UnknownStateError
from scheduler.resolve.stocks import resolve_stocks, tie_break_weight

START = datetime(2026, 1, 13, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
WINDOW = Window(START, QUARTER, 4)
NAN = np.nan
READING = StateReference(22, 4 * QUARTER)


def trigger(stock: Stock) -> Trigger:
    feeders = tuple(Device(f"feeder {index}", 1, index, "electricity", 0, Fixed(0.04)) for index in stock.devices)
    return Trigger(1, WINDOW, WINDOW.end, None, False, "EUR", feeders, (), (stock,), ())


def resolved(
    stock: Stock, by_reference: dict[Reference, SensorSeries] | None = None, profiles: Profiles | None = None
) -> Stocks:
    trigger_, series = trigger(stock), LoadedSeries(by_reference or {})
    profiles = profiles or Profiles(WINDOW, series)
    return resolve_stocks(trigger_, profiles, series, resolve_devices(trigger_, profiles), 1e-4)[0]


def stock(**given: object) -> Stock:
    whole: dict[str, Any] = {"label": "battery", "asset_id": 1, "devices": (0,), "initial": Fixed(0.5), **given}
    return Stock(**whole)


def points(*items: tuple[float, float]) -> Segments:
    """Values at quarters of an hour after the start."""
    return Segments(tuple(Segment(START + at * QUARTER, START + at * QUARTER, value) for at, value in items))


def states(*items: tuple[int, float], unit: str = "MWh") -> dict[Reference, SensorSeries]:
    """A sensor's values at minutes from the start."""
    starts = np.array([instant(START + timedelta(minutes=minute)) for minute, _ in items], "datetime64[us]")
    return {READING: SensorSeries(unit, timedelta(0), starts, np.array([value for _, value in items]))}


def test_minima_are_soft_with_a_price_and_hard_without() -> None:
    soft = resolved(stock(soc_minima=points((2, 0.7)), minima_breach_price=Fixed(1e6)))
    np.testing.assert_equal(soft.minima[0], [NAN, 0.7, NAN, NAN])
    assert np.isnan(soft.hard_minima).all()
    assert soft.minima_breach_price[0].tolist() == [1e6] * 4
    hard = resolved(stock(soc_minima=points((2, 0.7))))
    np.testing.assert_equal(hard.hard_minima[0], [NAN, 0.7, NAN, NAN])
    assert np.isnan(hard.minima).all()


def test_targets_are_soft_only_if_both_minima_and_maxima_are() -> None:
    target = points((4, 0.9))
    soft = resolved(stock(soc_targets=target, minima_breach_price=Fixed(1.0), maxima_breach_price=Fixed(2.0)))
    np.testing.assert_equal(soft.targets[0], [NAN, NAN, NAN, 0.9])
    hard = resolved(stock(soc_targets=target, minima_breach_price=Fixed(1.0)))
    np.testing.assert_equal(hard.hard_targets[0], [NAN, NAN, NAN, 0.9])


def test_of_overlapping_requirements_the_strictest_counts() -> None:
    lower = Segments((Segment(START, WINDOW.end, 0.2), Segment(START + QUARTER, START + 2 * QUARTER, 0.3)))
    upper = Segments((Segment(START, WINDOW.end, 0.8), Segment(START + QUARTER, START + 2 * QUARTER, 0.9)))
    both = resolved(stock(soc_minima=lower, soc_maxima=upper))
    assert both.hard_minima[0].tolist() == [0.3, 0.3, 0.2, 0.2]
    assert both.hard_maxima[0].tolist() == [0.8] * 4


def test_off_tick_targets_bound_the_steps_around_them() -> None:
    both = resolved(
        stock(
            soc_targets=points((2.8, 0.5)),
            minima_breach_price=Fixed(1.0),
            maxima_breach_price=Fixed(1.0),
            soc_max=Fixed(1.0),
        )
    )
    reach = 0.04 * 0.8 * 0.25
    np.testing.assert_allclose(both.minima[0], [NAN, 0.5 - reach, NAN, NAN])
    np.testing.assert_allclose(both.maxima[0], [NAN, 0.5 + reach, NAN, NAN])
    np.testing.assert_equal(both.targets[0], [NAN, NAN, 0.5, NAN])


def test_off_tick_requirements_are_left_out_with_a_warning_on_request() -> None:
    profiles = Profiles(WINDOW, LoadedSeries({}))
    rows = resolved(stock(soc_targets=points((2.8, 0.5)), project_off_tick=False), profiles=profiles)
    assert np.isnan(rows.hard_targets).all()
    assert any("soc-targets of battery at 2026-01-13T00:42:00+00:00" in warning for warning in profiles.warnings)


@pytest.mark.parametrize(("period", "kept"), [(QUARTER, 0.9), (timedelta(hours=1), 0.9**0.25), (None, 0.9)])
def test_storage_efficiency_is_brought_to_the_step(period: timedelta | None, kept: float) -> None:
    rows = resolved(stock(storage_efficiency=Fixed(0.9), efficiency_resolution=period))
    assert rows.storage_efficiency[0] == pytest.approx([kept] * 4)


def test_storage_efficiency_may_change_over_time() -> None:
    halves = Segments((Segment(START, START + 2 * QUARTER, 0.9),))
    rows = resolved(stock(storage_efficiency=halves, efficiency_resolution=QUARTER))
    assert rows.storage_efficiency[0].tolist() == [0.9, 0.9, 1, 1]


def test_gains_and_usages_add_up() -> None:
    rows = resolved(
        stock(soc_gain=(Fixed(0.001),), soc_usage=(Fixed(0.01), Segments((Segment(START, START + QUARTER, 0.002),))))
    )
    assert rows.gain[0] == pytest.approx([-0.011, -0.009, -0.009, -0.009])


def test_the_tie_break_ramps_down_or_stays_or_is_off() -> None:
    full = Fixed(1.0)
    assert resolved(stock(soc_max=full)).tie_break_price[0] == pytest.approx(np.array([3, 2, 1, 0]) / 3 * 1e-4 / 0.25)
    assert resolved(stock(soc_max=full, prefer_curtailing_later=False)).tie_break_price[0] == pytest.approx([4e-4] * 4)
    assert not resolved(stock(soc_max=full, prefer_charging_sooner=False)).tie_break_price.any()
    assert not resolved(stock()).tie_break_price.any()


def test_the_weight_of_the_tie_break() -> None:
    assert tie_break_weight(np.array([10.0, 30.0]), 2) == pytest.approx(1e-4 * 20 / 2)
    assert tie_break_weight(np.array([10.0, 10.0]), 2) == pytest.approx(1e-4 / 2)
    assert tie_break_weight(None, 4) == pytest.approx(1e-4 / 4)


def test_limits_may_come_from_a_sensor() -> None:
    capacity = SensorReference(31)
    starts = np.array([instant(START + QUARTER), instant(START + 3 * QUARTER)])
    rows = resolved(
        stock(soc_max=capacity), {capacity: SensorSeries("kWh", timedelta(0), starts, np.array([800.0, 900.0]))}
    )
    assert rows.soc_max[0] == 0.9
    assert rows.hard_maxima[0].tolist() == [0.8, 0.8, 0.9, 0.9]


def test_a_limit_from_a_sensor_without_values_is_refused() -> None:
    capacity = SensorReference(31)
    nothing = SensorSeries("kWh", timedelta(0), np.array([], "datetime64[us]"), np.array([]))
    with pytest.raises(Invalid, match="soc-max"):
        resolved(stock(soc_max=capacity), {capacity: nothing})


def test_the_nearest_state_counts_and_of_two_the_later() -> None:
    assert resolved(stock(initial=READING), states((-30, 0.1), (-10, 0.2), (40, 0.3))).initial[0] == 0.2
    assert resolved(stock(initial=READING), states((-20, 0.2), (20, 0.3))).initial[0] == 0.3
    in_percent = stock(initial=READING, percent_of=0.2)
    assert resolved(in_percent, states((0, 50.0), unit="%")).initial[0] == pytest.approx(0.1)


def test_no_recent_state_names_the_sensor_and_the_remedy() -> None:
    with pytest.raises(UnknownStateError, match=r"sensor 22 has none within PT1H of 2026-01-13.*soc-at-start"):
        resolved(stock(initial=READING), states((-61, 0.2), (61, 0.3)))


def test_a_state_in_percent_without_a_maximum_is_refused() -> None:
    with pytest.raises(Invalid, match="soc-max"):
        resolved(stock(initial=READING), states((0, 50.0), unit="%"))


def test_a_state_measured_during_the_first_step_bounds_its_end() -> None:
    rows = resolved(stock(initial=READING, soc_max=Fixed(1.0)), states((3, 0.5)))
    reach = 0.04 * 12 / 60
    np.testing.assert_allclose(rows.hard_minima[0], [0.5 - reach, NAN, NAN, NAN])
    np.testing.assert_allclose(rows.hard_maxima[0], [0.5 + reach, NAN, NAN, NAN])


def test_several_feeders_together_reach_further() -> None:
    both = stock(devices=(0, 1), soc_minima=points((1.8, 0.5)), minima_breach_price=Fixed(1.0))
    assert resolved(both).minima[0, 0] == pytest.approx(0.5 - 2 * 0.04 * 0.8 * 0.25)
