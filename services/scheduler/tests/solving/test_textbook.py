"""The same problems written down naively, one variable and one row at a time, and solved by another program.

No piece, no pruning, no lazy choice: every formula as a reader would write it. Whatever the scheduler leaves out or
folds together must not change the cost.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from flexmodel.problem import Array, Group, Index, Problem, Site
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from problem_draft import Draft
from scheduler.solving.infeasibility import Infeasible
from scheduler.solving.solve import solve
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

pytestmark = [pytest.mark.filterwarnings("error"), pytest.mark.slow]
CAREFUL = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


type Expression = dict[int | str, float]
type Pair = tuple[Expression, Expression]


class Naive:
    """Variables, rows and a cost."""

    def __init__(self) -> None:
        self.low: list[float] = []
        self.high: list[float] = []
        self.cost: list[float] = []
        self.whole: list[bool] = []
        self.rows: list[tuple[Expression, float, float]] = []

    def var(self, low: float = 0.0, high: float = np.inf, cost: float = 0.0, whole: bool = False) -> Expression:
        self.low.append(low)
        self.high.append(high)
        self.cost.append(cost)
        self.whole.append(whole)
        return {len(self.low) - 1: 1.0}

    def keep(self, terms: Iterable[tuple[float, Expression]], low: float = -np.inf, high: float = np.inf) -> None:
        """low ≤ Σ factor · expression ≤ high"""
        total: defaultdict[int | str, float] = defaultdict(float)
        for factor, expression in terms:
            for name, value in expression.items():
                total[name] += factor * value
        constant = total.pop("constant", 0.0)
        self.rows.append((dict(total), low - constant, high - constant))

    def best(self) -> float | None:
        entries = [(i, j, value) for i, (row, _, _) in enumerate(self.rows) for j, value in row.items()]
        row, column, value = zip(*entries, strict=True)
        matrix = csr_array((value, (row, column)), shape=(len(self.rows), len(self.low)))
        answer = milp(
            self.cost,
            integrality=np.array(self.whole, dtype=np.int64),
            bounds=Bounds(self.low, self.high),
            constraints=LinearConstraint(matrix, [row[1] for row in self.rows], [row[2] for row in self.rows]),
            options={"mip_rel_gap": 1e-10},
        )
        return answer.fun if answer.success else None


def plus(*expressions: Expression) -> Expression:
    total: defaultdict[int | str, float] = defaultdict(float)
    for expression in expressions:
        for name, value in expression.items():
            total[name] += value
    return dict(total)


def textbook_cost(problem: Problem) -> float | None:
    """The cheapest cost, or None if there is no schedule."""
    model, steps = Naive(), problem.window.steps
    power = [[device_power(model, problem, d, t) for t in range(steps)] for d in range(len(problem.devices))]
    net = [[plus(*each) for each in row] for row in power]
    exclude(model, problem, power)
    soc = [stock(model, problem, s, power) for s in range(len(problem.stocks))]
    for site in problem.sites:
        site_terms(model, problem, site, sum_of(net, site.devices, steps))
    for group in problem.groups:
        total = sum_of(net, group.devices, steps)
        cap(model, total, group.power_min, group.power_max)
        price = np.full(steps, group.breach_price)
        soft(model, problem, total, group.consumption_cap, price, +1)
        soft(model, problem, total, minus(group.production_cap), price, -1)
    for commitment in problem.commitments:
        total = sum_of(net, commitment.devices, steps)
        for t in range(steps):
            each(model, total[t], commitment.baseline[t], commitment.up_price[t], commitment.down_price[t])
    for node in problem.nodes:
        for expression in sum_of(net, node.devices, steps):
            model.keep([(1, expression)], 0, 0)
    for coupling in problem.couplings:
        for t in range(steps):
            throughput = model.var(-np.inf)
            for device, share in zip(coupling.devices, coupling.coefficients, strict=True):
                model.keep([(1, net[device][t]), (-share, throughput)], 0, 0)
    for bands in problem.bands:
        for t in range(steps):
            chosen = [model.var(0, 1, whole=True) for _ in bands.bands]
            model.keep([(1, one) for one in chosen], 1, 1)
            pairs = list(zip(bands.bands, chosen, strict=True))
            model.keep([(1, net[bands.device][t]), *((-band[0], one) for band, one in pairs)], low=0)
            model.keep([(1, net[bands.device][t]), *((-band[1], one) for band, one in pairs)], high=0)
    device_terms(model, problem, net)
    stock_terms(model, problem, soc)
    return model.best()


def device_power(model: Naive, problem: Problem, d: int, t: int) -> Pair:
    low, high = problem.devices.power_min[d, t], problem.devices.power_max[d, t]
    up, down = model.var(0, max(high, 0)), model.var(0, max(-low, 0))
    model.keep([(1, up), (-1, down)], low, high)
    return up, {name: -value for name, value in down.items()}


def exclude(model: Naive, problem: Problem, power: list[list[Pair]]) -> None:
    """Devices of one commodity on one stock all charge or all discharge."""
    sides = defaultdict(list)
    for d, s in enumerate(problem.devices.stock):
        if s >= 0:
            sides[s, problem.devices.commodity[d]].append(d)
    for devices in sides.values():
        for t in range(problem.window.steps):
            charging = model.var(0, 1, whole=True)
            for d in devices:
                most = 1 + np.abs([problem.devices.power_min[d, t], problem.devices.power_max[d, t]]).max()
                up, down = power[d][t]
                model.keep([(1, up), (-most, charging)], high=0)
                model.keep([(-1, down), (most, charging)], high=most)


def stock(model: Naive, problem: Problem, s: int, power: list[list[Pair]]) -> list[Expression]:
    stocks, devices, hours = problem.stocks, problem.devices, problem.window.hours
    states: list[Expression] = []
    before: Expression = {"constant": stocks.initial[s]}
    for t in range(problem.window.steps):
        low, high = np.fmax(stocks.soc_min[s], -np.inf), np.fmin(stocks.soc_max[s], np.inf)
        low, high = np.fmax(low, stocks.hard_minima[s, t]), np.fmin(high, stocks.hard_maxima[s, t])
        if not np.isnan(stocks.hard_targets[s, t]):
            low = high = stocks.hard_targets[s, t]
        now = model.var(low if low == low else -np.inf, high if high == high else np.inf)
        kept = stocks.storage_efficiency[s, t]
        share = 1.0 if kept == 1 else (kept - 1) / np.log(kept)
        terms: list[tuple[float, Expression]] = [(1, now), (-kept, before)]
        terms.append((-share * hours, {"constant": stocks.gain[s, t]}))
        for d in np.flatnonzero(devices.stock == s).tolist():
            up, down = power[d][t]
            terms.append((-share * hours * devices.charging_efficiency[d, t], up))
            terms.append((-share * hours / devices.discharging_efficiency[d, t], down))
        model.keep(terms, 0, 0)
        states.append(now)
        before = now
    return states


def sum_of(net: list[list[Expression]], devices: Index, steps: int) -> list[Expression]:
    return [plus(*(net[d][t] for d in devices)) for t in range(steps)]


def minus(values: Array | None) -> Array | None:
    return None if values is None else -values


def cap(model: Naive, total: list[Expression], low: Array, high: Array) -> None:
    for expression, least, most in zip(total, low, high, strict=True):
        model.keep([(1, expression)], np.nan_to_num(least, nan=-np.inf), np.nan_to_num(most, nan=np.inf))


def each(model: Naive, expression: Expression, baseline: float, up: float, down: float) -> None:
    """up · (X − q)⁺ − down · (q − X)⁺"""
    up, down = np.nan_to_num(up), np.nan_to_num(down)
    if np.isnan(baseline) or (up == 0 and down == 0):
        return
    over, under = model.var(0, np.inf, up), model.var(0, np.inf, -down)
    model.keep([(1, expression), (-1, over), (1, under)], baseline, baseline)
    if up < down:
        above = model.var(0, 1, whole=True)
        model.keep([(1, over), (-100, above)], high=0)
        model.keep([(1, under), (100, above)], high=100)


def soft(
    model: Naive, problem: Problem, expressions: list[Expression], bound: Array | None, price: Array | None, side: int
) -> None:
    """Once for the height of each run, and per hour for the duration."""
    if bound is None or price is None:
        return
    hours, price = problem.window.hours, np.nan_to_num(price)
    known = ~np.isnan(bound)
    steady = len(set(bound[known])) <= 1 and len(set(price[known])) <= 1
    height = None
    for t in range(problem.window.steps):
        if not known[t]:
            height = height if steady else None
            continue
        changed = t == 0 or not known[t - 1] or bound[t] != bound[t - 1] or price[t] != price[t - 1]
        if height is None or (changed and not steady):
            height = model.var(0, np.inf, price[t])
        model.keep([(side, expressions[t]), (-1, height)], high=side * bound[t])
        over = model.var(0, np.inf, price[t] * hours)
        model.keep([(side, expressions[t]), (-1, over)], high=side * bound[t])


def site_terms(model: Naive, problem: Problem, site: Site, total: list[Expression]) -> None:
    hours = problem.window.hours
    cap(model, total, site.power_min, site.power_max)
    for t, expression in enumerate(total):
        each(model, expression, 0.0, site.consumption_price[t] * hours, site.production_price[t] * hours)
    soft(model, problem, total, site.consumption_cap, site.consumption_breach_price, +1)
    soft(model, problem, total, minus(site.production_cap), site.production_breach_price, -1)
    for side, sunk, price in (
        (+1, site.peak_consumption, site.peak_consumption_price),
        (-1, site.peak_production, site.peak_production_price),
    ):
        if price is not None and sunk is not None:
            charge = model.var(0, np.inf, 1.0)
            for expression, free, rate in zip(total, sunk, price, strict=True):
                model.keep([(side * rate, expression), (-1, charge)], high=rate * free)


def device_terms(model: Naive, problem: Problem, net: list[list[Expression]]) -> None:
    devices = problem.devices
    for d in range(len(devices)):
        soft(model, problem, net[d], devices.consumption_cap[d], devices.consumption_breach_price[d], +1)
        soft(model, problem, net[d], -devices.production_cap[d], devices.production_breach_price[d], -1)


def stock_terms(model: Naive, problem: Problem, soc: list[list[Expression]]) -> None:
    stocks = problem.stocks
    for s, states in enumerate(soc):
        soft(model, problem, states, stocks.minima[s], stocks.minima_breach_price[s], -1)
        soft(model, problem, states, stocks.maxima[s], stocks.maxima_breach_price[s], +1)
        soft(model, problem, states, stocks.targets[s], stocks.minima_breach_price[s], -1)
        soft(model, problem, states, stocks.targets[s], stocks.maxima_breach_price[s], +1)
        for state, weight in zip(states, stocks.tie_break_price[s], strict=True):
            if weight > 0:
                missing = model.var(0, np.inf, weight)
                model.keep([(1, state), (1, missing)], low=stocks.soc_max[s])


def some(low: float, high: float) -> st.SearchStrategy[float]:
    return st.integers(round(low * 10), round(high * 10)).map(lambda whole: whole / 10)


def series(draw: st.DrawFn, case: Draft, values: st.SearchStrategy[float]) -> list[float]:
    return [draw(values) for _ in range(case.window.steps)]


@st.composite
def storages(draw: st.DrawFn, case: Draft, commodity: str) -> None:
    room = draw(some(0.5, 3))
    steps = st.integers(0, case.window.steps - 1)
    more: dict[str, Any] = {
        "storage_efficiency": draw(st.sampled_from([1.0, 0.9])),
        "gain": draw(st.sampled_from([0.0, 0.0, -0.1, 0.1])),
    }
    for required in ("minima", "maxima", "targets", "hard_minima", "hard_maxima"):
        if draw(st.integers(0, 3)) == 0:
            more[required] = {draw(steps): room * draw(some(0, 1)) for _ in range(draw(st.integers(1, 3)))}
    price = draw(st.sampled_from([0.0, 5.0, 200.0]))
    stock = case.stock(
        room * draw(some(0.2, 1)),
        0,
        room,
        minima_price=price,
        maxima_price=price,
        prefer_full=draw(st.booleans()),
        **more,
    )
    for _ in range(draw(st.integers(1, 2))):
        low, high = draw(st.sampled_from([(-1, 1), (0, 1), (-1, 0)]))
        power = draw(some(0.2, 2))
        soft: dict[str, Any] = {}
        if draw(st.booleans()):
            soft = {"consumption_cap": power / 2, "production_cap": power / 3, "breach_price": draw(some(0, 30))}
        losses: dict[str, Any] = {
            "charge": draw(st.sampled_from([1.0, 0.9, 3.0])),
            "discharge": draw(st.sampled_from([1.0, 0.8])),
        }
        case.device(low * power, high * power, stock, commodity=commodity, **losses, **soft)


@st.composite
def anything(draw: st.DrawFn, draft: type[Draft]) -> Problem:
    """Any problem the language can express, small."""
    case = draft(draw(st.integers(1, 4)), minutes=draw(st.sampled_from([30, 60])))
    draw(storages(case, "electricity"))
    if draw(st.booleans()):
        case.device(-draw(some(0, 2)), draw(st.sampled_from([0.0, 0.5])))
    case.fixed(series(draw, case, some(-1, 1)))
    if draw(st.booleans()):
        heater, heat = case.device(0, 2), case.device(-2, 0, commodity="heat")
        case.couple({heater: 1.0, heat: -draw(st.sampled_from([0.9, 3.0]))})
        draw(storages(case, "heat"))
        case.fixed(series(draw, case, some(0, 0.5)), commodity="heat")
        if draw(st.booleans()):
            case.node("heat")
        else:
            case.site(draw(some(0, 30)), 0, commodity="heat")
        if draw(st.booleans()):
            case.modes(heater, [0, 0], [0.5, 1], [1.5, 2])
    if draw(st.booleans()):
        caps: dict[str, Any] = {
            name: draw(some(0.3, 2)) for name in ("consumption", "production") if draw(st.booleans())
        }
        case.group([0, len(case.stocks)], power=draw(some(0.5, 3)), **caps)
        case.groups[-1] = type(case.groups[-1])(**{**fields(case.groups[-1]), "breach_price": draw(some(0, 50))})
    site: dict[str, Any] = {
        name: series(draw, case, some(0.3, 2)) for name in ("consumption", "production") if draw(st.booleans())
    }
    for side in ("consumption", "production"):
        if draw(st.booleans()):
            site[f"peak_{side}"] = draw(some(0, 1))
            site[f"peak_{side}_price"] = series(draw, case, some(0, 40))
    feed_in = series(draw, case, some(-20, 50)) if draw(st.booleans()) else None
    case.site(series(draw, case, some(-20, 60)), feed_in, power=6, breach_price=draw(some(0, 60)), **site)
    if draw(st.booleans()):
        scope = draw(st.sampled_from([None, [0], [0, 1]]))
        case.commit(draw(some(-1, 1)), up=draw(some(-5, 20)), down=draw(some(-20, 5)), devices=scope)
    return case.problem()


def fields(item: Group) -> dict[str, Any]:
    return {name: getattr(item, name) for name in item.__slots__}


@CAREFUL
@given(data=st.data())
def test_cost_is_that_of_the_textbook(draft: type[Draft], data: st.DataObject) -> None:
    problem = data.draw(anything(draft))
    expected = textbook_cost(problem)
    try:
        cost = solve(problem).cost
    except Infeasible:
        assert expected is None
        return
    assert expected is not None
    assert cost == pytest.approx(expected, rel=1e-6, abs=1e-6)
