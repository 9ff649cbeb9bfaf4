"""Series in chunks: each is loaded when the last one was sent, and no database connection is held meanwhile.

Chunks are cut by time so that each has about as many beliefs. Data that are stored while a long series is sent are in
it if their time is still to come. Short series of several sensors are loaded together.
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

from api_gateway.data.window import resample
from api_gateway.series.request import SensorSelection, SeriesRequest

CHUNK_SIZE = 1 << 15
"""The number of beliefs or steps in memory at a time."""
TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of one sensor's series."""

    index: int
    """The index of the sensor in the request."""
    values: Array
    """The values in the requested unit. Steps without a value are NaN."""
    first: int = 0
    """The number of the first step."""
    starts: Instants | None = None
    """The starts of the events. Those of steps follow from the number of the first."""
    beliefs: BeliefSet | None = None
    """The belief times, sources and probabilities, if beliefs are requested."""


async def read_chunks(store: Store, request: SeriesRequest) -> AsyncIterator[Chunk]:
    """Load chunks in the order of the sensors and of time, at least one of each sensor."""
    for group in groups(request):
        if sum(expected_size(request, request.selections[index]) for index in group) <= CHUNK_SIZE:
            for chunk in await read_group(store, request, group):
                yield chunk
        else:
            async for chunk in read_one(store, request, *group):
                yield chunk


def groups(request: SeriesRequest) -> Iterator[list[int]]:
    """Yield the sensors that are loaded together: as many as fit into a chunk, or one that does not."""
    group: list[int] = []
    size = 0
    for index, selection in enumerate(request.selections):
        own = expected_size(request, selection)
        if group and size + own > CHUNK_SIZE:
            yield group
            group, size = [], 0
        group.append(index)
        size += own
    if group:
        yield group


def expected_size(request: SeriesRequest, selection: SensorSelection) -> int:
    """Return the most values there may be, or more than a chunk if that is unknown."""
    if request.beliefs or not selection.own:
        return CHUNK_SIZE + 1
    return max((selection.query.end - selection.query.start) // selection.own + 2, selection.steps)


async def read_group(store: Store, request: SeriesRequest, indexes: Sequence[int]) -> list[Chunk]:
    async with store.connection() as con:
        found = await series.load_series(con, [request.selections[index].query for index in indexes])
    return [
        steps_chunk(index, request.selections[index], one, 0, request.selections[index].steps)
        if request.selections[index].step
        else events_chunk(request, index, one)
        for index, one in zip(indexes, found, strict=True)
    ]


async def read_one(store: Store, request: SeriesRequest, index: int) -> AsyncIterator[Chunk]:
    selection = request.selections[index]
    found = read_steps(store, request, index) if selection.step else read_events(store, request, index)
    any_found = False
    async for chunk in found:
        any_found = True
        yield chunk
    if not any_found:
        yield Chunk(index, NO_VALUES, starts=NO_MOMENTS, beliefs=NO_BELIEFS if request.beliefs else None)


NO_MOMENTS, NO_VALUES = np.empty(0, "M8[us]"), np.empty(0)
NO_BELIEFS = BeliefSet(0, NO_MOMENTS, NO_MOMENTS, np.empty(0, np.int32), NO_VALUES, NO_VALUES)


async def read_events(store: Store, request: SeriesRequest, index: int) -> AsyncIterator[Chunk]:
    """Load events or beliefs, each at its own time."""
    selection, cursor = request.selections[index], request.start
    while cursor < request.end:
        async with store.connection() as con:
            first, cursor = await series.find_next_batch(con, selection.id, cursor, request.end, CHUNK_SIZE)
            part = selection.part(first, cursor)
            if first == cursor:
                return
            if request.beliefs:
                [believed] = await series.load_beliefs(con, [part], latest=request.beliefs == "latest")
                chunk = beliefs_chunk(selection, index, believed[believed.event_start >= instant(first)])
            else:
                [one] = await series.load_series(con, [part])
                chunk = events_chunk(request, index, one, since=instant(first))
        yield chunk


def events_chunk(request: SeriesRequest, index: int, found: Series, since: np.datetime64 | None = None) -> Chunk:
    """Return the events that start in the window."""
    selection = request.selections[index]
    inside = found.event_start >= (instant(request.start) if since is None else since)
    values = convert(found.values[inside], selection.row.unit, selection.unit, selection.own)
    return Chunk(index, values, starts=found.event_start[inside])


def beliefs_chunk(selection: SensorSelection, index: int, found: BeliefSet) -> Chunk:
    values = convert(found.values, selection.row.unit, selection.unit, selection.own)
    return Chunk(index, values, starts=found.event_start, beliefs=found)


async def read_steps(store: Store, request: SeriesRequest, index: int) -> AsyncIterator[Chunk]:
    """Load steps, without long gaps."""
    selection, step = request.selections[index], 0
    length = selection.step
    assert length is not None
    while step < selection.steps:
        # An event that started before the step may last into it.
        since = request.start + step * length - max(selection.own - TICK, timedelta(0))
        async with store.connection() as con:
            first, beyond = await series.find_next_batch(con, selection.id, since, selection.query.end, CHUNK_SIZE)
            if first == selection.query.end:
                return
            step = max(step, (first - request.start) // length)
            until = max(step + 1, min(step + CHUNK_SIZE, (beyond - request.start) // length))
            begin, end = request.start + step * length, request.start + until * length
            if not selection.own and until == step + 1:
                end = begin + TICK  # of an instantaneous sensor only what is at the start of the step counts
            [found] = await series.load_series(con, [selection.part(begin, end)])
        yield steps_chunk(index, selection, found, step, until)
        step = until


def steps_chunk(index: int, selection: SensorSelection, found: Series, first: int, until: int) -> Chunk:
    assert selection.step is not None
    window = Window(selection.query.start + first * selection.step, selection.step, until - first)
    return Chunk(index, resample(found, selection.row, window, selection.unit), first)
