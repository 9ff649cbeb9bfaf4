"""Explanations: splits that add up, prices that finite differences confirm, savings that are real."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np
import pytest
from flexmodel.problem import Devices, Group, Problem, Site, Stocks
from problem_draft import Draft, SiteOptions
from scheduler.explaining.explain import explain
from scheduler.solving.solve import solve

ENERGY = "electricity net energy"


def house(draft: type[Draft], **site: Unpack[SiteOptions]) -> Draft:
    """A battery, a car that must be charged, panels and a load behind a tight connection."""
    case = draft(24)
    hours = np.arange(24)
    case.battery(0.5, 0.4, 0.1, 1, roundtrip=0.9, label="battery")
    car = case.stock(0.2, 0, 1, targets={11: 0.9}, storage_efficiency=0.999)
    case.device(0, 0.3, car, charge=0.95, label="car")
    case.device(-0.4 * np.maximum(0, np.sin((hours - 6) / 12 * np.pi)), 0, label="panels")
    case.fixed(0.2 + 0.05 * np.sin(hours))
    case.site(60 + 25 * np.sin(hours / 3.1), 30 + 20 * np.sin(hours / 3.1), power=0.55, **site)
    return case


def perturbed(problem: Problem, path: Sequence[str], index: tuple[int, ...] | int, by: float) -> Problem:
    """The problem with one element of one array changed; path like ("stocks", "gain")."""
    owner = getattr(problem, path[0])
    parts = owner if isinstance(owner, tuple) else (owner,)
    first = _changed(parts[0], path[1], index, by)
    changed: dict[str, Any] = {path[0]: (first, *owner[1:]) if isinstance(owner, tuple) else first}
    return dataclasses.replace(problem, **changed)


def _changed[T: Site | Group | Devices | Stocks](owner: T, field: str, index: tuple[int, ...] | int, by: float) -> T:
    values = getattr(owner, field).copy()
    values[index] += by
    changed: dict[str, Any] = {field: values}
    return dataclasses.replace(owner, **changed)


def slopes(
    problem: Problem, path: Sequence[str], index: tuple[int, ...] | int, by: float = 1e-5
) -> tuple[float, float]:
    """Cost per unit, seen from the left and from the right."""
    middle = solve(problem).cost
    right = solve(perturbed(problem, path, index, by)).cost
    left = solve(perturbed(problem, path, index, -by)).cost
    low, high = sorted([(middle - left) / by, (right - middle) / by])
    return low, high


@pytest.mark.parametrize("step", [0, 5, 10, 13, 18, 23])
def test_prices_are_marginal_costs(draft: type[Draft], step: int) -> None:
    problem = house(draft, consumption=0.45, peak_consumption=0.3, peak_consumption_price=50).problem()
    prices = solve(problem).marginal
    for row in range(2):
        low, high = slopes(problem, ("stocks", "gain"), (row, step))
        decay = prices.stock[row, step] * (0.9995 if row else 1)
        assert low - 1e-3 <= -decay <= high + 1e-3, "a MWh that flows into the stock by itself"
    load = 3
    both = problem
    for field in ("power_min", "power_max"):
        both = perturbed(both, ("devices", field), (load, step), 1e-5)
    less = problem
    for field in ("power_min", "power_max"):
        less = perturbed(less, ("devices", field), (load, step), -1e-5)
    middle = solve(problem).cost
    ends = sorted([(middle - solve(less).cost) / 1e-5, (solve(both).cost - middle) / 1e-5])
    assert ends[0] - 1e-3 <= prices.site[0, step] <= ends[1] + 1e-3, "a MWh more of load"


@pytest.mark.parametrize(
    ("limit", "gain", "sign"),
    [
        (("devices", "power_max"), "device_up", 1),
        (("devices", "power_min"), "device_down", -1),
    ],
)
def test_worth_of_device_limits_is_the_saving_from_moving_them(
    draft: type[Draft], limit: str, gain: str, sign: int
) -> None:
    problem = house(draft).problem()
    worth = getattr(solve(problem).marginal, gain)
    places = [tuple(place) for place in np.argwhere(worth > 1) if problem.devices.flexible[place[0]]]
    assert places
    for place in places[::5]:
        low, high = (sign * slope for slope in slopes(problem, limit, place))
        assert min(low, high) - 1e-3 <= -worth[place] <= max(low, high) + 1e-3


def test_worth_of_caps_is_the_saving_from_moving_them(draft: type[Draft]) -> None:
    for site, path in (({"consumption": 0.4}, ("sites", "consumption_cap")), ({}, ("sites", "power_max"))):
        case = house(draft, **site)
        if not site:
            case.sites[0]["power_max"][:] = 0.4
        problem = case.problem()
        worth = solve(problem).marginal.site_up[0]
        steps = np.flatnonzero(worth > 1)
        assert len(steps)
        for step in steps.tolist():
            low, high = slopes(problem, path, step)
            assert low - 1e-3 <= -worth[step] <= high + 1e-3


def test_worth_of_stock_limits_is_the_saving_from_moving_them(draft: type[Draft]) -> None:
    case = house(draft)
    case.stocks[0]["hard_maxima"] = np.full(24, 0.8)
    case.stocks[0]["hard_minima"] = np.full(24, 0.2)
    problem = case.problem()
    prices = solve(problem).marginal
    for gain, path, sign in ((prices.stock_up, "hard_maxima", 1), (prices.stock_down, "hard_minima", -1)):
        places = [tuple(place) for place in np.argwhere(gain > 1) if place[0] == 0]
        assert places
        for place in places:
            low, high = sorted(sign * slope for slope in slopes(problem, ("stocks", path), place))
            assert low - 1e-3 <= -gain[place] <= high + 1e-3


def test_large_programs_have_prices_too(draft: type[Draft]) -> None:
    """The solver for large programs does not give dual prices; they are found afterwards."""
    case = draft(96, minutes=15)
    random = np.random.default_rng(4)
    for _ in range(25):
        size = random.uniform(0.5, 1.5)
        case.battery(size, size, 0, 4 * size, roundtrip=0.9)
    price = 50 + 20 * np.sin(np.arange(96) / 9) + random.normal(0, 3, 96)
    case.fixed(5)
    case.site(price, price - 10, power=12)
    problem = case.problem()
    schedule = solve(problem)
    assert schedule.solver == "highs"
    for step in (3, 40, 77):
        low, high = slopes(problem, ("stocks", "gain"), (2, step), 1e-4)
        assert low - 1e-3 <= -schedule.marginal.stock[2, step] * 0.25 <= high + 1e-3


def test_split_adds_up(draft: type[Draft]) -> None:
    problem = house(draft, consumption=0.3, peak_consumption_price=100).problem()
    schedule = solve(problem)
    sentences = explain(problem, schedule)
    own = sum(device["cost"] for device in sentences["devices"])
    assert own + sum(sentences["shared-costs"].values()) == pytest.approx(schedule.cost)
    by_name = dict(sentences["shared-costs"])
    for device in sentences["devices"]:
        for name, cost in device["costs"].items():
            by_name[name] = by_name.get(name, 0) + cost
    assert by_name == pytest.approx(schedule.costs)
    panels = next(device for device in sentences["devices"] if device["device"] == "panels")
    assert panels["cost"] < 0
    assert panels["consumed-MWh"] == 0


def test_savings_are_against_the_baselines(draft: type[Draft]) -> None:
    case = draft(4)
    case.battery(1, 1, 0, 2, stock={"prefer_full": False})
    case.fixed(0.5)
    case.site([10, 50, 10, 50])
    problem = case.problem()
    schedule = solve(problem)
    idle, eager = explain(problem, schedule)["without-a-plan"]
    assert idle["possible"]
    assert idle["cost"] == pytest.approx(0.5 * 120)
    assert idle["saving"] == pytest.approx(60 - schedule.cost)
    assert eager["cost"] == pytest.approx(60 + 10)


def test_a_car_charged_at_once_stops_at_its_target(draft: type[Draft]) -> None:
    case = draft(6)
    car = case.stock(0.1, 0, 2, targets={4: 0.5}, prefer_full=False)
    case.device(0, 0.3, car)
    case.site([30, 20, 10, 10, 20, 30])
    problem = case.problem()
    idle, eager = explain(problem, solve(problem))["without-a-plan"]
    assert eager["cost"] == pytest.approx(0.3 * 30 + 0.1 * 20)
    assert idle["saving"] > 1e5
    assert idle["saving-without-breaches"] < 0


def test_impossible_baselines_are_called_so(draft: type[Draft]) -> None:
    case = draft(4)
    buffer = case.stock(0.1, 0, 1, gain=-0.1, prefer_full=False)
    case.device(0, 0.5, buffer)
    case.site(10)
    problem = case.problem()
    sentences = explain(problem, solve(problem))
    assert [each["possible"] for each in sentences["without-a-plan"]] == [False, True]
    assert "Doing nothing would break hard limits." in sentences["sentences"]


def test_sentences_and_numbers(draft: type[Draft]) -> None:
    case = draft(4)
    case.battery(0.25, 0, 0, 2, stock={"minima": {3: 1.5}, "minima_price": 120e3}, label="battery")
    case.fixed(0.1)
    case.site([10, 20, 30, 40], power=0.3)
    problem = case.problem(warnings=("the price at 03:00 was held for an hour.",))
    schedule = solve(problem)
    sentences = explain(problem, schedule)
    json.dumps(sentences)
    (missed,) = sentences["relaxed"]
    assert missed["limit"] == "soc-minima"
    assert missed["by"] == pytest.approx([0.7])
    assert missed["price"] == [120e3]
    assert missed["at"] == ["2026-01-13T04:00:00+00:00"]
    binding = {(each["limit"], each["of"]) for each in sentences["binding"]}
    assert ("consumption", "site") in binding
    text = " ".join(sentences["sentences"])
    assert "soc-minima of stock 0 (1.5 MWh) is missed by 700 kWh at 2026-01-13 04:00 UTC" in text
    assert "The consumption of the electricity site binds at 300 kW from 2026-01-13 00:00 UTC" in text
    assert "the price at 03:00 was held for an hour." in text
    assert sentences["assumed"] == ["the price at 03:00 was held for an hour."]
