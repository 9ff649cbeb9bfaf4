"""Series as tables with one row per known event or belief, a part at a time."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from flexmodel.time import steps
from numpy.typing import NDArray

from api_gateway.series.chunks import Chunk
from api_gateway.series.request import SeriesRequest
from api_gateway.times import clock_duration

if TYPE_CHECKING:
    import polars

Table = dict[str, NDArray[Any]]
ROWS = 1 << 13
"""The approximate number of rows of a table."""
MOMENTS = ("event_start", "belief_time")
"""The columns that hold times, in UTC."""


async def to_tables(request: SeriesRequest, chunks: AsyncIterator[Chunk]) -> AsyncIterator[Table]:
    """Yield tables of about `ROWS` rows or more; at least one, which may be empty."""
    parts: list[Table] = []
    rows = 0
    async for chunk in chunks:
        parts.append(to_table(request, chunk))
        rows += len(chunk.values)
        if rows >= ROWS:
            yield concatenate(parts)
            parts, rows = [], 0
    if parts:
        yield concatenate(parts)


def concatenate(parts: Sequence[Table]) -> Table:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def to_table(request: SeriesRequest, chunk: Chunk) -> Table:
    """Return a chunk as columns, named as in files for upload."""
    selection, starts, values = request.selections[chunk.index], chunk.starts, chunk.values
    if selection.step is not None:
        known = ~np.isnan(values)
        starts = steps(request.start + chunk.first * selection.step, selection.step, len(values))[known]
        values = values[known]
    assert starts is not None
    table: Table = {"sensor": np.full(len(values), selection.id, np.int32), "event_start": starts}
    if chunk.beliefs is not None:
        table |= {
            "belief_time": chunk.beliefs.belief_time,
            "source": chunk.beliefs.source,
            "cumulative_probability": chunk.beliefs.probability,
        }
    return table | {"event_value": values}


def table_metadata(request: SeriesRequest) -> Mapping[str, str]:
    """Return metadata for formats that store it: units, and the names, resolutions and time zones as JSON by sensor."""
    by_sensor = {
        str(one.id): {
            "name": one.row.name,
            "unit": one.unit,
            "resolution": clock_duration(one.step or one.own),
            "timezone": one.row.timezone,
        }
        for one in request.selections
    }
    units = {one.unit for one in request.selections}
    unit = {"unit": units.pop()} if len(units) == 1 else {}
    return unit | {"sensors": orjson.dumps(by_sensor).decode()}


def to_frame(request: SeriesRequest, table: Table) -> "polars.DataFrame":
    """Return a table as a data frame, with times in the requested time zone."""
    import polars as pl  # noqa: PLC0415 - slow and large to import, so only the formats that need it pay for it

    times = pl.col(*[name for name in MOMENTS if name in table]).dt.replace_time_zone("UTC")
    return pl.DataFrame(table).with_columns(times.dt.convert_time_zone(request.zone_name))
