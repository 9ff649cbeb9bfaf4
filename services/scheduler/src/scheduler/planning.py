"""Planning."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from flexmodel.errors import Invalid
from flexmodel.problem import Window
from flexmodel.schedule import Schedule, Status
from flexmodel.time import steps
from flexmodel.tree import AssetTree
from flexmodel.trigger import Device, Inflexible, Stock, Trigger
from flexmodel.values import Segments, SensorReference

from scheduler.explaining.explain import FORMAT, explain
from scheduler.resolve.assemble import ResolvedTrigger, assemble
from scheduler.resolve.outputs import OutputSeries, output_series
from scheduler.resolve.series import LoadedSeries, SensorSeries
from scheduler.resolve.soc_requirements import soc_report
from scheduler.solving.search import SolverOptions
from scheduler.solving.solve import solve

STORAGE, PROCESS = "StorageScheduler", "ProcessScheduler"
OF_DEVICES = ("any soc ", "all soc ", "any consumption breach", "all consumption breach", "any production breach",
              "all production breach", "prefer a full storage ")  # fmt: skip
"""How the names of costs begin that belong to devices; all others are of sites, groups and contracts."""


@dataclass(frozen=True, slots=True)
class SolvedTurn:
    """One problem and its schedule."""

    resolved: ResolvedTrigger
    schedule: Schedule


@dataclass(frozen=True, slots=True)
class Plan:
    """What came of a trigger."""

    outputs: Sequence[OutputSeries]
    result: Mapping[str, Any]
    """The job's result, as the API shows it."""
    costs: Mapping[str, float]
    scheduler: str
    """What clients call the kind of scheduler."""
    warnings: Sequence[str]
    initial_energy: Sequence[float]
    """MWh in the stocks at the start."""
    explanation: Mapping[str, Any]


def plan(trigger: Trigger, tree: AssetTree, readings: LoadedSeries, options: SolverOptions) -> Plan:
    """Plan all devices together or, if the trigger says so, one after the other."""
    if not trigger.sequential or len(trigger.devices) < 2:
        return _told(trigger, [_solve_turn(trigger, tree, readings, options)])
    check_sequential(trigger)
    solved: list[SolvedTurn] = []
    planned: list[PlannedDevice] = []
    for index, device in enumerate(trigger.devices):
        turn = device_turn(trigger, index, planned, tree)
        solved.append(_solve_turn(turn, tree, with_planned(readings, planned), options))
        planned.append(PlannedDevice.of(index, device, solved[-1].schedule))
    return _told(trigger, solved)


def _solve_turn(trigger: Trigger, tree: AssetTree, readings: LoadedSeries, options: SolverOptions) -> SolvedTurn:
    resolved = assemble(trigger, tree, readings)
    return SolvedTurn(resolved, solve(resolved.problem, options))


def _told(trigger: Trigger, solved: Sequence[SolvedTurn]) -> Plan:
    """Everything that is stored. Of a sensor that several turns speak of (an aggregate), the last one knows most."""
    values: dict[int, OutputSeries] = {}
    results = []
    for one in solved:
        own = output_series(one.schedule, one.resolved.outputs)
        values |= {output.sensor: output for output in own}
        results.append(soc_report(one.schedule, one.resolved.stocks, one.resolved.requirements))
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
        outputs=list(values.values()),
        result=result,
        costs=_costs(solved),
        scheduler=PROCESS if processes else STORAGE,
        warnings=list(dict.fromkeys(warnings)),
        explanation=_explained(trigger, solved),
        initial_energy=[energy for one in solved for energy in one.resolved.problem.stocks.initial.tolist()],
    )


def _explained(trigger: Trigger, solved: Sequence[SolvedTurn]) -> dict[str, Any]:
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


def _costs(solved: Sequence[SolvedTurn]) -> dict[str, float]:
    """Costs by name. The last turn's costs of sites, groups and contracts are those of all devices."""
    return dict.fromkeys(_wished(solved), 0.0) | _incurred(solved)


def _wished(solved: Sequence[SolvedTurn]) -> Iterator[str]:
    """The costs of wishes for states of charge that are soft, even if they speak of no moment in the window."""
    for stock in (stock for one in solved for stock in one.resolved.stocks):
        for what, wish, is_soft in (
            ("minima", stock.minima, stock.minima_breach_price is not None),
            ("maxima", stock.maxima, stock.maxima_breach_price is not None),
            ("targets", stock.targets, stock.targets_soft),
        ):
            if wish is not None and is_soft:
                yield from (f"any soc {what}", f"all soc {what}")


def _incurred(solved: Sequence[SolvedTurn]) -> dict[str, float]:
    if len(solved) == 1:
        return dict(solved[0].schedule.costs)
    total = {name: cost for name, cost in solved[-1].schedule.costs.items() if not name.startswith(OF_DEVICES)}
    for index, one in enumerate(solved):
        for name, cost in one.schedule.costs.items():
            if name.startswith(OF_DEVICES):
                numbered = name.replace("device 0", f"device {index}").replace("storage 0 ", f"storage {index} ")
                total[numbered] = total.get(numbered, 0.0) + cost
    return total


DEFAULT_RESOLUTION = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class PlannedDevice:
    """The power of a device whose turn is over, as if it had been read from a sensor."""

    index: int
    inflexible: Inflexible
    events: SensorSeries

    @classmethod
    def of(cls, index: int, device: Device, schedule: Schedule) -> "PlannedDevice":
        window = schedule.window
        starts = steps(window.start, window.resolution, window.steps)
        # No sensor has a negative id, so this is nobody else's series.
        reference = SensorReference(-1 - index)
        return cls(
            index,
            Inflexible(device.label, reference, 1, device.commodity),
            SensorSeries("MW", window.resolution, starts, schedule.power[0]),
        )


def check_sequential(trigger: Trigger) -> None:
    """Refuse what only makes sense for devices that are planned together."""
    together = [f"{stock.label} is shared by several devices" for stock in trigger.stocks if len(stock.devices) > 1]
    together += [f"{coupling.name} couples several devices" for coupling in trigger.couplings]
    together += [f"the flows of {node.commodity} must balance" for node in trigger.nodes]
    if together:
        raise Invalid({"sequential": [f"These devices can only be planned together: {'; '.join(together)}."]})


def device_turn(trigger: Trigger, index: int, before: Sequence[PlannedDevice], tree: AssetTree) -> Trigger:
    """The trigger for one device alone."""
    device = trigger.devices[index]
    places = {index: 0}
    places |= {len(trigger.devices) + position: 1 + position for position in range(len(trigger.inflexible))}
    places |= {planned.index: 1 + len(trigger.inflexible) + position for position, planned in enumerate(before)}

    def here(members: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(places[member] for member in members if member in places)

    stock = None if device.stock is None else trigger.stocks[device.stock]
    groups = (replace(group, members=here(group.members)) for group in trigger.groups)
    commitments = (replace(commitment, members=here(commitment.members)) for commitment in trigger.commitments)
    return replace(
        trigger,
        window=_window(trigger, device, stock, tree),
        devices=(replace(device, stock=None if stock is None else 0),),
        inflexible=(*trigger.inflexible, *(planned.inflexible for planned in before)),
        stocks=() if stock is None else (replace(stock, devices=(0,)),),
        groups=tuple(group for group in groups if group.members),
        commitments=tuple(commitment for commitment in commitments if commitment.members),
    )


def with_planned(readings: LoadedSeries, before: Sequence[PlannedDevice]) -> LoadedSeries:
    return LoadedSeries(
        {**readings.by_reference, **{planned.inflexible.reference: planned.events for planned in before}}
    )


def _window(trigger: Trigger, device: Device, stock: Stock | None, tree: AssetTree) -> Window:
    """The requested window in the device's own steps, longer only for the sake of its own targets."""
    resolution = _resolution(trigger, device, tree)
    end = trigger.requested_end
    if stock is not None and isinstance(stock.targets, Segments):
        last = max((item.end for item in stock.targets.items), default=end)
        end = max(end, min(last, trigger.window.end))
    return Window(trigger.window.start, resolution, -(-(end - trigger.window.start) // resolution))


def _resolution(trigger: Trigger, device: Device, tree: AssetTree) -> timedelta:
    """That of its sensor, unless another one was asked for."""
    own = [tree.sensors[one.sensor].resolution for one in trigger.devices if one.sensor is not None]
    usual = min((resolution for resolution in own if resolution), default=DEFAULT_RESOLUTION)
    if trigger.window.resolution != usual or device.sensor is None:
        return trigger.window.resolution
    return tree.sensors[device.sensor].resolution or usual
