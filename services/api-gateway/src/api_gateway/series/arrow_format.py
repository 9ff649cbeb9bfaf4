"""Series as an Arrow stream, written while they are read."""

from collections.abc import AsyncIterator, Buffer

import nanoarrow as na
from nanoarrow.c_array import CArray
from nanoarrow.ipc import StreamWriter

from api_gateway.series.request import SeriesRequest
from api_gateway.series.tables import MOMENTS, Table, table_metadata

TYPES = {
    "sensor": na.int32(),
    "source": na.int32(),
    "cumulative_probability": na.float64(),
    "event_value": na.float64(),
}


class Parts:
    """Collects the parts that the Arrow writer has written."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, part: Buffer) -> int:
        self._parts.append(bytes(part))
        return len(self._parts[-1])

    def take(self) -> bytes:
        whole, self._parts = b"".join(self._parts), []
        return whole


async def write_arrow(request: SeriesRequest, tables: AsyncIterator[Table]) -> AsyncIterator[bytes]:
    parts = Parts()
    with StreamWriter.from_writable(parts) as writer:
        async for table in tables:
            writer.write_array(batch_of(request, table))
            yield parts.take()
    yield parts.take()


def batch_of(request: SeriesRequest, table: Table) -> CArray:
    times = na.timestamp("us", timezone=request.zone_name)
    fields = {name: times if name in MOMENTS else TYPES[name] for name in table}
    schema = na.Schema(na.struct(fields, nullable=False), metadata=dict(table_metadata(request)))
    rows = len(table["sensor"])
    columns = [
        na.c_array_from_buffers(fields[name], rows, [None, column.view("i8") if name in MOMENTS else column])
        for name, column in table.items()
    ]
    return na.c_array_from_buffers(na.c_schema(schema), rows, [None], null_count=0, children=columns)
