"""Series as CSV, written while they are read."""

from collections.abc import AsyncIterator

from api_gateway.series.asking import Asked
from api_gateway.series.frames import frame_of
from api_gateway.series.tables import Table

TIMES = "%Y-%m-%dT%H:%M:%S%.f%:z"


async def written(asked: Asked, tables: AsyncIterator[Table]) -> AsyncIterator[bytes]:
    """The columns of the tables, and the unit of each value, because a file should say what its numbers are."""
    units = {one.id: one.unit for one in asked.wanted}
    first = True
    async for table in tables:
        frame = frame_of(asked, table)
        frame = frame.with_columns(unit=frame["sensor"].replace_strict(units, return_dtype=frame.schema.get("unit")))
        yield frame.write_csv(include_header=first, datetime_format=TIMES).encode()
        first = False
