"""Processes: tasks of fixed power and duration that are to be placed in the window."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from flexmodel.parts import Device, Trigger
from flexmodel.problem import Array, Kind, Mask, Process, Site, Window
from flexmodel.time import instant, steps

from scheduler.processes.plan import plan, steps_of


@dataclass(frozen=True, slots=True)
class Placement:
    """A task, and when it runs if that is found already."""

    process: Process
    runs: Mask | None


def placements(trigger: Trigger, sites: Sequence[Site]) -> list[Placement]:
    """All tasks. Which time is cheapest depends on everything else; the dearest is found here, on the price alone."""
    prices = {site.commodity: site.consumption_price for site in sites}
    nothing = np.zeros(trigger.window.steps)
    return [
        _placement(index, device, prices.get(device.commodity, nothing), trigger.window)
        for index, device in enumerate(trigger.devices)
        if device.process is not None
    ]


def _placement(index: int, device: Device, prices: Array, window: Window) -> Placement:
    """Raises if there is no room for the task."""
    task = device.process
    assert task is not None
    process = Process(
        device=index,
        kind=Kind(task.type.value),
        power=task.power,
        steps=steps_of(task.duration, window.resolution, window.steps),
        allowed=_allowed(task.restrictions, window),
    )
    runs = plan(prices, process.steps, process.kind, process.allowed, dearest=task.maximise)
    return Placement(process, runs if task.maximise else None)


def _allowed(restrictions: Sequence[tuple[datetime, datetime]], window: Window) -> Mask:
    """The steps that no restriction touches."""
    begins = steps(window.start, window.resolution, window.steps)
    ends = steps(window.start + window.resolution, window.resolution, window.steps)
    allowed = np.ones(window.steps, dtype=np.bool_)
    for start, end in restrictions:
        allowed &= (ends <= instant(start)) | (begins >= instant(end))
    return allowed
