"""Series as tables, one row per known event or belief, a part at a time."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from flexmodel.time import steps
from numpy.typing import NDArray

from api_gateway.series.asking import Asked
from api_gateway.series.reading import Piece
from api_gateway.times import clock_duration

Table = dict[str, NDArray[Any]]
ROWS = 1 << 13
"""About how many rows a table has, unless all have fewer."""
MOMENTS = ("event_start", "belief_time")
"""Columns that hold moments, in UTC."""


async def tables(asked: Asked, pieces: AsyncIterator[Piece]) -> AsyncIterator[Table]:
    """Tables of about `ROWS` rows or more; at least one, which may be empty."""
    parts: list[Table] = []
    rows = 0
    async for piece in pieces:
        parts.append(table_of(asked, piece))
        rows += len(piece.values)
        if rows >= ROWS:
            yield joined(parts)
            parts, rows = [], 0
    if parts:
        yield joined(parts)


def joined(parts: Sequence[Table]) -> Table:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def table_of(asked: Asked, piece: Piece) -> Table:
    """The columns, named as in files that can be uploaded."""
    wanted, starts, values = asked.wanted[piece.place], piece.starts, piece.values
    if wanted.step is not None:
        known = ~np.isnan(values)
        starts = steps(asked.start + piece.first * wanted.step, wanted.step, len(values))[known]
        values = values[known]
    assert starts is not None
    table: Table = {"sensor": np.full(len(values), wanted.id, np.int32), "event_start": starts}
    if piece.believed is not None:
        table |= {
            "belief_time": piece.believed.belief_time,
            "source": piece.believed.source,
            "cumulative_probability": piece.believed.probability,
        }
    return table | {"event_value": values}


def facts(asked: Asked) -> Mapping[str, str]:
    """What a table's columns do not say, for the metadata of formats that have it: JSON by sensor."""
    by_sensor = {
        str(one.id): {
            "name": one.row["name"],
            "unit": one.unit,
            "resolution": clock_duration(one.step or one.own),
            "timezone": one.row["timezone"],
        }
        for one in asked.wanted
    }
    units = {one.unit for one in asked.wanted}
    unit = {"unit": units.pop()} if len(units) == 1 else {}
    return unit | {"sensors": orjson.dumps(by_sensor).decode()}
