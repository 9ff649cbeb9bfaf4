"""Series as CSV, written while they are read."""

from collections.abc import AsyncIterator

from api_gateway.series.request import SeriesRequest
from api_gateway.series.tables import Table, to_frame

TIMES = "%Y-%m-%dT%H:%M:%S%.f%:z"


async def write_csv(request: SeriesRequest, tables: AsyncIterator[Table]) -> AsyncIterator[bytes]:
    """Write the columns of the tables, and the unit of each value."""
    units = {one.id: one.unit for one in request.selections}
    first = True
    async for table in tables:
        frame = to_frame(request, table)
        frame = frame.with_columns(unit=frame["sensor"].replace_strict(units, return_dtype=frame.schema.get("unit")))
        yield frame.write_csv(include_header=first, datetime_format=TIMES).encode()
        first = False
