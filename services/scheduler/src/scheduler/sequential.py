"""Planning devices one after the other: each sees those before it as fixed, and knows nothing of those after it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from flexmodel.errors import Invalid
from flexmodel.parts import Device, Inflexible, Stock, Trigger
from flexmodel.problem import Window
from flexmodel.schedule import Schedule
from flexmodel.time import steps
from flexmodel.tree import AssetTree
from flexmodel.values import Segments, SensorReference

from scheduler.resolve.readings import Events, Readings

DEFAULT_RESOLUTION = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Planned:
    """The power of a device whose turn is over, as if it had been read from a sensor."""

    index: int
    inflexible: Inflexible
    events: Events

    @classmethod
    def of(cls, index: int, device: Device, schedule: Schedule) -> "Planned":
        window = schedule.window
        starts = steps(window.start, window.resolution, window.steps)
        # No sensor has a negative id, so this is nobody else's series.
        reference = SensorReference(-1 - index)
        return cls(
            index,
            Inflexible(device.label, reference, 1, device.commodity),
            Events("MW", window.resolution, starts, schedule.power[0]),
        )


def check(trigger: Trigger) -> None:
    """Refuse what only makes sense for devices that are planned together."""
    together = [f"{stock.label} is shared by several devices" for stock in trigger.stocks if len(stock.devices) > 1]
    together += [f"{converter.name} couples several devices" for converter in trigger.converters]
    together += [f"the flows of {node.commodity} must balance" for node in trigger.nodes]
    if together:
        raise Invalid({"sequential": [f"These devices can only be planned together: {'; '.join(together)}."]})


def turn(trigger: Trigger, index: int, before: Sequence[Planned], tree: AssetTree) -> Trigger:
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


def with_planned(readings: Readings, before: Sequence[Planned]) -> Readings:
    return Readings({**readings.events, **{planned.inflexible.reference: planned.events for planned in before}})


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
