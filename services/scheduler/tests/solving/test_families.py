"""Groups, shared stocks, several commodities, converters, operation modes and processes."""

from collections.abc import Sequence

import numpy as np
import pytest
from problem_draft import Draft
from scheduler.solving.solve import solve

ENERGY = "electricity net energy"


def test_heat_buffer_with_two_feeders(draft: type[Draft]) -> None:
    case = draft(96, minutes=15)
    usage = np.where((np.arange(96) >= 28) & (np.arange(96) < 36), 0.018, 0.004)
    buffer = case.stock(0.02, 0.02, 0.022, gain=-usage)
    case.device(0, 0.005, buffer, charge=3)
    case.device(0, 0.015, buffer)
    case.site(100)
    schedule = solve(case.problem())
    assert schedule.costs[ENERGY] == pytest.approx(4.40, rel=1e-9)
    assert schedule.power[0, 28:36] == pytest.approx(np.full(8, 0.005))
    assert schedule.power[1].sum() / 4 == pytest.approx(0.004)
    assert schedule.soc[0, [0, 1, 36, 96]] == pytest.approx([0.02, 0.022, 0.02, 0.02])


def test_two_commodities_are_billed_apart(draft: type[Draft]) -> None:
    case = draft(24)
    case.battery(0.02, 0.02, 0, 0.1, roundtrip=0.95**2, stock={"targets": {22: 0.08}})
    hot = case.stock(0, 0, 0, gain=-0.001)
    case.device(0, 0.001, hot, commodity="gas")
    case.site(100)
    case.site(50, commodity="gas")
    schedule = solve(case.problem())
    assert schedule.costs[ENERGY] == pytest.approx(4.315789474, rel=1e-9)
    assert schedule.costs["gas net energy"] == pytest.approx(1.2, rel=1e-9)
    assert schedule.power[0] * 1e3 == pytest.approx([20, 20, 20, 3.157895] + [0] * 19 + [-20], abs=1e-6)
    assert schedule.soc[0, -1] == pytest.approx(0.058947368)


def test_preference_costs_follow_the_size_of_the_storage(draft: type[Draft]) -> None:
    case = draft(24)
    case.battery(0.02, 0.02, 0, 0.1, roundtrip=0.95**2, stock={"targets": {22: 0.08}})
    boiler = case.stock(0.01, 0, 0.05, targets={22: 0.04})
    case.device(0, 0.01, boiler, charge=0.95)
    case.site(100)
    schedule = solve(case.problem())
    assert schedule.costs[ENERGY] == pytest.approx(7.47, abs=0.005)
    assert schedule.power[1, :4] * 1e3 == pytest.approx([10, 10, 10, 1.578947], abs=1e-6)
    assert schedule.power[1, 4:] == pytest.approx(np.zeros(20), abs=1e-9)
    battery, heat = (schedule.costs[f"prefer a full storage {device} sooner"] for device in (0, 1))
    assert battery == pytest.approx(2 * heat)


def test_group_caps_the_sum_of_its_members(draft: type[Draft]) -> None:
    for power, lowest in ((0.0025, -0.0025), (np.nan, -0.004)):
        case = draft(4)
        members = [case.battery(0.002, 0.002, 0, 0.004), case.device(-0.002, 0)]
        case.site(100)
        if power == power:
            case.group(members, power=power)
        schedule = solve(case.problem())
        assert schedule.costs[ENERGY] == pytest.approx(-1)
        assert schedule.power.sum(axis=0).min() >= lowest - 1e-12
        if power == power:
            assert schedule.power[0] == pytest.approx([-0.0005] * 4)
            assert schedule.power[1] == pytest.approx([-0.002] * 4)


def test_converter_ports_move_together(draft: type[Draft]) -> None:
    case = draft(4)
    buffer = case.stock(0, 0, 1, hard_targets={3: 0.02}, prefer_full=False)
    gas = case.device(0, 0.1, commodity="gas")
    heat = case.device(0, 0.005, buffer, commodity="heat")
    power = case.device(-0.1, 0)
    case.site(100)
    case.site(50, commodity="gas")
    case.couple({gas: 1, heat: 0.5, power: -0.3})
    schedule = solve(case.problem())
    assert schedule.power == pytest.approx(np.repeat([[0.01], [0.005], [-0.003]], 4, axis=1))


@pytest.mark.parametrize(
    ("gas", "electricity", "chp", "boiler", "heater", "cost"),
    [(20, 50, 20, 5, 0, 800), (100, 10, 0, 0, 15, 600), (50, 55, 0, 10, 5, 3100)],
)
def test_factory_makes_steam_the_cheapest_way(
    draft: type[Draft], gas: float, electricity: float, chp: float, boiler: float, heater: float, cost: float
) -> None:
    case = draft(4)
    burner = case.device(0, 10, commodity="gas")
    turbine = case.device(0, 20, commodity="gas")
    element = case.device(0, 100)
    heats = [case.device(-100, 0, commodity="heat") for _ in range(2)]
    intake = case.device(0, 100, commodity="heat")
    out = case.device(-100, 0, commodity="steam")
    steam, power = case.device(-10, 0, commodity="steam"), case.device(-6, 0)
    case.fixed(15, commodity="steam")
    case.couple({burner: 1, heats[0]: -1}, "boiler")
    case.couple({element: 1, heats[1]: -1}, "heater")
    case.couple({intake: 1, out: -1}, "steamer")
    case.couple({turbine: 1, steam: -0.5, power: -0.3}, "chp")
    case.site(electricity)
    case.site(gas, commodity="gas")
    case.node("heat")
    case.node("steam")
    schedule = solve(case.problem())
    assert schedule.cost == pytest.approx(cost)
    assert schedule.power[[turbine, burner, element], 0] == pytest.approx([chp, boiler, heater], abs=1e-9)


def test_commitment_on_the_sum_of_all_devices(draft: type[Draft]) -> None:
    case = draft(4)
    case.device(0, 8)
    case.device(0, 8)
    case.site(50)
    case.commit(10, down=-10_000, per="energy")
    schedule = solve(case.problem())
    assert schedule.power.sum(axis=0) == pytest.approx([10] * 4)
    assert schedule.costs[ENERGY] == pytest.approx(2000)


def test_commitment_on_some_devices(draft: type[Draft]) -> None:
    case = draft(4)
    case.device(0, 8)
    bound = case.device(0, 8)
    case.site(50)
    case.commit(3, down=-10_000, devices=[bound])
    schedule = solve(case.problem())
    assert schedule.power == pytest.approx(np.repeat([[0.0], [3.0]], 4, axis=1))


@pytest.mark.parametrize(
    ("modes", "target", "cost"),
    [((), 1.2, 3.0), (([0, 0], [0.5, 0.5]), 1.0, 1.0), (([0, 0], [0.4, 0.5]), 1.2, 4.8)],
)
def test_operation_modes(draft: type[Draft], modes: Sequence[Sequence[float]], target: float, cost: float) -> None:
    case = draft(4)
    store = case.stock(0, 0, 2, hard_targets={3: target}, prefer_full=False)
    charger = case.device(0, 0.5, store)
    case.site([10, 1, 10, 1])
    if modes:
        case.modes(charger, *modes)
    schedule = solve(case.problem())
    assert schedule.cost == pytest.approx(cost)
    for power in schedule.power[charger]:
        assert not modes or any(low - 1e-9 <= power <= high + 1e-9 for low, high in modes)


def test_operation_modes_beside_a_converter(draft: type[Draft]) -> None:
    """A throughput of more than 1 MW is not cut down to a switch."""
    case = draft(2)
    intake = case.device(0, 4, commodity="gas")
    output = case.device(-2, 0)
    lamp = case.device(0, 1)
    case.couple({intake: 1, output: -0.5})
    case.modes(lamp, [0, 0], [1, 1])
    case.site(10)
    case.site(0, commodity="gas")
    assert solve(case.problem()).cost == pytest.approx(-40)


PRICES = [10, 11, 12, 15, 18, 17, 10.5, 9, 9.5, 9, 8.5, 10, 8, 5, 4, 4, 5.5, 8, 12, 13, 14, 12.5, 10, 7]


@pytest.mark.parametrize(
    ("kind", "hours", "cost"),
    [("INFLEXIBLE", {0, 1, 2, 3}, 9.6), ("SHIFTABLE", {11, 12, 13, 14}, 5.4), ("BREAKABLE", {13, 14, 16, 23}, 4.3)],
)
def test_process_planned_with_the_others(draft: type[Draft], kind: str, hours: set[int], cost: float) -> None:
    case = draft(24)
    process = case.process(kind, 0.2, 4, blocked=[15])
    case.site(PRICES)
    schedule = solve(case.problem())
    assert schedule.cost == pytest.approx(cost)
    assert set(np.flatnonzero(schedule.power[process])) == hours


def test_process_gives_way_to_a_load_under_the_site_limit(draft: type[Draft]) -> None:
    case = draft(24)
    process = case.process("SHIFTABLE", 0.2, 4, blocked=[15])
    case.fixed([0.9 if hour in (12, 13) else 0.1 for hour in range(24)])
    case.site(PRICES, power=1)
    ran = np.flatnonzero(solve(case.problem()).power[process])
    assert ran.tolist() == [7, 8, 9, 10]
    case.battery(0.5, 0.4, 0, 1)
    helped = solve(case.problem())
    assert helped.power.sum(axis=0).max() <= 1 + 1e-9
    assert helped.power[process].sum() == pytest.approx(0.8)
