"""Properties that hold for every problem, tried on random ones."""

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from flexmodel.problem import Problem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from problem_draft import Draft
from scheduler.explaining.explain import explain
from scheduler.formulation.model import formulate
from scheduler.formulation.stocks import decay_factors, hard_soc_limits
from scheduler.solving.infeasibility import Infeasible
from scheduler.solving.search import SolverOptions, find_optimum
from scheduler.solving.solve import solve

pytestmark = [pytest.mark.filterwarnings("error"), pytest.mark.slow]
CAREFUL = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
FULL = SolverOptions(every_binary=True)
HARD = ("hard_minima", "hard_maxima", "hard_targets")


def numbers(low: float, high: float, digits: int = 2) -> st.SearchStrategy[float]:
    return st.integers(round(low * 10**digits), round(high * 10**digits)).map(lambda whole: whole / 10**digits)


@st.composite
def batteries(draw: st.DrawFn, case: Draft, steps: int) -> None:
    power, room = draw(numbers(0.1, 2)), draw(numbers(0.5, 4))
    kind = draw(st.sampled_from(["battery", "car", "shared"]))
    stock: dict[str, Any] = {"storage_efficiency": draw(st.sampled_from([1.0, 0.99, 0.9]))}
    if draw(st.booleans()):
        stock["minima"] = {draw(st.integers(0, steps - 1)): room * draw(numbers(0, 1))}
    if draw(st.booleans()):
        stock["targets"] = {draw(st.integers(0, steps - 1)): room * draw(numbers(0, 1))}
    number = case.stock(room * draw(numbers(0.2, 1)), 0, room, **stock)
    efficiency = draw(st.sampled_from([1.0, 0.95, 0.8]))
    low = 0 if kind == "car" else -power
    case.device(low, power, number, efficiency, efficiency)
    if kind == "shared":
        case.device(-power / 2, power / 3, number, efficiency, efficiency)


@st.composite
def problems(draw: st.DrawFn, draft: type[Draft], tame: bool = False) -> Draft:
    """A site with some storages, panels and a load; `tame` prices never pay for wasting energy."""
    steps = draw(st.integers(2, 8))
    case = draft(steps, minutes=draw(st.sampled_from([15, 60])))
    for _ in range(draw(st.integers(1, 2))):
        draw(batteries(case, steps))
    if draw(st.booleans()):
        case.device(-draw(numbers(0, 2)), 0)
    case.fixed([draw(numbers(-1, 1)) for _ in range(steps)])
    price = np.array([draw(numbers(5 if tame else -30, 60)) for _ in range(steps)])
    feed_in = price - draw(numbers(0 if tame else -10, 5)) if draw(st.booleans()) else None
    site: dict[str, Any] = {}
    if draw(st.booleans()):
        site["consumption"] = draw(numbers(0.5, 3))
    if draw(st.booleans()):
        site["production"] = draw(numbers(0.5, 3))
    if draw(st.booleans()):
        site |= {"peak_consumption": draw(numbers(0, 1)), "peak_consumption_price": draw(numbers(0, 100))}
    case.site(price, feed_in, power=8, **site)
    if not tame and draw(st.booleans()):
        case.commit(draw(numbers(-1, 1)), up=draw(numbers(-3, 10)), down=draw(numbers(-10, 3)))
    return case


def tolerance(cost: float) -> float:
    return 1e-6 * max(1.0, abs(cost))


@CAREFUL
@given(data=st.data())
def test_hard_limits_hold_and_energy_balances(draft: type[Draft], data: st.DataObject) -> None:
    problem = data.draw(problems(draft)).problem()
    schedule = solve(problem)
    devices, stocks = problem.devices, problem.stocks
    assert (schedule.power >= devices.power_min - 1e-9).all()
    assert (schedule.power <= devices.power_max + 1e-9).all()
    low, high = hard_soc_limits(stocks)
    assert (schedule.soc[:, 1:] >= low - 1e-9).all()
    assert (schedule.soc[:, 1:] <= high + 1e-9).all()
    kept, share = decay_factors(stocks.storage_efficiency)
    for stock in range(len(stocks)):
        flow = stocks.gain[stock].copy()
        for device in np.flatnonzero(devices.stock == stock):
            power = schedule.power[device]
            flow += np.where(
                power > 0, power * devices.charging_efficiency[device], power / devices.discharging_efficiency[device]
            )
        after = kept[stock] * schedule.soc[stock, :-1] + share[stock] * problem.window.hours * flow
        assert schedule.soc[stock, 1:] == pytest.approx(after, abs=1e-8)
    net = schedule.power.sum(axis=0)
    assert (np.abs(net) <= 8 + 1e-9).all()


@CAREFUL
@given(data=st.data())
def test_reported_costs_are_the_minimised_costs(draft: type[Draft], data: st.DataObject) -> None:
    problem = data.draw(problems(draft)).problem()
    model = formulate(problem)
    outcome = find_optimum(model, SolverOptions())
    schedule = solve(problem)
    assert schedule.cost == pytest.approx(outcome.solution.objective + model.program.offset, rel=1e-7, abs=1e-7)
    assert schedule.bound <= schedule.cost
    assert schedule.cost == sum(schedule.costs.values())


@CAREFUL
@given(data=st.data())
def test_cost_lies_between_the_bound_and_doing_nothing(draft: type[Draft], data: st.DataObject) -> None:
    problem = data.draw(problems(draft)).problem()
    schedule = solve(problem)
    relaxed = formulate(problem)
    from scheduler.solving.engine import solve_with

    bound = solve_with("glop", relaxed.program).objective + relaxed.program.offset
    assert bound <= schedule.cost + tolerance(schedule.cost)
    for baseline in explain(problem, schedule)["without-a-plan"]:
        if baseline["possible"]:
            assert schedule.cost <= baseline["cost"] + tolerance(baseline["cost"])


@CAREFUL
@given(data=st.data())
def test_few_binaries_cost_no_more_than_all(draft: type[Draft], data: st.DataObject) -> None:
    problem = data.draw(problems(draft)).problem()
    short, full = solve(problem), solve(problem, FULL)
    assert short.cost == pytest.approx(full.cost, rel=1e-6, abs=1e-6)


@CAREFUL
@given(data=st.data(), factor=st.sampled_from([1e-6, 1e-3, 100.0]))
def test_size_of_the_unit_changes_nothing(draft: type[Draft], data: st.DataObject, factor: float) -> None:
    problem = data.draw(problems(draft)).problem()
    scaled = scale(problem, factor)
    assert solve(scaled).cost == pytest.approx(solve(problem).cost * factor, rel=1e-6, abs=1e-7 * factor + 1e-10)


def scale(problem: Problem, factor: float) -> Problem:
    """The same problem with all powers and energies multiplied."""
    powers = {
        "devices": ["power_min", "power_max", "consumption_cap", "production_cap"],
        "stocks": ["initial", "soc_min", "soc_max", "gain", "minima", "maxima", "targets", *HARD],
    }
    changed = {
        part: dataclasses.replace(
            getattr(problem, part), **{name: getattr(getattr(problem, part), name) * factor for name in names}
        )
        for part, names in powers.items()
    }
    caps = ["power_max", "power_min", "consumption_cap", "production_cap", "peak_consumption"]
    sites = tuple(
        dataclasses.replace(
            site, **{name: getattr(site, name) * factor for name in caps if getattr(site, name) is not None}
        )
        for site in problem.sites
    )
    commitments = tuple(
        dataclasses.replace(commitment, baseline=commitment.baseline * factor) for commitment in problem.commitments
    )
    return dataclasses.replace(problem, **changed, sites=sites, commitments=commitments)


@CAREFUL
@given(data=st.data())
def test_two_halves_cost_as_much_as_the_whole(draft: type[Draft], data: st.DataObject) -> None:
    case = data.draw(problems(draft, tame=True))
    whole = solve(case.problem())
    device, stock = case.devices[0], case.stocks[0]
    if sum(each["stock"] == 0 for each in case.devices) > 1:
        return
    for each in (device, stock):
        for name in ("power_min", "power_max", "initial", "soc_min", "soc_max", "minima", "targets", "gain"):
            if name in each:
                each[name] = each[name] / 2
    case.stocks.append(dict(stock))
    case.devices.append({**device, "stock": len(case.stocks) - 1})
    assert solve(case.problem()).cost == pytest.approx(whole.cost, rel=1e-6, abs=1e-6)


@CAREFUL
@given(data=st.data())
def test_impossible_hard_limits_are_explained(draft: type[Draft], data: st.DataObject) -> None:
    """Wishes made hard either have a schedule or a sentence, and never both."""
    case = data.draw(problems(draft))
    for stock in case.stocks:
        stock["hard_minima"], stock["minima"] = stock["minima"], stock["hard_minima"]
        stock["hard_targets"], stock["targets"] = stock["targets"], stock["hard_targets"]
    softened = [np.fmax(stock["hard_minima"], stock["hard_targets"]) for stock in case.stocks]
    problem = case.problem()
    try:
        schedule = solve(problem)
    except Infeasible as error:
        assert error.reasons
        assert all("cannot" in reason or "which is" in reason for reason in error.reasons)
        return
    for required, soc in zip(softened, schedule.soc[:, 1:], strict=True):
        given_steps = ~np.isnan(required)
        assert (soc[given_steps] >= required[given_steps] - 1e-6).all()


@settings(CAREFUL, max_examples=25)
@given(data=st.data())
def test_processes_run_when_enumeration_says(draft: type[Draft], data: st.DataObject) -> None:
    steps = data.draw(st.integers(3, 7))
    case = draft(steps)
    kind = data.draw(st.sampled_from(["SHIFTABLE", "BREAKABLE"]))
    length = data.draw(st.integers(1, steps - 1))
    case.process(kind, 1.0, length)
    load = [data.draw(numbers(0, 1)) for _ in range(steps)]
    case.fixed(load)
    price = [data.draw(numbers(1, 50)) for _ in range(steps)]
    case.site(price, power=5, consumption=1.2, breach_price=30)
    found = solve(case.problem()).cost
    if kind == "SHIFTABLE":
        runs = [tuple(range(first, first + length)) for first in range(steps - length + 1)]
    else:
        runs = list(itertools.combinations(range(steps), length))
    best = np.inf
    for run in runs:
        net = np.array(load)
        net[list(run)] += 1
        over = np.maximum(net - 1.2, 0)
        best = min(best, net @ price + 30 * over.sum() + 30 * over.max())
    assert found == pytest.approx(best, rel=1e-6)
