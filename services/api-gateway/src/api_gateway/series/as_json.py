"""Series as JSON, written while they are read."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta, tzinfo

import orjson
from flexmodel.time import Instants

from api_gateway.series.asking import Asked, Wanted
from api_gateway.series.reading import AT_ONCE, Piece
from api_gateway.times import clock_duration

LINES = 4096
"""How many events or beliefs are put into words before others have their turn."""


async def written(asked: Asked, pieces: AsyncIterator[Piece]) -> AsyncIterator[bytes]:
    if asked.several:
        yield b'{"series":['
    series = None
    async for piece in pieces:
        if series is None or piece.place != series.place:
            if series is not None:
                for part in series.end():
                    yield part
                yield b","
            series = OneSeries(asked, piece.place)
            yield series.head()
        for part in series.more(piece):
            yield part
    if series is not None:
        for part in series.end():
            yield part
    if asked.several:
        yield b"]}"


class OneSeries:
    """The series of one sensor, as far as it is written."""

    def __init__(self, asked: Asked, place: int) -> None:
        self.asked = asked
        self.place = place
        self.wanted: Wanted = asked.wanted[place]
        self.step = 0
        self.begun = False

    def head(self) -> bytes:
        what = "values" if self.wanted.step else "beliefs" if self.asked.beliefs else "events"
        facts = {
            "sensor": self.wanted.id,
            "name": self.wanted.row["name"],
            "unit": self.wanted.unit,
            "start": self.asked.start.astimezone(self.asked.zone),
            "end": self.wanted.query.end.astimezone(self.asked.zone),
            "resolution": clock_duration(self.wanted.step or self.wanted.own or timedelta(0)),
        }
        return orjson.dumps(facts)[:-1] + f',"{what}":['.encode()

    def more(self, piece: Piece) -> Iterator[bytes]:
        if self.wanted.step:
            yield from self.nulls_until(piece.first)
            self.step += len(piece.values)
            yield from self.listed(orjson.dumps(piece.values, option=orjson.OPT_SERIALIZE_NUMPY))
            return
        for begin in range(0, len(piece.values), LINES):
            lines = lines_of(piece, slice(begin, begin + LINES), self.asked.zone)
            yield from self.listed(orjson.dumps(lines))

    def end(self) -> Iterator[bytes]:
        yield from self.nulls_until(self.wanted.steps)
        yield b"]}"

    def nulls_until(self, step: int) -> Iterator[bytes]:
        """Steps of which nothing is known."""
        while self.step < step:
            count = min(step - self.step, AT_ONCE)
            self.step += count
            yield from self.listed(b"[" + b",".join([b"null"] * count) + b"]")

    def listed(self, items: bytes) -> Iterator[bytes]:
        """More items, of a JSON list."""
        if len(items) > 2:
            yield (b"," if self.begun else b"") + items[1:-1]
            self.begun = True


def lines_of(piece: Piece, part: slice, zone: tzinfo) -> list[dict[str, object]]:
    """Events, or beliefs, one by one."""
    assert piece.starts is not None
    starts, values = local(piece.starts[part], zone), piece.values[part].tolist()
    if piece.believed is None:
        return [{"event-start": start, "value": value} for start, value in zip(starts, values, strict=True)]
    known = piece.believed[part]
    columns = (local(known.belief_time, zone), known.source.tolist(), known.probability.tolist())
    return [
        {"event-start": start, "belief-time": time, "source": source, "cumulative-probability": chance, "value": value}
        for start, time, source, chance, value in zip(starts, *columns, values, strict=True)
    ]


def local(moments: Instants, zone: tzinfo) -> list[datetime]:
    return [moment.replace(tzinfo=UTC).astimezone(zone) for moment in moments.tolist()]
