"""Fleets: solved by structure, as good as by the general solver, with a proof."""

from typing import Any

import numpy as np
import pytest
from problem_draft import Draft
from scheduler.formulation.model import formulate
from scheduler.solving.engine import solve_with
from scheduler.solving.fleet.arrowhead import Factor, NotArrowheadError, find_arrowhead
from scheduler.solving.fleet.solve import dual_bound, solve_fleet
from scheduler.solving.search import SolverOptions
from scheduler.solving.solve import solve
from scipy.sparse import csr_matrix

SMALL = SolverOptions(fleet=0)


def fleet(draft: type[Draft], count: int, seed: int = 0, cars: bool = False, steps: int = 24, **site: object) -> Draft:
    """Storages of random sizes with a load, behind one connection."""
    case = draft(steps, minutes=60)
    random = np.random.default_rng(seed)
    for number in range(count):
        size = random.uniform(0.5, 1.5)
        if cars:
            required = {steps // 2 + number % 5: 2.5 * size}
            stock = case.stock(size, 0.2 * size, 4 * size, targets=required, minima={3: 0.5 * size, 4: 0.5 * size})
            case.device(0, size, stock, charge=0.95)
        else:
            case.battery(size, size, 0.2 * size, 4 * size, roundtrip=0.9, stock={"storage_efficiency": 0.9995})
    case.device(-0.1 * count, 0)
    case.fixed(0.3 * count * (1 + 0.5 * np.sin(np.arange(steps) / 4)))
    price = 60 + 25 * np.sin(np.arange(steps) / 3) + random.normal(0, 6, steps)
    limits: dict[str, Any] = {"power": 0.9 * count, "consumption": 0.7 * count, **site}
    case.site(price, 0.6 * price - 2, **limits)
    return case


@pytest.mark.parametrize("cars", [False, True])
@pytest.mark.parametrize("site", [{}, {"peak_consumption_price": 260, "peak_consumption": 10}])
def test_as_good_as_the_general_solver(draft: type[Draft], cars: bool, site: dict[str, Any]) -> None:
    case = fleet(draft, 60, cars=cars, **site)
    quick, exact = solve(case.problem(), SMALL), solve(case.problem(), SolverOptions(fleet=10**9))
    assert quick.solver == "fleet"
    assert quick.cost == pytest.approx(exact.cost, rel=1e-6)
    assert quick.bound <= exact.cost + 1e-6 * abs(exact.cost)
    assert 0 <= quick.gap < 1e-6
    assert quick.power.sum(axis=0).max() <= 0.9 * 60 + 1e-9
    assert quick.marginal.site == pytest.approx(exact.marginal.site, abs=60)


def test_prices_of_a_fleet_are_marginal_costs(draft: type[Draft]) -> None:
    case = fleet(draft, 40)
    schedule = solve(case.problem(), SMALL)
    for step in (2, 11, 20):
        costs = []
        for by in (-1e-3, 1e-3):
            case.devices[-1]["power_min"][step] += by
            case.devices[-1]["power_max"][step] += by
            costs.append(solve(case.problem(), SolverOptions(fleet=10**9)).cost)
            case.devices[-1]["power_min"][step] -= by
            case.devices[-1]["power_max"][step] -= by
        middle = solve(case.problem(), SolverOptions(fleet=10**9)).cost
        low, high = sorted([(middle - costs[0]) / 1e-3, (costs[1] - middle) / 1e-3])
        assert low - 0.05 <= schedule.marginal.site[0, step] <= high + 0.05


def test_without_a_common_limit_each_is_solved_for_itself(draft: type[Draft], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.solving.fleet.solve.BATCH", 7)
    case = fleet(draft, 30, power=np.nan, consumption=np.nan)
    case.sites[0]["production_price"] = case.sites[0]["consumption_price"]
    problem = case.problem()
    assert not (formulate(problem).net.rows >= 0).any()
    quick, exact = solve(problem, SMALL), solve(problem, SolverOptions(fleet=10**9))
    assert quick.solver == "fleet"
    assert quick.cost == pytest.approx(exact.cost, rel=1e-6)


def test_same_bytes_again(draft: type[Draft]) -> None:
    problem = fleet(draft, 30).problem()
    assert solve(problem, SMALL).power.tobytes() == solve(problem, SMALL).power.tobytes()


def test_nothing_but_dust_is_cut_off(draft: type[Draft]) -> None:
    """A value that rests at a bound is exactly there."""
    schedule = solve(fleet(draft, 50).problem(), SMALL)
    size = np.abs(schedule.power).max(axis=1, keepdims=True)
    share = np.abs(schedule.power) / np.maximum(size, 1e-12)
    assert ((share == 0) | (share > 1e-7)).all()
    assert (share == 0).any()


def test_bound_is_a_bound(draft: type[Draft]) -> None:
    program = formulate(fleet(draft, 10).problem()).program
    best = solve_with("glop", program)
    tight = dual_bound(program, best.duals)
    assert tight == pytest.approx(best.objective, rel=1e-6)
    random = np.random.default_rng(1)
    for _ in range(5):
        prices = best.duals + random.normal(0, 5, len(best.duals))
        assert dual_bound(program, prices) <= best.objective


def test_a_breach_that_cannot_be_avoided_is_left_to_the_general_solver(draft: type[Draft]) -> None:
    case = fleet(draft, 20, consumption=2)
    problem = case.problem()
    model = formulate(problem)
    assert solve_fleet(model.program, model.stocks.rows) is None
    schedule = solve(problem, SMALL)
    assert schedule.costs["electricity all consumption breaches"] > 0
    assert schedule.solver != "fleet"


def test_other_shapes_are_left_to_the_general_solver(draft: type[Draft]) -> None:
    case = fleet(draft, 20)
    case.group([0, 1, 2], power=1)
    problem = case.problem()
    model = formulate(problem)
    assert solve_fleet(model.program, model.stocks.rows) is None
    assert solve(problem, SMALL).cost == pytest.approx(solve(problem).cost)


def test_normal_equations(draft: type[Draft]) -> None:
    model = formulate(fleet(draft, 6, steps=8, power=np.nan).problem())
    matrix = csr_matrix(model.program.matrix)
    rows = np.ascontiguousarray(model.stocks.rows.T)
    try:
        arrow = find_arrowhead(matrix, rows)
    except NotArrowheadError:
        pytest.fail("this is an arrow")
    random = np.random.default_rng(2)
    theta = np.exp(random.normal(0, 3, matrix.shape[1]))
    dense = (matrix.multiply(theta) @ matrix.T).toarray()
    right = random.normal(size=len(dense))
    assert Factor(arrow, theta).solve(right) == pytest.approx(np.linalg.solve(dense, right), rel=1e-6)
