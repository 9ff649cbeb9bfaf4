"""The state of charge at the start of the window: given, or the nearest one that was measured."""

import numpy as np
from flexmodel.errors import Invalid
from flexmodel.parts import StateReading, Stock
from flexmodel.problem import Window
from flexmodel.quantities import convert, is_ratio
from flexmodel.time import format_duration, moment_of
from flexmodel.values import Fixed

from scheduler.resolve.readings import Events, Readings, State, UnknownStateError


def initial_state(stock: Stock, window: Window, readings: Readings) -> State:
    """The state of charge to start from, and the moment when it was that."""
    if isinstance(stock.initial, Fixed):
        return State(window.start, stock.initial.value)
    events = readings.of(stock.initial)
    nearest = stock.initial.nearest(events.starts, events.values, window.start)
    if nearest is None:
        raise _unknown(stock, stock.initial, window)
    return State(moment_of(events.starts[nearest]), float(in_energy(events, stock)[nearest]))


def in_energy(events: Events, stock: Stock) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """A state-of-charge series in MWh; one in % needs to know what 100 % is."""
    if not is_ratio(events.unit):
        return convert(events.values, events.unit, "MWh")
    if stock.percent_of is None:
        raise Invalid(
            {"soc-max": [f"{stock.label}: give soc-max, so that a state of charge in {events.unit} can be converted."]}
        )
    return convert(events.values, events.unit, "") * stock.percent_of


def _unknown(stock: Stock, reading: StateReading, window: Window) -> UnknownStateError:
    return UnknownStateError(
        f"No recent state-of-charge value of {stock.label}: sensor {reading.sensor} has none within "
        f"{format_duration(reading.within)} of {window.start.isoformat()}. Post one, or give soc-at-start."
    )
