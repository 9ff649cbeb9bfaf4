"""Explanation of a schedule: costs and their causes, binding limits, breaches and savings.

Everything comes from the schedule and its dual prices; nothing is solved again.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np
from flexmodel.problem import Array, Problem
from flexmodel.schedule import LimitCheck, Schedule

from scheduler.explaining.baselines import Baseline, unplanned_baselines
from scheduler.explaining.binding_limits import BindingPeriod, binding_limits
from scheduler.explaining.cost_split import split_costs
from scheduler.formatting import format_energy, format_list, format_money, format_number, format_power, format_time
from scheduler.formulation import ledger

FORMAT = "explanation/1"
SENTENCES = 5
"""Number of limits, and of breaches, that get a sentence; the numbers have all of them."""


def explain(problem: Problem, schedule: Schedule) -> dict[str, Any]:
    """Return the explanation as JSON: numbers for machines, sentences for people."""
    book = ledger.build_ledger(problem)
    parts = split_costs(problem, book, schedule.power, schedule.soc[:, 1:])
    unplanned = unplanned_baselines(problem, book)
    spells = sorted(binding_limits(problem, schedule), key=lambda spell: -spell.worth * (spell.last - spell.first + 1))
    broken = [check for check in schedule.checks if check.broken]
    breaches = sum(cost for name, cost in schedule.costs.items() if name in book.breaches)
    return {
        "format": FORMAT,
        "currency": schedule.currency,
        "start": schedule.window.start.isoformat(),
        "resolution-hours": schedule.window.hours,
        "cost": schedule.cost,
        "bound": schedule.bound,
        "gap": schedule.gap,
        "status": str(schedule.status),
        "solver": schedule.solver,
        "costs": schedule.costs,
        "devices": list(_devices(problem, schedule, parts.devices)),
        "shared-costs": parts.shared,
        "prices": _prices(problem, schedule),
        "binding": [_binding_json(schedule, spell) for spell in spells],
        "relaxed": [_breach_json(problem, schedule, check) for check in broken],
        "assumed": list(schedule.warnings),
        "without-a-plan": [_baseline_json(schedule, baseline, breaches) for baseline in unplanned],
        "sentences": [
            *_cost_sentences(schedule, breaches),
            *_saving_sentences(schedule, unplanned, breaches),
            *_limit_sentences(schedule, spells[:SENTENCES]),
            *_breach_sentences(problem, schedule, broken[:SENTENCES]),
            *schedule.warnings,
        ],
    }


def _devices(problem: Problem, schedule: Schedule, costs: tuple[dict[str, float], ...]) -> Iterator[dict[str, Any]]:
    hours = schedule.window.hours
    for device, (label, own) in enumerate(zip(problem.devices.labels, costs, strict=True)):
        moved = schedule.power[device] * hours
        yield {
            "device": label,
            "flexible": bool(problem.devices.flexible[device]),
            "consumed-MWh": _round(np.maximum(moved, 0).sum()),
            "produced-MWh": _round(np.maximum(-moved, 0).sum()),
            "costs": own,
            "cost": sum(own.values()),
        }


def _prices(problem: Problem, schedule: Schedule) -> dict[str, Any]:
    """Shadow prices per MWh and step."""
    prices = schedule.marginal
    return {
        "sites": [
            {
                "commodity": site.commodity,
                "energy": prices.site[row].tolist(),
                "limit": (prices.site_up[row] - prices.site_down[row]).tolist(),
            }
            for row, site in enumerate(problem.sites)
        ],
        "stocks": [
            {"stock": label, "energy": prices.stock[row].tolist()} for row, label in enumerate(problem.stocks.labels)
        ],
    }


def _binding_json(schedule: Schedule, spell: BindingPeriod) -> dict[str, Any]:
    return {
        "limit": spell.limit,
        "of": spell.owner,
        "name": spell.label,
        "from": _time(schedule, spell.first).isoformat(),
        "to": _time(schedule, spell.last + 1).isoformat(),
        "least": spell.least,
        "most": spell.most,
        "unit": spell.unit,
        "worth-per-MWh": spell.worth,
    }


def _breach_json(problem: Problem, schedule: Schedule, check: LimitCheck) -> dict[str, Any]:
    """A broken soft limit: time, size and price."""
    over = check.excess > 0
    at = check.steps[over] + (1 if check.owner == "stock" else 0)
    return {
        "limit": check.limit,
        "of": check.owner,
        "name": _label(problem, check),
        "unit": "MWh" if check.owner == "stock" else "MW",
        "at": [_time(schedule, int(step)).isoformat() for step in at],
        "bound": check.bound[over].tolist(),
        "by": check.excess[over].tolist(),
        "price": _breach_price(problem, check)[over].tolist(),
    }


def _breach_price(problem: Problem, check: LimitCheck) -> Array:
    """Return currency per MW or MWh (and per hour again) at the steps of a check."""
    stocks, devices, row = problem.stocks, problem.devices, check.index
    consumption = "consumption" in check.limit
    if check.owner == "stock":
        price = stocks.maxima_breach_price[row] if check.limit == "soc-maxima" else stocks.minima_breach_price[row]
    elif check.owner == "device":
        price = (devices.consumption_breach_price if consumption else devices.production_breach_price)[row]
    elif check.owner == "site":
        site = problem.sites[row]
        soft_price = site.consumption_breach_price if consumption else site.production_breach_price
        price = np.zeros(problem.window.steps) if soft_price is None else soft_price
    else:
        price = np.full(problem.window.steps, problem.groups[row].breach_price)
    at_steps: Array = price[check.steps]
    return at_steps


def _baseline_json(schedule: Schedule, baseline: Baseline, breaches: float) -> dict[str, Any]:
    return {
        "name": baseline.name,
        "possible": baseline.keeps_limits,
        "cost": baseline.cost,
        "saving": baseline.cost - schedule.cost,
        "saving-without-breaches": (baseline.cost - baseline.breaches) - (schedule.cost - breaches),
    }


def _cost_sentences(schedule: Schedule, breaches: float) -> Iterator[str]:
    largest = sorted(schedule.costs.items(), key=lambda item: -abs(item[1]))
    parts = [f"{name}: {format_money(cost, schedule.currency)}" for name, cost in largest if abs(cost) >= 0.005]
    verb = "earns" if schedule.cost < 0 else "costs"
    sentence = f"The schedule {verb} {format_money(abs(schedule.cost), schedule.currency)}"
    yield f"{sentence} ({'; '.join(parts[:4])})." if parts else f"{sentence}."
    if breaches > 0:
        yield f"Of this, {format_money(breaches, schedule.currency)} is the price put on limits that could not be kept."
    if schedule.status != "optimal":
        percent = format_number(100 * schedule.gap)
        yield f"It is not proven to be the cheapest: another could be {percent} % cheaper at most."


def _saving_sentences(schedule: Schedule, unplanned: list[Baseline], breaches: float) -> Iterator[str]:
    for baseline in unplanned:
        if not baseline.keeps_limits:
            yield f"{baseline.name.capitalize()} would break hard limits."
            continue
        saving = (baseline.cost - baseline.breaches) - (schedule.cost - breaches)
        worse = baseline.breaches - breaches
        text = f"{'saves' if saving >= 0 else 'costs'} {format_money(abs(saving), schedule.currency)}"
        more = "" if saving >= 0 else " more"
        broken = " (which would break more limits)" if worse > 1e-6 * max(1.0, abs(schedule.cost)) else ""
        yield f"It {text}{more} compared with {baseline.name}{broken}."


def _limit_sentences(schedule: Schedule, spells: list[BindingPeriod]) -> Iterator[str]:
    for spell in spells:
        quantity = format_power if spell.unit == "MW" else format_energy
        size = " to ".join(dict.fromkeys((quantity(spell.least), quantity(spell.most))))
        what = f"the {spell.label} site" if spell.owner == "site" else spell.label
        when = f"from {format_time(_time(schedule, spell.first))} to {format_time(_time(schedule, spell.last + 1))}"
        worth = f"{format_money(spell.worth, schedule.currency)}/MWh"
        yield f"The {spell.limit} of {what} binds at {size} {when}: easing it is worth {worth}."


def _breach_sentences(problem: Problem, schedule: Schedule, broken: list[LimitCheck]) -> Iterator[str]:
    for check in broken:
        worst = int(np.argmax(check.excess))
        quantity = format_energy if check.owner == "stock" else format_power
        step = int(check.steps[worst]) + (1 if check.owner == "stock" else 0)
        prices = format_list(
            [f"{format_number(price)} {schedule.currency}" for price in np.unique(_breach_price(problem, check))]
        )
        yield (
            f"{check.limit} of {_label(problem, check)} ({quantity(float(check.bound[worst]))}) is missed by "
            f"{quantity(float(check.excess[worst]))} at {format_time(_time(schedule, step))}, at a price of {prices} "
            f"per {'MWh' if check.owner == 'stock' else 'MW'}."
        )


def _label(problem: Problem, check: LimitCheck) -> str:
    if check.owner == "stock":
        return problem.stocks.labels[check.index]
    if check.owner == "device":
        return problem.devices.labels[check.index]
    return problem.sites[check.index].commodity if check.owner == "site" else problem.groups[check.index].name


def _time(schedule: Schedule, step: int) -> datetime:
    return schedule.window.start + step * schedule.window.resolution


def _round(value: float) -> float:
    return round(float(value), 9) + 0.0
