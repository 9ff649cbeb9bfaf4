"""Reading series piece by piece: the next is asked for when the last was told, and no connection waits meanwhile.

Pieces are cut by time where there are enough beliefs. What is stored while a long series is being told is in it if its
time is still to come. Short series of several sensors are asked for together.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from flexmodel.problem import Array, Window
from flexmodel.quantities import convert
from flexmodel.time import Instants, instant
from flexstore import series
from flexstore.series import BeliefSet, Series
from flexstore.store import Store

from api_gateway.data.reading import on_steps
from api_gateway.series.asking import Asked, Wanted

AT_ONCE = 1 << 15
"""How many beliefs, or steps, are in memory at a time."""
TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of one sensor's series."""

    place: int
    """The number of the sensor, as asked for."""
    values: Array
    """In the unit asked for; where they are steps, NaN where nothing is known."""
    first: int = 0
    """The number of the first step."""
    starts: Instants | None = None
    """When the events began; steps follow from the number of the first."""
    believed: BeliefSet | None = None
    """When, by whom and with which probability it was believed."""


async def pieces(store: Store, asked: Asked) -> AsyncIterator[Piece]:
    """Pieces in the order of the sensors and of time, at least one of each sensor."""
    for group in groups(asked):
        if sum(foreseen(asked, asked.wanted[place]) for place in group) <= AT_ONCE:
            for piece in await together(store, asked, group):
                yield piece
        else:
            async for piece in of_one(store, asked, *group):
                yield piece


def groups(asked: Asked) -> Iterator[list[int]]:
    """The sensors that are read together: as many as fit at once, or one that does not."""
    group: list[int] = []
    size = 0
    for place, wanted in enumerate(asked.wanted):
        own = foreseen(asked, wanted)
        if group and size + own > AT_ONCE:
            yield group
            group, size = [], 0
        group.append(place)
        size += own
    if group:
        yield group


def foreseen(asked: Asked, wanted: Wanted) -> int:
    """How many values there may be; more than at once if nobody can know."""
    if asked.beliefs or not wanted.own:
        return AT_ONCE + 1
    return max((wanted.query.end - wanted.query.start) // wanted.own + 2, wanted.steps)


async def together(store: Store, asked: Asked, places: Sequence[int]) -> list[Piece]:
    async with store.connection() as con:
        found = await series.load_series(con, [asked.wanted[place].query for place in places])
    return [
        stepped(place, asked.wanted[place], one, 0, asked.wanted[place].steps)
        if asked.wanted[place].step
        else each(asked, place, one)
        for place, one in zip(places, found, strict=True)
    ]


async def of_one(store: Store, asked: Asked, place: int) -> AsyncIterator[Piece]:
    wanted = asked.wanted[place]
    found = by_steps(store, asked, place) if wanted.step else by_events(store, asked, place)
    any_found = False
    async for piece in found:
        any_found = True
        yield piece
    if not any_found:
        yield Piece(place, NO_NUMBERS, starts=NO_MOMENTS, believed=NOTHING if asked.beliefs else None)


NO_MOMENTS, NO_NUMBERS = np.empty(0, "M8[us]"), np.empty(0)
NOTHING = BeliefSet(0, NO_MOMENTS, NO_MOMENTS, np.empty(0, np.int32), NO_NUMBERS, NO_NUMBERS)


async def by_events(store: Store, asked: Asked, place: int) -> AsyncIterator[Piece]:
    """Events, or beliefs, each where it is."""
    wanted, cursor = asked.wanted[place], asked.start
    while cursor < asked.end:
        async with store.connection() as con:
            first, cursor = await series.find_next_batch(con, wanted.id, cursor, asked.end, AT_ONCE)
            part = wanted.part(first, cursor)
            if first == cursor:
                return
            if asked.beliefs:
                [believed] = await series.load_beliefs(con, [part], latest=asked.beliefs == "latest")
                piece = told(wanted, place, believed[believed.event_start >= instant(first)])
            else:
                [one] = await series.load_series(con, [part])
                piece = each(asked, place, one, since=instant(first))
        yield piece


def each(asked: Asked, place: int, found: Series, since: np.datetime64 | None = None) -> Piece:
    """The events that began in the window."""
    wanted = asked.wanted[place]
    inside = found.event_start >= (instant(asked.start) if since is None else since)
    values = convert(found.values[inside], wanted.row["unit"], wanted.unit, wanted.own)
    return Piece(place, values, starts=found.event_start[inside])


def told(wanted: Wanted, place: int, found: BeliefSet) -> Piece:
    values = convert(found.values, wanted.row["unit"], wanted.unit, wanted.own)
    return Piece(place, values, starts=found.event_start, believed=found)


async def by_steps(store: Store, asked: Asked, place: int) -> AsyncIterator[Piece]:
    """Steps, without those of long times in which nothing is known."""
    wanted, step = asked.wanted[place], 0
    length = wanted.step
    assert length is not None
    while step < wanted.steps:
        # What began before the step may last into it.
        since = asked.start + step * length - max(wanted.own - TICK, timedelta(0))
        async with store.connection() as con:
            first, beyond = await series.find_next_batch(con, wanted.id, since, wanted.query.end, AT_ONCE)
            if first == wanted.query.end:
                return
            step = max(step, (first - asked.start) // length)
            until = max(step + 1, min(step + AT_ONCE, (beyond - asked.start) // length))
            begin, end = asked.start + step * length, asked.start + until * length
            if not wanted.own and until == step + 1:
                end = begin + TICK  # of an instantaneous sensor only what is at the start of the step counts
            [found] = await series.load_series(con, [wanted.part(begin, end)])
        yield stepped(place, wanted, found, step, until)
        step = until


def stepped(place: int, wanted: Wanted, found: Series, first: int, until: int) -> Piece:
    assert wanted.step is not None
    window = Window(wanted.query.start + first * wanted.step, wanted.step, until - first)
    return Piece(place, on_steps(found, wanted.row, window, wanted.unit), first)
