"""Quantities over the planning window: units, gaps, and what is told about them."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from flexmodel.errors import Invalid
from flexmodel.problem import Window
from flexmodel.time import steps
from flexmodel.values import Fixed, Segment, Segments, SensorReference
from scheduler.resolve.profiles import Profiles, UnknownPricesError
from scheduler.resolve.series import LoadedSeries, SensorSeries

START = datetime(2026, 1, 13, tzinfo=UTC)
HOUR = timedelta(hours=1)
WINDOW = Window(START, HOUR, 6)
PRICE = SensorReference(94)


def events(unit: str, values: list[float], start: datetime = START, resolution: timedelta = HOUR) -> SensorSeries:
    known = [
        (moment, value) for moment, value in zip(steps(start, resolution or HOUR, len(values)), values, strict=True)
    ]
    kept = [(moment, value) for moment, value in known if not np.isnan(value)]
    return SensorSeries(
        unit,
        resolution,
        np.array([moment for moment, _ in kept], "datetime64[us]"),
        np.array([value for _, value in kept]),
    )


def profiles(reference: SensorReference, found: SensorSeries, window: Window = WINDOW) -> Profiles:
    return Profiles(window, LoadedSeries({SensorReference(reference.sensor): found}))


def segments(*items: tuple[int, int, float]) -> Segments:
    return Segments(tuple(Segment(START + begin * HOUR, START + end * HOUR, value) for begin, end, value in items))


def test_a_price_gap_holds_the_last_price_and_says_so() -> None:
    known = profiles(PRICE, events("EUR/MWh", [5, 10, 20, 30, np.nan, np.nan]))
    assert known.price(PRICE, "EUR/MWh", "consumption-price").tolist() == [5, 10, 20, 30, 30, 30]
    [warning] = known.warnings
    assert "consumption-price has no values from 2026-01-13T04:00:00+00:00 to 2026-01-13T06:00:00+00:00" in warning
    assert "30" in warning


def test_a_price_of_the_day_before_holds_at_the_start() -> None:
    known = profiles(PRICE, events("EUR/MWh", [7, np.nan, 20, 30, 1, 2, 3], START - HOUR))
    assert known.price(PRICE, "EUR/MWh", "consumption-price").tolist() == [7, 20, 30, 1, 2, 3]


def test_unknown_prices_name_the_sensor_and_the_period() -> None:
    known = profiles(PRICE, events("EUR/MWh", [np.nan, 10, 20, 30, 1, 2]))
    with pytest.raises(UnknownPricesError) as failure:
        known.price(PRICE, "EUR/MWh", "consumption-price")
    assert "Prices unknown for planning window. (sensor 94)." in failure.value.message
    assert "2026-01-13T00:00:00+00:00 to 2026-01-13T01:00:00+00:00" in failure.value.message


def test_no_prices_at_all() -> None:
    known = profiles(PRICE, events("EUR/MWh", []))
    with pytest.raises(UnknownPricesError, match="sensor 94"):
        known.price(PRICE, "EUR/MWh", "consumption-price")


def test_a_price_holds_for_a_day_and_no_longer() -> None:
    window = Window(START, HOUR, 48)
    short = profiles(PRICE, events("EUR/MWh", [10.0] * 24), window)
    assert len(short.price(PRICE, "EUR/MWh", "consumption-price")) == 48
    long = profiles(PRICE, events("EUR/MWh", [10.0] * 23), window)
    with pytest.raises(UnknownPricesError, match="2026-01-13T23:00:00"):
        long.price(PRICE, "EUR/MWh", "consumption-price")


def test_a_default_fills_every_gap_without_a_word() -> None:
    reference = SensorReference(94, default=42.0)
    known = profiles(reference, events("EUR/MWh", [np.nan, 10, 20, 30, np.nan, np.nan]))
    assert known.price(reference, "EUR/MWh", "consumption-price").tolist() == [42, 10, 20, 30, 42, 42]
    assert not known.warnings


def test_price_segments_hold_at_both_ends() -> None:
    known = Profiles(WINDOW, LoadedSeries({}))
    prices = known.price(segments((1, 2, 10.0), (3, 5, 20.0)), "EUR/MWh", "production-price")
    assert prices.tolist() == [10, 10, 10, 20, 20, 20]
    assert len(known.warnings) == 3


def test_price_segments_outside_the_window_are_no_prices() -> None:
    known = Profiles(WINDOW, LoadedSeries({}))
    with pytest.raises(UnknownPricesError, match="production-price"):
        known.price(segments((-5, -2, 10.0)), "EUR/MWh", "production-price")


@pytest.mark.parametrize(
    ("unit", "to", "value", "expected"),
    [
        ("kW", "MW", 25.0, 0.025),
        ("EUR/kWh", "EUR/MWh", 0.25, 250.0),
        ("kWh", "MW", 5.0, 0.005),
        ("%", "", 95.0, 0.95),
    ],
)
def test_units_are_converted(unit: str, to: str, value: float, expected: float) -> None:
    known = profiles(PRICE, events(unit, [value] * 6))
    assert known.steps(PRICE, to).tolist() == [expected] * 6


def test_energy_per_event_becomes_power_with_the_sensors_own_resolution() -> None:
    quarter = timedelta(minutes=15)
    known = profiles(PRICE, events("kWh", [5.0] * 24, resolution=quarter))
    assert known.steps(PRICE, "MW").tolist() == [0.02] * 6


def test_a_unit_of_another_kind_is_refused_with_the_sensor_named() -> None:
    with pytest.raises(Invalid, match="sensor 94"):
        profiles(PRICE, events("EUR/MWh", [1.0] * 6)).steps(PRICE, "MW")


def test_a_state_of_charge_in_percent_needs_soc_max() -> None:
    known = profiles(PRICE, events("%", [50.0, 60.0], START + HOUR, timedelta(0)))
    assert known.instants(PRICE, percent_of=0.2)[:3].tolist() == pytest.approx([0.1, 0.12, np.nan], nan_ok=True)


def test_gaps_in_other_series_are_warned_about_with_the_value_used() -> None:
    known = profiles(PRICE, events("kW", [5, np.nan, np.nan, 5, 5, 5]))
    assert known.steps_or_default(PRICE, "MW", 0.0, "The power of load").tolist() == [0.005, 0, 0, 0.005, 0.005, 0.005]
    assert known.warnings == ["The power of load (sensor 94) has no value for 2 of 6 steps: 0 was used there."]
    known.limit(segments((0, 1, 5.0)), "site-power-capacity")
    known.penalty(Fixed(3.0), "EUR/MW", "consumption-breach-price")
    assert len(known.warnings) == 1


def test_many_gaps_take_few_sentences() -> None:
    every_other = [5.0 if hour % 2 == 0 else np.nan for hour in range(24)]
    known = profiles(PRICE, events("EUR/MWh", every_other), Window(START, HOUR, 24))
    known.price(PRICE, "EUR/MWh", "consumption-price")
    assert len(known.warnings) == 4
    assert "9 more gaps" in known.warnings[-1]


def test_fixed_and_absent_quantities() -> None:
    known = Profiles(WINDOW, LoadedSeries({}))
    assert known.steps(Fixed(3.0), "MW").tolist() == [3.0] * 6
    assert np.isnan(known.steps(None, "MW")).all()
    assert known.steps_or_default(None, "MW", 1.0, "charging-efficiency").tolist() == [1.0] * 6
