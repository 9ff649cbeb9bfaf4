"""Series as JSON, written while they are read."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta, tzinfo

import orjson
from flexmodel.time import Instants

from api_gateway.series.chunks import CHUNK_SIZE, Chunk
from api_gateway.series.request import SensorSelection, SeriesRequest
from api_gateway.times import clock_duration

ITEMS_AT_ONCE = 4096
"""The number of events or beliefs that are encoded before other requests run."""


async def write_json(request: SeriesRequest, chunks: AsyncIterator[Chunk]) -> AsyncIterator[bytes]:
    if request.several:
        yield b'{"series":['
    series = None
    async for chunk in chunks:
        if series is None or chunk.index != series.index:
            if series is not None:
                for part in series.end():
                    yield part
                yield b","
            series = SeriesWriter(request, chunk.index)
            yield series.head()
        for part in series.more(chunk):
            yield part
    if series is not None:
        for part in series.end():
            yield part
    if request.several:
        yield b"]}"


class SeriesWriter:
    """Writes the series of one sensor."""

    def __init__(self, request: SeriesRequest, index: int) -> None:
        self.request = request
        self.index = index
        self.selection: SensorSelection = request.selections[index]
        self.step = 0
        self.has_items = False

    def head(self) -> bytes:
        what = "values" if self.selection.step else "beliefs" if self.request.beliefs else "events"
        fields = {
            "sensor": self.selection.id,
            "name": self.selection.row.name,
            "unit": self.selection.unit,
            "start": self.request.start.astimezone(self.request.zone),
            "end": self.selection.query.end.astimezone(self.request.zone),
            "resolution": clock_duration(self.selection.step or self.selection.own or timedelta(0)),
        }
        return orjson.dumps(fields)[:-1] + f',"{what}":['.encode()

    def more(self, chunk: Chunk) -> Iterator[bytes]:
        if self.selection.step:
            yield from self.nulls_until(chunk.first)
            self.step += len(chunk.values)
            yield from self.append(orjson.dumps(chunk.values, option=orjson.OPT_SERIALIZE_NUMPY))
            return
        for begin in range(0, len(chunk.values), ITEMS_AT_ONCE):
            items = to_items(chunk, slice(begin, begin + ITEMS_AT_ONCE), self.request.zone)
            yield from self.append(orjson.dumps(items))

    def end(self) -> Iterator[bytes]:
        yield from self.nulls_until(self.selection.steps)
        yield b"]}"

    def nulls_until(self, step: int) -> Iterator[bytes]:
        """Yield nulls for the steps before this one."""
        while self.step < step:
            count = min(step - self.step, CHUNK_SIZE)
            self.step += count
            yield from self.append(b"[" + b",".join([b"null"] * count) + b"]")

    def append(self, items: bytes) -> Iterator[bytes]:
        """Yield the items of an encoded JSON list, to continue the list of the series."""
        if len(items) > 2:
            yield (b"," if self.has_items else b"") + items[1:-1]
            self.has_items = True


def to_items(chunk: Chunk, part: slice, zone: tzinfo) -> list[dict[str, object]]:
    """Return events or beliefs as JSON objects."""
    assert chunk.starts is not None
    starts, values = to_local(chunk.starts[part], zone), chunk.values[part].tolist()
    if chunk.beliefs is None:
        return [{"event-start": start, "value": value} for start, value in zip(starts, values, strict=True)]
    known = chunk.beliefs[part]
    columns = (to_local(known.belief_time, zone), known.source.tolist(), known.probability.tolist())
    return [
        {"event-start": start, "belief-time": time, "source": source, "cumulative-probability": chance, "value": value}
        for start, time, source, chance, value in zip(starts, *columns, values, strict=True)
    ]


def to_local(moments: Instants, zone: tzinfo) -> list[datetime]:
    return [moment.replace(tzinfo=UTC).astimezone(zone) for moment in moments.tolist()]
