"""Planning: from a trigger and its series to schedules and everything that is stored of them. Pure, for any thread."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from flexmodel.errors import Invalid
from flexmodel.problem import Window
from flexmodel.schedule import Schedule, ScheduleStatus
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
DEVICE_COSTS = ("any soc ", "all soc ", "any consumption breach", "all consumption breach", "any production breach",
                "all production breach", "prefer a full storage ")  # fmt: skip
"""Prefixes of the names of costs that belong to devices; all other costs belong to sites, groups and commitments."""
DEFAULT_RESOLUTION = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class SolvedTurn:
    """One resolved trigger and its schedule."""

    resolved: ResolvedTrigger
    schedule: Schedule


@dataclass(frozen=True, slots=True)
class Plan:
    """The result of a trigger."""

    outputs: Sequence[OutputSeries]
    result: Mapping[str, object]
    """The job's result, as the API returns it."""
    costs: Mapping[str, float]
    scheduler: str
    """The kind of scheduler, under the name that clients know."""
    warnings: Sequence[str]
    initial_energy: Sequence[float]
    """MWh in the stocks at the start."""
    explanation: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PlannedDevice:
    """The power of a device whose turn is over, as if it were the series of a sensor."""

    index: int
    inflexible: Inflexible
    power: SensorSeries

    @classmethod
    def of(cls, index: int, device: Device, schedule: Schedule) -> "PlannedDevice":
        window = schedule.window
        starts = steps(window.start, window.resolution, window.steps)
        # No sensor has a negative id, so this reference cannot mean another series.
        reference = SensorReference(-1 - index)
        return cls(
            index,
            Inflexible(device.label, reference, 1, device.commodity),
            SensorSeries("MW", window.resolution, starts, schedule.power[0]),
        )


def plan(trigger: Trigger, tree: AssetTree, series: LoadedSeries, options: SolverOptions) -> Plan:
    """Plan all devices together or, if the trigger says so, one after the other.

    One after the other, each device sees those before it as inflexible, and knows nothing of those after it.

    Raises:
        FlexmeshError: There is no schedule, or none was found in time.
    """
    if trigger.sequential and len(trigger.devices) > 1:
        solved = _solve_one_by_one(trigger, tree, series, options)
    else:
        solved = [_solve_turn(trigger, tree, series, options)]
    return _build_plan(trigger, solved)


def _solve_one_by_one(
    trigger: Trigger, tree: AssetTree, series: LoadedSeries, options: SolverOptions
) -> list[SolvedTurn]:
    check_sequential(trigger)
    solved: list[SolvedTurn] = []
    planned: list[PlannedDevice] = []
    for index, device in enumerate(trigger.devices):
        turn = device_turn(trigger, index, planned, tree)
        solved.append(_solve_turn(turn, tree, with_planned(series, planned), options))
        planned.append(PlannedDevice.of(index, device, solved[-1].schedule))
    return solved


def _solve_turn(trigger: Trigger, tree: AssetTree, series: LoadedSeries, options: SolverOptions) -> SolvedTurn:
    resolved = assemble(trigger, tree, series)
    return SolvedTurn(resolved, solve(resolved.problem, options))


def check_sequential(trigger: Trigger) -> None:
    """Refuse what only makes sense for devices that are planned together."""
    together = [f"{stock.label} is shared by several devices" for stock in trigger.stocks if len(stock.devices) > 1]
    together += [f"{coupling.name} couples several devices" for coupling in trigger.couplings]
    together += [f"the flows of {node.commodity} must balance" for node in trigger.nodes]
    if together:
        raise Invalid({"sequential": [f"These devices can only be planned together: {'; '.join(together)}."]})


def device_turn(trigger: Trigger, index: int, planned: Sequence[PlannedDevice], tree: AssetTree) -> Trigger:
    """Return the trigger of one device alone, with the devices planned before it as inflexible ones."""
    device = trigger.devices[index]
    places = {index: 0}
    places |= {len(trigger.devices) + position: 1 + position for position in range(len(trigger.inflexible))}
    places |= {before.index: 1 + len(trigger.inflexible) + position for position, before in enumerate(planned)}

    def renumbered(members: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(places[member] for member in members if member in places)

    stock = None if device.stock is None else trigger.stocks[device.stock]
    groups = (replace(group, members=renumbered(group.members)) for group in trigger.groups)
    commitments = (replace(commitment, members=renumbered(commitment.members)) for commitment in trigger.commitments)
    return replace(
        trigger,
        window=_turn_window(trigger, device, stock, tree),
        devices=(replace(device, stock=None if stock is None else 0),),
        inflexible=(*trigger.inflexible, *(before.inflexible for before in planned)),
        stocks=() if stock is None else (replace(stock, devices=(0,)),),
        groups=tuple(group for group in groups if group.members),
        commitments=tuple(commitment for commitment in commitments if commitment.members),
    )


def with_planned(series: LoadedSeries, planned: Sequence[PlannedDevice]) -> LoadedSeries:
    return LoadedSeries({**series.by_reference, **{device.inflexible.reference: device.power for device in planned}})


def _turn_window(trigger: Trigger, device: Device, stock: Stock | None, tree: AssetTree) -> Window:
    """Return the requested window in the device's own steps, extended only for its own targets."""
    resolution = _turn_resolution(trigger, device, tree)
    end = trigger.requested_end
    if stock is not None and isinstance(stock.soc_targets, Segments):
        last = max((item.end for item in stock.soc_targets.items), default=end)
        end = max(end, min(last, trigger.window.end))
    return Window(trigger.window.start, resolution, -(-(end - trigger.window.start) // resolution))


def _turn_resolution(trigger: Trigger, device: Device, tree: AssetTree) -> timedelta:
    """Return the resolution of the device's sensor, unless the trigger names another one."""
    own = [tree.sensors[one.sensor].resolution for one in trigger.devices if one.sensor is not None]
    usual = min((resolution for resolution in own if resolution), default=DEFAULT_RESOLUTION)
    if trigger.window.resolution != usual or device.sensor is None:
        return trigger.window.resolution
    return tree.sensors[device.sensor].resolution or usual


def _build_plan(trigger: Trigger, solved: Sequence[SolvedTurn]) -> Plan:
    """Put together what is stored. Of a sensor in several turns (an aggregate), the last one knows most."""
    processes = trigger.devices and all(device.process is not None for device in trigger.devices)
    explanation, costs = _explain_turns(trigger, solved), _costs(solved)
    gap = max(turn.schedule.gap for turn in solved)
    warnings = [warning for turn in solved for warning in turn.schedule.warnings]
    is_proven = all(turn.schedule.status is ScheduleStatus.OPTIMAL for turn in solved)
    if not is_proven:
        warnings.append(
            f"Time ran out before this was proven to be the best schedule: another could be {gap:.2%} cheaper at most."
        )
    outputs = {
        output.sensor: output for turn in solved for output in output_series(turn.schedule, turn.resolved.outputs)
    }
    reports = [soc_report(turn.schedule, turn.resolved.stocks, turn.resolved.requirements) for turn in solved]
    result: dict[str, object] = {
        "num-beliefs": sum(len(output.values) for output in outputs.values()),
        "resolved": [entry for report in reports for entry in report.resolved],
        "unresolved": [entry for report in reports for entry in report.unresolved],
    }
    return Plan(
        outputs=list(outputs.values()),
        result=result if is_proven else {**result, "gap": gap},
        costs=costs,
        scheduler=PROCESS if processes else STORAGE,
        warnings=list(dict.fromkeys(warnings)),
        initial_energy=[energy for turn in solved for energy in turn.resolved.problem.stocks.initial.tolist()],
        explanation=explanation,
    )


def _explain_turns(trigger: Trigger, solved: Sequence[SolvedTurn]) -> Mapping[str, Any]:
    """Return the explanation; of devices planned one after the other, turn by turn."""
    turns = [explain(turn.resolved.problem, turn.schedule) for turn in solved]
    if len(turns) == 1:
        return turns[0]
    sentences = [
        f"{device.label}: {sentence}"
        for device, turn in zip(trigger.devices, turns, strict=True)
        for sentence in turn["sentences"]
    ]
    return {"format": FORMAT, "currency": trigger.currency, "turns": turns, "sentences": sentences}


def _costs(solved: Sequence[SolvedTurn]) -> dict[str, float]:
    """Return costs by name. The last turn's costs of sites, groups and commitments are those of all devices."""
    return dict.fromkeys(_requirement_costs(solved), 0.0) | _incurred_costs(solved)


def _requirement_costs(solved: Sequence[SolvedTurn]) -> Iterator[str]:
    """Yield the names of the costs of soft requirements, including those with no moment in the window."""
    for stock in (stock for turn in solved for stock in turn.resolved.stocks):
        for requirement, quantity, is_soft in (
            ("minima", stock.soc_minima, stock.minima_breach_price is not None),
            ("maxima", stock.soc_maxima, stock.maxima_breach_price is not None),
            ("targets", stock.soc_targets, stock.targets_soft),
        ):
            if quantity is not None and is_soft:
                yield from (f"any soc {requirement}", f"all soc {requirement}")


def _incurred_costs(solved: Sequence[SolvedTurn]) -> dict[str, float]:
    if len(solved) == 1:
        return dict(solved[0].schedule.costs)
    total = {name: cost for name, cost in solved[-1].schedule.costs.items() if not name.startswith(DEVICE_COSTS)}
    for index, turn in enumerate(solved):
        for name, cost in turn.schedule.costs.items():
            if name.startswith(DEVICE_COSTS):
                numbered = name.replace("device 0", f"device {index}").replace("storage 0 ", f"storage {index} ")
                total[numbered] = total.get(numbered, 0.0) + cost
    return total
