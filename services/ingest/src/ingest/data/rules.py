"""How a list of values becomes the events of a sensor: resolution, clock, belief times. Arrays in, arrays out.

Values may be one list, or a list per row of a table: many alike are fitted at once. Time runs along the last axis.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from math import gcd

import numpy as np
from flexmodel.errors import Invalid
from flexmodel.time import Instants, instant, steps
from numpy.typing import NDArray

Values = NDArray[np.float64]

MICROSECOND = timedelta(microseconds=1)
DAY = timedelta(days=1) // MICROSECOND


@dataclass(frozen=True, slots=True)
class Events:
    """What happened when: the start and the value of each event, in the sensor's unit and resolution."""

    starts: Instants
    values: Values

    def known(self) -> "Events":
        """The events that have a value."""
        there = ~np.isnan(self.values)
        return self if there.all() else Events(self.starts[there], self.values[there])


def refuse(sentence: str) -> Invalid:
    """A problem of several fields together has no field of its own."""
    return Invalid({"_schema": [sentence]})


def check_clock(start: datetime, resolution: timedelta, zone: tzinfo) -> None:
    """Refuse a window that does not start on the sensor's clock.

    The clock ticks from midnight, in the sensor's time zone or in the one the start is written in. Resolutions longer
    than a day tick every day.
    """
    tick = resolution // MICROSECOND
    if not tick or on_tick(start, tick) or on_tick(start.astimezone(zone), tick):
        return
    raise Invalid(
        {"start": [f"{start.isoformat()} is not on the clock of this sensor, which ticks every {resolution}."]},
    )


def on_tick(time: datetime, tick: int) -> bool:
    wall = timedelta(hours=time.hour, minutes=time.minute, seconds=time.second, microseconds=time.microsecond)
    return wall // MICROSECOND % gcd(tick, DAY) == 0


def spread(start: datetime, duration: timedelta, values: Values) -> Events:
    """The events of an instantaneous sensor: evenly over the window, each at the start of its part."""
    count = values.shape[-1]
    if count > 1 and not duration:
        raise refuse(
            "Several values at one moment would overlap: a duration of zero fits a single value. "
            "Send one value, or the duration that the values span."
        )
    spacing, rest = divmod(duration // MICROSECOND, count)
    if rest:
        raise refuse(f"{count} values cannot be spread evenly over {duration}.")
    return Events(steps(start, spacing * MICROSECOND, count), values)


def slots_in(count: int, duration: timedelta, resolution: timedelta) -> int:
    """How many events of the sensor the values fill; refused unless they fit a whole number of times or parts."""
    slots, rest = divmod(duration, resolution)
    spacing_is_whole = duration // MICROSECOND % count == 0
    if spacing_is_whole and not rest and slots and (slots % count == 0 or count % slots == 0):
        return slots
    spacing = duration / count
    if spacing_is_whole and spacing and not (spacing % resolution and resolution % spacing):
        raise refuse(f"The window of {duration} is not a whole number of the sensor's events of {resolution}.")
    raise refuse(f"Resolution of {spacing} is incompatible with the sensor's required resolution of {resolution}.")


def fit(values: Values, slots: int, *, adds_up: bool) -> Values:
    """Values over `slots` events. Finer ones are averaged, coarser ones repeated; amounts are added and divided."""
    count = values.shape[-1]
    if slots == count:
        return values
    if slots > count:
        times = slots // count
        return np.repeat(values / times if adds_up else values, times, axis=-1)
    parts = values.reshape(*values.shape[:-1], slots, -1)
    sums: Values = parts.sum(axis=-1)
    return sums if adds_up else mean_of_known(parts)


def mean_of_known(parts: Values) -> Values:
    """The mean of each row, leaving out holes; a row of holes stays one."""
    known = ~np.isnan(parts)
    counts = known.sum(axis=-1)
    sums = np.where(known, parts, 0.0).sum(axis=-1)
    means: Values = np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0)
    return means


def belief_times(
    starts: Instants, resolution: timedelta, *, prior: datetime | None, horizon: timedelta | None, now: datetime
) -> np.datetime64 | Instants:
    """When the values were believed: all at `prior`, else each `horizon` before its event's end, else all now."""
    if prior is None and horizon is not None:
        times: Instants = starts + np.timedelta64((resolution - horizon) // MICROSECOND, "us")
        return times
    return instant(prior or now)
