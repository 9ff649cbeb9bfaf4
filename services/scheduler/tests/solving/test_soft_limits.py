"""Soft limits, their prices, and what is reported of them."""

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np
import pytest
from flexmodel.problem import Array, Problem
from flexmodel.schedule import Schedule
from problem_draft import Draft, SiteOptions
from scheduler.formulation.terms import number_groups
from scheduler.solving.solve import solve

ENERGY = "electricity net energy"


def broken(schedule: Schedule) -> list[tuple[str, int, float]]:
    """(field, step, amount) of every broken soft limit."""
    return [
        (check.limit, int(step), float(excess))
        for check in schedule.checks
        for step, excess in zip(check.steps, check.excess, strict=True)
        if excess > 0
    ]


def test_many_commitments_at_once(draft: type[Draft]) -> None:
    case = draft(96, minutes=15)
    minima = {"minima": {95: 1.0}, "minima_price": 6e6, "prefer_full": False}
    case.battery(1, 0.4, 0, 1, stock=minima)
    peak: dict[str, Any] = {"peak_consumption": 0.02, "peak_consumption_price": 260}
    case.site(100, 90, power=2, consumption=0.001, breach_price=1e6, **peak)
    case.commit(0, up=1, down=-1, name="per power")
    case.commit(0, up=1, down=-1, name="per energy", per="energy")
    schedule = solve(case.problem())
    assert schedule.power[0] == pytest.approx(np.full(96, 0.025))
    assert schedule.costs == pytest.approx(
        {
            ENERGY: 60,
            "electricity any consumption breach": 24_000,
            "electricity all consumption breaches": 576_000,
            "electricity any production breach": 0,
            "electricity all production breaches": 0,
            "electricity consumption peak": 1.3,
            "any soc minima": 0,
            "all soc minima": 0,
            "per power": 2.4,
            "per energy": 0.6,
        },
        rel=1e-9,
    )


def test_dearer_breaches_come_last(draft: type[Draft]) -> None:
    case = draft(96, minutes=15)
    cap = np.where((np.arange(96) >= 48) & (np.arange(96) < 72), 0, 0.025)
    minima = dict.fromkeys(range(47, 72), 0.8)
    soft: dict[str, Any] = {"consumption_cap": cap, "production_cap": cap, "breach_price": 1e5}
    case.battery(0.025, 0.4, 0, 1, stock={"minima": minima}, **soft)
    price = np.full(96, 100.0)
    price[64:68], price[68:72] = 0, 1000
    tariff = np.where(np.arange(96) < 8, 260, 235)
    case.site(price, price - 10, peak_consumption=0.02, peak_consumption_price=tariff)
    schedule = solve(case.problem())
    assert schedule.power[0, :64] == pytest.approx(np.full(64, 0.025))
    assert schedule.power[0, 64:72] == pytest.approx(np.zeros(8))
    costs = schedule.costs
    assert costs["any consumption breach device 0"] == pytest.approx(2500)
    assert costs["all consumption breaches device 0"] == pytest.approx(10_000)
    assert costs["any soc minima"] == pytest.approx(400_000 / 4)
    assert costs["all soc minima"] == pytest.approx(850_000 / 4)
    assert costs["electricity consumption peak"] == pytest.approx(0.005 * 260)


@pytest.mark.parametrize(("minutes", "steps"), [(60, 4), (15, 16), (5, 48)])
def test_soc_breach_costs_do_not_depend_on_the_resolution(draft: type[Draft], minutes: int, steps: int) -> None:
    case = draft(steps, minutes=minutes)
    case.battery(0.25, 0, 0, 2, stock={"minima": {steps - 1: 1.5}, "minima_price": 120e3})
    case.site(100)
    costs = solve(case.problem()).costs
    assert costs["any soc minima"] == pytest.approx(60_000)
    assert costs["all soc minima"] == pytest.approx(60_000 * minutes / 60)


@pytest.mark.parametrize(
    ("start", "field", "required", "amount"),
    [(0.4, "minima", 0.9, 0.26), (0.4, "targets", 0.9, 0.26), (0.9, "maxima", 0.5, 0.16)],
)
def test_unreachable_requirements_are_reported(
    draft: type[Draft], start: float, field: str, required: float, amount: float
) -> None:
    case = draft(24)
    case.battery(0.01, start, 0, 1, stock={field: {23: required}})
    case.site(100)
    [(limit, step, excess)] = broken(solve(case.problem()))
    assert (limit, step) == (f"soc-{field}", 23)
    assert excess == pytest.approx(amount)


def test_target_above_the_storage_is_met_as_far_as_possible(draft: type[Draft]) -> None:
    case = draft(24)
    case.battery(2, 2.5, 0.5, 4.5, stock={"targets": {15: 8.0}, "ramp": False})
    case.site([100, 90, 100])
    schedule = solve(case.problem())
    assert schedule.soc[0, 16] == pytest.approx(4.5)
    assert schedule.costs[ENERGY] == pytest.approx(-240)
    assert schedule.costs["any soc targets"] == pytest.approx(3.5e6)
    assert schedule.costs["all soc targets"] == pytest.approx(3.5e6)


def spiky(draft: type[Draft], hard_targets: Mapping[int, float] | None = None) -> tuple[Draft, Array, Array]:
    """A day with one hour of negative prices and a cap on consumption."""
    steps = np.arange(24)
    bump = np.where(steps == 10, -100, steps / 23)
    case = draft(24)
    case.battery(1, 0.4, 0, 1, stock={"prefer_full": False, "hard_targets": hard_targets})
    return case, 100 + bump, 90 + bump


def test_cap_that_costs_once_is_broken_once_it_must_be(draft: type[Draft]) -> None:
    tariff: dict[str, Any] = {"peak_consumption": 0.1, "peak_consumption_price": 1000}
    case, price, feed_in = spiky(draft)
    case.site(price, feed_in, **tariff)
    schedule = solve(case.problem())
    assert schedule.cost == pytest.approx(-45.5)
    assert schedule.power[0, 10] == pytest.approx(0.1)
    case, price, feed_in = spiky(draft, hard_targets={0: 0.6})
    case.site(price, feed_in, **tariff)
    schedule = solve(case.problem())
    assert schedule.cost == pytest.approx(47.2)
    assert schedule.power[0, [0, 10]] == pytest.approx([0.2, 0.2])


def test_cap_that_also_costs_by_the_hour_is_not_broken_again(draft: type[Draft]) -> None:
    case, price, feed_in = spiky(draft, hard_targets={0: 0.6})
    case.site(price, feed_in, consumption=0.1, breach_price=1000)
    schedule = solve(case.problem())
    assert schedule.cost == pytest.approx(156.3)
    assert schedule.power[0, [0, 10]] == pytest.approx([0.2, 0.1])


def test_groups_in_which_the_largest_breach_counts() -> None:
    quantity = np.array([[1, 1, 2, 2, 1.0]])
    up, down = np.array([[10, 10, 12, 12, 12.0]]), np.array([[-5, -5, -5, -6, -6.0]])
    active = np.ones((1, 5), dtype=bool)
    assert number_groups(active, quantity).tolist() == [[0, 0, 1, 1, 2]]
    assert number_groups(active, up, down).tolist() == [[0, 0, 1, 2, 2]]
    holes = np.array([[True, False, True, True, False]])
    assert number_groups(holes, np.full((1, 5), 3.0)).tolist() == [[0, -1, 0, 0, -1]]
    assert len(set(number_groups(holes, quantity)[holes])) == 2


def test_every_breach_cost_is_listed_even_at_zero(draft: type[Draft]) -> None:
    case = draft(4)
    case.battery(1, 1, 0, 2, stock={"minima": {1: 0.5}, "targets": {3: 1.0}})
    case.site(10)
    names = {f"electricity {name}" for name in ("any consumption breach", "all consumption breaches")}
    names |= {f"electricity {name}" for name in ("any production breach", "all production breaches", "net energy")}
    names |= {"any soc minima", "all soc minima", "any soc targets", "all soc targets"}
    names |= {"prefer a full storage 0 sooner"}
    assert set(solve(case.problem()).costs) == names


def test_custom_commitment_with_a_name_of_ours_is_marked(draft: type[Draft]) -> None:
    case = draft(2)
    case.device(0, 1)
    case.site(10)
    case.commit(0.5, down=-1000, name=ENERGY)
    schedule = solve(case.problem())
    assert schedule.power[0] == pytest.approx([0.5, 0.5])
    assert schedule.costs[f"{ENERGY} (custom)"] == 0


def test_soft_group_cap(draft: type[Draft]) -> None:
    case = draft(4)
    members = [case.device(0, 1), case.device(0, 1)]
    case.site(-10)
    case.group(members, power=1.8, consumption=1.5)
    schedule = solve(case.problem())
    assert schedule.power.sum(axis=0) == pytest.approx([1.5] * 4)
    case.sites[0]["consumption_price"][:] = case.sites[0]["production_price"][:] = -1e9
    schedule = solve(case.problem())
    assert schedule.power.sum(axis=0) == pytest.approx([1.8] * 4)
    assert schedule.costs["group sensor:1 any consumption breach"] == pytest.approx(0.3e7)
    assert schedule.costs["group sensor:1 all consumption breaches"] == pytest.approx(1.2e7)


def test_problem_keeps_the_peak_of_a_changing_tariff_to_one_charge(draft: type[Draft]) -> None:
    case = draft(4)
    case.fixed([1, 3, 2, 1])
    case.site(0, peak_consumption_price=[10, 10, 100, 100])
    assert solve(case.problem()).costs["electricity consumption peak"] == pytest.approx(200)


def test_soft_limits_beyond_reach_add_no_columns(draft: type[Draft]) -> None:
    def columns(**more: Unpack[SiteOptions]) -> int:
        case = draft(24)
        case.battery(1, 1, 0, 2)
        case.site(np.arange(24), **more)
        return size(case.problem())

    assert columns(consumption=5, production=5) == columns()
    assert columns(consumption=0.5) > columns()


def size(problem: Problem) -> int:
    from scheduler.formulation.model import formulate

    return formulate(problem).program.matrix.shape[1]
