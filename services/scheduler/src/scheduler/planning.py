"""From a trigger and what was read to a schedule and everything that is stored of it. Pure: runs in any thread."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flexmodel.parts import Trigger
from flexmodel.schedule import Schedule, Status
from flexmodel.tree import AssetTree

from scheduler import sequential
from scheduler.explain import FORMAT, explain
from scheduler.resolve import Resolved, assemble
from scheduler.resolve.readings import Readings
from scheduler.result import Stored, job_result, stored
from scheduler.sequential import Planned
from scheduler.solve import solve
from scheduler.solving.optimise import Options

STORAGE, PROCESS = "StorageScheduler", "ProcessScheduler"
OF_DEVICES = ("any soc ", "all soc ", "any consumption breach", "all consumption breach", "any production breach",
              "all production breach", "prefer a full storage ")  # fmt: skip
"""How the names of costs begin that belong to devices; all others are of sites, groups and contracts."""


@dataclass(frozen=True, slots=True)
class Solved:
    """One problem and its schedule."""

    resolved: Resolved
    schedule: Schedule


@dataclass(frozen=True, slots=True)
class Plan:
    """What came of a trigger."""

    values: Sequence[Stored]
    result: Mapping[str, Any]
    """The job's result, as the API shows it."""
    costs: Mapping[str, float]
    scheduler: str
    """What clients call the kind of scheduler."""
    warnings: Sequence[str]
    initial: Sequence[float]
    """MWh in the stocks at the start."""
    explanation: Mapping[str, Any]


def plan(trigger: Trigger, tree: AssetTree, readings: Readings, options: Options) -> Plan:
    """Plan all devices together or, if the trigger says so, one after the other."""
    if trigger.sequential and len(trigger.devices) > 1:
        solved = _one_by_one(trigger, tree, readings, options)
    else:
        resolved = assemble(trigger, tree, readings)
        solved = [Solved(resolved, solve(resolved.problem, options))]
    return _told(trigger, solved)


def _one_by_one(trigger: Trigger, tree: AssetTree, readings: Readings, options: Options) -> list[Solved]:
    sequential.check(trigger)
    solved: list[Solved] = []
    before: list[Planned] = []
    for index, device in enumerate(trigger.devices):
        turn = sequential.turn(trigger, index, before, tree)
        resolved = assemble(turn, tree, sequential.with_planned(readings, before))
        solved.append(Solved(resolved, solve(resolved.problem, options)))
        before.append(Planned.of(index, device, solved[-1].schedule))
    return solved


def _told(trigger: Trigger, solved: Sequence[Solved]) -> Plan:
    """Everything that is stored. Of a sensor that several turns speak of (an aggregate), the last one knows most."""
    values: dict[int, Stored] = {}
    results = []
    for one in solved:
        own = stored(one.schedule, one.resolved.outputs)
        values |= {output.sensor: output for output in own}
        results.append(job_result(one.schedule, own, one.resolved.stocks, one.resolved.wishes))
    result: dict[str, Any] = {
        "num-beliefs": sum(len(output.values) for output in values.values()),
        "resolved": [entry for part in results for entry in part["resolved"]],
        "unresolved": [entry for part in results for entry in part["unresolved"]],
    }
    gap = max(one.schedule.gap for one in solved)
    warnings = [warning for one in solved for warning in one.schedule.warnings]
    if any(one.schedule.status is not Status.OPTIMAL for one in solved):
        result["gap"] = gap
        warnings.append(
            f"Time ran out before this was proven to be the best schedule: another could be {gap:.2%} cheaper at most."
        )
    processes = trigger.devices and all(device.process is not None for device in trigger.devices)
    return Plan(
        values=list(values.values()),
        result=result,
        costs=_costs(solved),
        scheduler=PROCESS if processes else STORAGE,
        warnings=list(dict.fromkeys(warnings)),
        explanation=_explained(trigger, solved),
        initial=[energy for one in solved for energy in one.resolved.problem.stocks.initial.tolist()],
    )


def _explained(trigger: Trigger, solved: Sequence[Solved]) -> dict[str, Any]:
    """Why it is so; of devices planned one after the other, turn by turn."""
    turns = [explain(one.resolved.problem, one.schedule) for one in solved]
    if len(turns) == 1:
        return turns[0]
    told = [
        f"{device.label}: {sentence}"
        for device, turn in zip(trigger.devices, turns, strict=True)
        for sentence in turn["sentences"]
    ]
    return {"format": FORMAT, "currency": trigger.currency, "turns": turns, "sentences": told}


def _costs(solved: Sequence[Solved]) -> dict[str, float]:
    """Costs by name. The last turn's costs of sites, groups and contracts are those of all devices."""
    return dict.fromkeys(_wished(solved), 0.0) | _incurred(solved)


def _wished(solved: Sequence[Solved]) -> Iterator[str]:
    """The costs of wishes for states of charge that are soft, even if they speak of no moment in the window."""
    for stock in (stock for one in solved for stock in one.resolved.stocks):
        for what, wish, is_soft in (
            ("minima", stock.minima, stock.minima_breach_price is not None),
            ("maxima", stock.maxima, stock.maxima_breach_price is not None),
            ("targets", stock.targets, stock.targets_soft),
        ):
            if wish is not None and is_soft:
                yield from (f"any soc {what}", f"all soc {what}")


def _incurred(solved: Sequence[Solved]) -> dict[str, float]:
    if len(solved) == 1:
        return dict(solved[0].schedule.costs)
    total = {name: cost for name, cost in solved[-1].schedule.costs.items() if not name.startswith(OF_DEVICES)}
    for index, one in enumerate(solved):
        for name, cost in one.schedule.costs.items():
            if name.startswith(OF_DEVICES):
                numbered = name.replace("device 0", f"device {index}").replace("storage 0 ", f"storage {index} ")
                total[numbered] = total.get(numbered, 0.0) + cost
    return total
