"""Power limits of devices, from the capacities given."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
import pytest
from flexmodel.problem import ProcessType, Window
from flexmodel.time import steps
from flexmodel.trigger import Device, Inflexible, Process, Site, Trigger
from flexmodel.values import Fixed, Segment, Segments, SensorReference
from scheduler.process_placement import NoRoomError
from scheduler.resolve.devices import device_limits, place_processes, resolve_bands, resolve_devices
from scheduler.resolve.profiles import Profiles
from scheduler.resolve.series import LoadedSeries, SensorSeries
from scheduler.resolve.sites import resolve_sites
from scheduler.resolve.stocks import leading_price

START = datetime(2026, 1, 13, tzinfo=UTC)
WINDOW = Window(START, timedelta(hours=1), 4)
TWO = Fixed(2.0)


device = partial(Device, "battery", 1, 2, "electricity")


def trigger(*flexible: Device, **given: object) -> Trigger:
    whole: dict[str, Any] = {
        "asset_id": 1,
        "window": WINDOW,
        "requested_end": WINDOW.end,
        "prior": None,
        "sequential": False,
        "currency": "EUR",
        "devices": flexible,
        "inflexible": (),
        "stocks": (),
        "sites": (),
        **given,
    }
    return Trigger(**whole)


def power_range(one: Device) -> tuple[float, float]:
    """The device's constant limits (production as a negative number)."""
    consumption, production = device_limits(one, "EUR", Profiles(WINDOW, LoadedSeries({})))
    assert np.ptp(consumption.hard) == np.ptp(production.hard) == 0
    return -production.hard[0], consumption.hard[0]


def segment(first: int, last: int, value: float) -> Segments:
    return Segments((Segment(START + timedelta(hours=first), START + timedelta(hours=last), value),))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"production_capacity": Fixed(0.3), "consumption_capacity": Fixed(0.7)}, (-0.3, 0.7)),
        ({"consumption_capacity": Fixed(0.7)}, (0, 0.7)),
        ({"production_capacity": Fixed(0.3)}, (-0.3, 0)),
        ({"consumption_capacity": Fixed(0.0), "fallback_capacity": TWO}, (-2, 0)),
        ({"production_capacity": Fixed(0.0), "fallback_capacity": TWO}, (0, 2)),
        ({"power_capacity": TWO}, (-2, 2)),
        ({"power_capacity": TWO, "consumption_capacity": Fixed(1.0)}, (0, 1)),
        ({"power_capacity": TWO, "production_capacity": Fixed(0.0)}, (0, 2)),
        ({"power_capacity": TWO, "production_capacity": Fixed(3.0), "consumption_capacity": Fixed(1.0)}, (-2, 1)),
        ({"power_capacity": Fixed(-1.0)}, (0, 0)),
        ({"power_capacity": TWO, "may_produce": False}, (0, 2)),
        ({"power_capacity": TWO, "may_consume": False}, (-2, 0)),
    ],
)
def test_capacities_decide_on_the_range(given: dict[str, Any], expected: tuple[float, float]) -> None:
    assert power_range(device(**given)) == expected


def test_a_zero_for_part_of_the_window_leaves_the_rest_and_the_other_direction_open() -> None:
    one = device(power_capacity=TWO, consumption_capacity=segment(1, 3, 0.0))
    consumption, production = device_limits(one, "EUR", Profiles(WINDOW, LoadedSeries({})))
    assert consumption.hard.tolist() == [2, 0, 0, 2]
    assert production.hard.tolist() == [2, 2, 2, 2]


def test_of_overlapping_capacities_the_smaller_counts() -> None:
    both = Segments((*segment(0, 4, 1.5).items, *segment(2, 3, 1.0).items))
    consumption, _ = device_limits(
        device(power_capacity=TWO, consumption_capacity=both), "EUR", Profiles(WINDOW, LoadedSeries({}))
    )
    assert consumption.hard.tolist() == [1.5, 1.5, 1, 1.5]


def test_a_breach_price_makes_a_capacity_soft_unless_it_is_zero_all_the_time() -> None:
    price = Fixed(100.0)
    one = device(
        power_capacity=TWO,
        consumption_capacity=segment(1, 3, 0.0),
        consumption_breach_price=price,
        production_capacity=Fixed(0.0),
        production_breach_price=price,
    )
    consumption, production = device_limits(one, "EUR", Profiles(WINDOW, LoadedSeries({})))
    assert consumption.hard.tolist() == [2] * 4
    assert consumption.soft.tolist() == [2, 0, 0, 2]
    assert consumption.price.tolist() == [100] * 4
    assert production.hard.tolist() == [0] * 4
    assert np.isnan(production.soft).all()


def test_inflexible_devices_follow_their_sensor_with_its_sign_and_zero_where_unknown() -> None:
    reference = SensorReference(9)
    actual = SensorSeries(
        "kW", timedelta(hours=1), steps(START, timedelta(hours=1), 3), np.array([100.0, 200.0, 300.0])
    )
    profiles = Profiles(WINDOW, LoadedSeries({reference: actual}))
    given = Inflexible("solar", reference, -1, "electricity"), Inflexible("load", reference, 1, "electricity")
    rows = resolve_devices(trigger(device(power_capacity=TWO), inflexible=given), profiles)
    assert rows.flexible.tolist() == [True, False, False]
    assert rows.power_max[1].tolist() == rows.power_min[1].tolist() == [-0.1, -0.2, -0.3, 0]
    assert rows.power_max[2].tolist() == rows.power_min[2].tolist() == [0.1, 0.2, 0.3, 0]
    assert any("solar (sensor 9)" in warning for warning in profiles.warnings)


def task(restrictions: tuple[tuple[datetime, datetime], ...] = (), maximise: bool = False) -> Device:
    return device(process=Process(ProcessType.SHIFTABLE, timedelta(minutes=90), 0.004, restrictions, maximise))


def test_processes_run_in_whole_steps_outside_their_restrictions() -> None:
    trigger_ = trigger(task(restrictions=((START, START + timedelta(minutes=70)),)))
    [placed] = place_processes(trigger_, ())
    assert (placed.process.type, placed.process.steps, placed.process.power) == (ProcessType.SHIFTABLE, 2, 0.004)
    assert placed.process.allowed.tolist() == [False, False, True, True]
    assert placed.runs is None
    rows = resolve_devices(trigger_, Profiles(WINDOW, LoadedSeries({})), [placed])
    assert rows.power_min[0].tolist() == [0] * 4
    assert rows.power_max[0].tolist() == [0.004] * 4


def test_a_process_that_looks_for_the_dearest_time_is_fixed_there() -> None:
    profiles = Profiles(WINDOW, LoadedSeries({}))
    trigger_ = trigger(task(maximise=True), sites=(Site("electricity", segment(0, 3, 1.0)),))
    [site] = resolve_sites(trigger_, profiles)
    dearest = replace(site, consumption_price=np.array([1.0, 2.0, 3.0, 0.0]))
    rows = resolve_devices(trigger_, profiles, place_processes(trigger_, [dearest]))
    assert rows.power_min[0].tolist() == rows.power_max[0].tolist() == [0, 0.004, 0.004, 0]


def test_a_process_without_room_is_an_error() -> None:
    trigger_ = trigger(task(restrictions=((START, START + timedelta(hours=3)),)))
    with pytest.raises(NoRoomError, match="time restrictions"):
        place_processes(trigger_, ())


def test_operation_modes() -> None:
    [modes] = resolve_bands(trigger(device(power_capacity=TWO), device(operation_modes=((0.0, 0.0), (0.006, 0.011)))))
    assert modes.device == 1
    assert modes.bands.tolist() == [[0.0, 0.0], [0.006, 0.011]]


context = partial(Site, "electricity", Fixed(100.0))


def test_site_capacities_without_breach_prices_are_hard() -> None:
    given = context(power_capacity=Fixed(0.042), consumption_capacity=Fixed(0.01), production_capacity=Fixed(0.1))
    [site] = resolve_sites(trigger(device(), sites=(given,)), Profiles(WINDOW, LoadedSeries({})))
    assert (site.power_min[0], site.power_max[0]) == (-0.042, 0.01)
    assert site.consumption_cap is None


def test_site_capacities_with_breach_prices_are_soft_and_the_power_capacity_stays_hard() -> None:
    given = context(
        power_capacity=Fixed(0.042), consumption_capacity=segment(0, 2, 0.01), consumption_breach_price=Fixed(1e7)
    )
    [site] = resolve_sites(trigger(device(), sites=(given,)), Profiles(WINDOW, LoadedSeries({})))
    assert site.power_max.tolist() == [0.042] * 4
    assert site.consumption_cap is not None
    assert site.consumption_cap.tolist() == [0.01, 0.01, 0.042, 0.042]
    assert site.production_price is site.consumption_price
    assert site.devices.tolist() == [0]


def test_a_peak_price_alone_means_no_peak_is_paid_for_yet() -> None:
    [site] = resolve_sites(
        trigger(device(), sites=(context(peak_consumption_price=Fixed(260.0)),)), Profiles(WINDOW, LoadedSeries({}))
    )
    assert site.peak_consumption is not None
    assert site.peak_consumption.tolist() == [0] * 4
    assert site.peak_production is None
    assert np.isnan(site.power_max).all()


def test_electricity_prices_lead_the_tie_break() -> None:
    gas = Site("gas", Fixed(50.0))
    both = resolve_sites(trigger(device(), sites=(gas, context())), Profiles(WINDOW, LoadedSeries({})))
    price = leading_price(both)
    assert price is not None
    assert price[0] == 100
    assert leading_price(both[:1]) is both[0].consumption_price
    assert leading_price(()) is None
