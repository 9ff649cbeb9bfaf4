"""Choices between charging and discharging, buying and selling, for which a linear program is not enough."""

import numpy as np
import pytest
from flexmodel.problem import Problem
from flexmodel.schedule import ScheduleStatus
from numpy.typing import ArrayLike
from problem_draft import Draft
from scheduler.solving.search import SolverOptions
from scheduler.solving.solve import solve

ENERGY = "electricity net energy"
FULL = SolverOptions(every_binary=True)


def hems(draft: type[Draft], consumption: ArrayLike, production: ArrayLike | None) -> Problem:
    """A battery, a load and panels over a day."""
    case = draft(24)
    hours = np.arange(24)
    case.battery(0.025, 0.04, 0.01, 0.1, roundtrip=0.9)
    case.fixed(0.006 + 0.004 * np.sin(hours))
    case.fixed(-0.03 * np.maximum(0, np.sin((hours - 6) / 12 * np.pi)))
    case.site(consumption, production)
    return case.problem()


def test_production_price_above_consumption_price(draft: type[Draft]) -> None:
    """The reference calls this infeasible under its default relaxation."""
    problem = hems(draft, 50 + 20 * np.sin(np.arange(24) / 3), 60)
    short, full = solve(problem), solve(problem, FULL)
    assert short.status is ScheduleStatus.OPTIMAL
    assert short.cost == pytest.approx(full.cost, rel=1e-6)
    net = short.power.sum(axis=0)
    prices = 50 + 20 * np.sin(np.arange(24) / 3)
    paid = np.where(net > 0, prices * net, 60 * net).sum()
    assert short.costs[ENERGY] == pytest.approx(paid)


def test_large_stock_in_a_short_window(draft: type[Draft]) -> None:
    """A choice that is bounded by the stock's size would be too tight for this one."""
    case = draft(4)
    case.battery(1, 0, 0, 100)
    case.site(10, 30)
    schedule = solve(case.problem())
    assert schedule.cost == pytest.approx(-40, abs=1e-2)
    case.commit(0.5, up=0, down=5)
    assert solve(case.problem()).status is ScheduleStatus.OPTIMAL


@pytest.mark.parametrize("seed", range(4))
def test_negative_prices_do_not_burn_energy(draft: type[Draft], seed: int) -> None:
    random = np.random.default_rng(seed)
    problem = hems(draft, random.normal(10, 40, 24), None)
    short, full = solve(problem), solve(problem, FULL)
    assert short.cost == pytest.approx(full.cost, rel=1e-6)
    moved = np.diff(short.soc[0])
    efficiency = 0.9**0.5
    charge, discharge = np.maximum(short.power[0], 0), np.maximum(-short.power[0], 0)
    assert moved == pytest.approx(charge * efficiency - discharge / efficiency, abs=1e-9)


def test_devices_on_one_stock_do_not_work_against_each_other(draft: type[Draft]) -> None:
    case = draft(4)
    store = case.stock(1, 0, 2)
    for _ in range(2):
        case.device(-1, 1, store, charge=0.9, discharge=0.9)
    case.site(-50)
    schedule = solve(case.problem())
    assert ((schedule.power >= -1e-9).all(axis=0) | (schedule.power <= 1e-9).all(axis=0)).all()
    assert schedule.cost == pytest.approx(solve(case.problem(), FULL).cost, rel=1e-6)


def test_devices_on_one_stock_may_serve_two_commodities_at_once(draft: type[Draft]) -> None:
    case = draft(4)
    store = case.stock(0, 0, 1)
    case.device(0, 1, store, charge=3)
    case.device(-1, 0, store, commodity="heat")
    case.fixed(0.9, commodity="heat")
    case.site(100)
    case.node("heat")
    schedule = solve(case.problem())
    assert schedule.costs[ENERGY] == pytest.approx(120)
    assert schedule.power[0].max() > 0.2


def test_free_energy_needs_no_search(draft: type[Draft]) -> None:
    """At a price of zero wasting costs nothing, so a linear solution may do it; it can be undone for free."""
    problem = hems(draft, np.where(np.arange(24) % 4 < 2, 0, 50), None)
    schedule = solve(problem)
    assert schedule.solver == "glop"
    assert schedule.cost == pytest.approx(solve(problem, FULL).cost, rel=1e-6)


def test_commitment_that_pays_for_staying_below(draft: type[Draft]) -> None:
    """Paid for every MW below its baseline and charged nothing above: the cost bends the wrong way."""
    case = draft(24)
    case.battery(0.5, 1, 0, 2, roundtrip=0.9)
    case.fixed(0.3)
    case.site(40 + 10 * np.sin(np.arange(24)))
    case.commit(0.2, down=8)
    short, full = solve(case.problem()), solve(case.problem(), FULL)
    assert short.cost == pytest.approx(full.cost, rel=1e-6)
    below = np.minimum(short.power.sum(axis=0) - 0.2, 0)
    assert short.costs["contract"] == pytest.approx(8 * below.sum())


def test_smart_building(draft: type[Draft]) -> None:
    """A charger, a discharge-only battery and a commitment that pays for production, behind hard caps."""
    case = draft(96, minutes=15)
    at = {20: 0.0, 30: 0.0125, 70: 0.025, 94: 0.0375}
    car = case.stock(0, 0, 0.05, hard_targets={step: value for step, value in at.items() if value}, hard_maxima={19: 0})
    case.device(0, 0.005, car)
    pack = case.stock(0.1, 0, 0.1, hard_targets={11: 0.094})
    case.device(-0.005, 0, pack)
    prices = np.where(np.arange(96) < 32, -10, 100)
    case.site(prices, consumption=0.005, production=0.002, relaxed=False)
    case.commit(0, down=1, per="energy")
    schedule = solve(case.problem())
    spent = schedule.power @ prices / 4
    assert spent == pytest.approx([2.2375, -5.515])
    assert schedule.costs[ENERGY] == pytest.approx(-3.2775)


def test_deadline_is_kept_and_reported(draft: type[Draft]) -> None:
    case = draft(96, minutes=15)
    random = np.random.default_rng(1)
    for number in range(30):
        case.battery(1 + number / 7, 1, 0, 3, roundtrip=0.8)
    case.site(random.normal(-5, 30, 96), random.normal(20, 30, 96), power=20)
    schedule = solve(case.problem(), SolverOptions(seconds=3))
    assert schedule.bound <= schedule.cost + 1e-9
    if schedule.status is ScheduleStatus.FEASIBLE:
        assert schedule.gap > 0
    else:
        assert schedule.gap < 1e-6


def test_a_storage_that_gains_by_being_used(draft: type[Draft]) -> None:
    """A heat pump that also drives: charging gives three times what discharging takes, which only binaries rule out."""
    case = draft(4, minutes=30)
    store = case.stock(0.1, 0, 0.5, maxima={0: 0.0}, maxima_price=5, prefer_full=False)
    case.device(-0.2, 0.2, store, charge=3)
    case.site([0, 0, 0.1, 0], power=6)
    short, full = solve(case.problem()), solve(case.problem(), FULL)
    assert short.status is ScheduleStatus.OPTIMAL
    assert short.cost == pytest.approx(-0.01)
    assert full.cost == pytest.approx(-0.01)
