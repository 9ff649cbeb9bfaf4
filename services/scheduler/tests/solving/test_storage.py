"""One battery, solar panels and a load behind a site: the catalogue's tutorial cases and the day of two prices."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from flexmodel.problem import Array
from flexmodel.schedule import Schedule, ScheduleStatus
from numpy.typing import ArrayLike
from problem_draft import Draft
from scheduler.solving.solve import solve

PRICES = [10, 11, 12, 15, 18, 17, 10.5, 9, 9.5, 9, 8.5, 10, 8, 5, 4, 4, 5.5, 8, 12, 13, 14, 12.5, 10, 7][7:19]
SOLAR = -np.array([0, 0, 0, 0, 10, 30, 60, 100, 140, 170, 190, 210, 220, 210, 190, 170, 140, 100, 60, 30, 10, 0, 0, 0])
SOLAR = SOLAR[7:19] / 1e3
FEED_IN = [-10 if hour in (12, 13) else 4 for hour in range(7, 19)]
ENERGY = "electricity net energy"


def toy(draft: type[Draft]) -> Draft:
    """Twelve hours from 07:00 in quarters."""
    return draft(48, minutes=15)


def slots(entries: Mapping[float, Sequence[float]]) -> Array:
    """48 quarters from 07:00 in kW: {hour: [values from there on]}."""
    values = np.zeros(48)
    for hour, run in entries.items():
        first = round((hour - 7) * 4)
        values[first : first + len(run)] = run
    return values


def kilowatts(schedule: Schedule, device: int = 0) -> Array:
    power: Array = schedule.power[device] * 1e3
    return power


def test_battery_alone(draft: type[Draft]) -> None:
    case = toy(draft)
    case.battery(0.5, 0.225, 0.05, 0.45, roundtrip=0.9)
    case.site(PRICES, power=0.5)
    schedule = solve(case.problem())
    assert schedule.costs[ENERGY] == pytest.approx(-4.655136239, rel=1e-9)
    cycle = {8.5: [-164.078309, -500], 10: [500, 500, 500, 186.548085], 11: [-17.893277, -500, -500, -500]}
    cycle |= {14: [500, 500, 500, 186.548085], 18: [-17.893277, -500, -500, -500]}
    assert kilowatts(schedule) == pytest.approx(slots(cycle), abs=1e-6)
    assert schedule.status is ScheduleStatus.OPTIMAL
    assert schedule.gap == 0


def test_battery_beside_solar_panels_that_cannot_be_curtailed(draft: type[Draft]) -> None:
    case = toy(draft)
    case.battery(0.5, 0.225, 0.05, 0.45, roundtrip=0.9)
    case.fixed(SOLAR)
    case.site(PRICES, power=0.5)
    schedule = solve(case.problem())
    assert schedule.costs[ENERGY] == pytest.approx(-18.620428839, rel=1e-9)
    plan: dict[float, list[float]] = {8.5: [-304.078309, -360], 10: [500, 500, 288.888889], 11: [-290] * 4}
    plan |= {14: [500, 500, 500, 186.548085], 18: [-197.893277, -440, -440, -440]}
    assert kilowatts(schedule) == pytest.approx(slots(plan), abs=1e-6)


def test_solar_panels_are_curtailed_while_feeding_in_costs(draft: type[Draft]) -> None:
    case = toy(draft)
    case.device(SOLAR, 0)
    case.site(10, FEED_IN, power=0.5)
    schedule = solve(case.problem())
    assert schedule.cost == pytest.approx(-5.88, rel=1e-9)
    full = np.repeat(SOLAR, 4)
    full[20:28] = 0
    assert schedule.power[0] == pytest.approx(full, abs=1e-12)


def test_battery_takes_power_that_would_be_curtailed(draft: type[Draft]) -> None:
    case = toy(draft)
    case.device(SOLAR, 0)
    case.battery(0.5, 0.225, 0.05, 0.45, roundtrip=0.9)
    case.site(10, FEED_IN, power=0.5)
    schedule = solve(case.problem())
    assert schedule.costs[ENERGY] == pytest.approx(-8.061971586, rel=1e-9)
    plan = {11.25: [-84.078309, -290, -290, 220, 220, 220, 220, 210, 210, 210, 176.548085]}
    plan |= {18: [-197.893277, -440, -440, -440]}
    assert kilowatts(schedule, 1) == pytest.approx(slots(plan), abs=1e-6)
    assert kilowatts(schedule, 0)[27] == pytest.approx(-176.548085, abs=1e-6)


@pytest.mark.parametrize(
    ("roundtrip", "storage_efficiency", "energy"),
    [(1, 1, -240), (1, 0.999, -231.916179470), (1, 0.5, 3104.559520228), (0.99, 1, -235.178848771), (0.01, 1, -20)],
)
def test_day_of_two_prices(draft: type[Draft], roundtrip: float, storage_efficiency: float, energy: float) -> None:
    case = draft(96, minutes=15)
    case.battery(2, 2.5, 0.5, 4.5, roundtrip, stock={"storage_efficiency": storage_efficiency, "ramp": False})
    case.site([100, 90, 100])
    schedule = solve(case.problem())
    assert schedule.costs[ENERGY] == pytest.approx(energy, rel=1e-9)
    if storage_efficiency == 0.5:
        assert schedule.power[0, 20:90] == pytest.approx(np.full(70, 0.5 * np.log(2) * 4), rel=1e-9)
    if roundtrip == 0.01:
        assert schedule.power[0] == pytest.approx([0] * 95 + [-0.8], abs=1e-9)
    if roundtrip == storage_efficiency == 1:
        assert schedule.soc[0, [32, 64, 96]] == pytest.approx([0.5, 4.5, 0.5])
        assert schedule.power[0, :4] == pytest.approx([2] * 4)


@pytest.mark.parametrize(("price", "feed_in", "energy"), [([100, 90, 100], None, 784.0), (363, 300, 2910.0)])
def test_building_with_load_and_panels(
    draft: type[Draft], price: ArrayLike, feed_in: ArrayLike | None, energy: float
) -> None:
    case = draft(96, minutes=15)
    case.battery(2, 2.5, 0.5, 4.5, stock={"ramp": False})
    case.fixed(1)
    case.fixed([0, -1.8, 0])
    case.site(price, feed_in, power=2)
    schedule = solve(case.problem())
    assert schedule.costs[ENERGY] == pytest.approx(energy, rel=1e-9)
    assert schedule.soc[0, [32, 64, 96]] == pytest.approx([0.5, 4.5, 0.5])


def test_power_that_flows_during_a_step_loses_part_of_itself(draft: type[Draft]) -> None:
    case = draft(2)
    stock = case.stock(0, storage_efficiency=0.9)
    case.device(1, 1, stock, flexible=False)
    case.site(10)
    assert solve(case.problem()).soc[0] == pytest.approx([0, 0.949122, 1.803332], abs=5e-7)


def test_peak_is_shaved_down_to_the_sunk_peak(draft: type[Draft]) -> None:
    for sunk, energy, peak in ((0, 80, 250), (0.25, 80, 0)):
        case = draft(4)
        case.battery(0.1, 0, 0, 0.2)
        case.fixed([0.1, 0.3, 0.3, 0.1])
        case.site(100, peak_consumption=sunk, peak_consumption_price=1000)
        schedule = solve(case.problem())
        assert schedule.costs[ENERGY] == pytest.approx(energy)
        assert schedule.costs["electricity consumption peak"] == pytest.approx(peak, abs=1e-9)


def test_hard_target_and_limits_by_step(draft: type[Draft]) -> None:
    case = draft(4)
    limits = {"hard_targets": {3: 2.0}, "hard_minima": {1: 1.5}, "hard_maxima": {2: 1.7}}
    case.battery(1, 1, 0, 3, stock={**limits, "prefer_full": False})
    case.site([1, 5, 1, 5])
    soc = solve(case.problem()).soc[0]
    assert soc[4] == pytest.approx(2)
    assert soc[2] == pytest.approx(1.5)
    assert soc[3] == pytest.approx(1.7)
