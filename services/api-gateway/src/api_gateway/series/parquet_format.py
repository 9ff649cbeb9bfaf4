"""Series as Parquet.

The index of a Parquet file is at its end and covers all of its content, and Polars writes only whole files. So the data
are first stored on disk and then joined to one file, one group of rows at a time. Memory does not grow with the file.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

from api_gateway.series.request import SeriesRequest
from api_gateway.series.tables import Table, table_metadata, to_frame

MAGIC = b"PAR1"
"""The first bytes of every Parquet file. They are sent at once, so that clients do not time out."""
ROW_GROUP = 1 << 16
PART = 1 << 18
"""The number of bytes sent at a time."""


async def write_parquet(request: SeriesRequest, tables: AsyncIterator[Table]) -> AsyncIterator[bytes]:
    with TemporaryDirectory(prefix="flexmesh-series-") as name:
        folder = Path(name)
        number = 0
        async for table in tables:
            to_frame(request, table).write_ipc(folder / f"{number:09}.arrow")
            if number == 0:
                yield MAGIC
            number += 1
        await asyncio.to_thread(join, request, folder)
        with (folder / "whole.parquet").open("rb") as whole:
            whole.seek(len(MAGIC))
            while part := whole.read(PART):
                yield part


def join(request: SeriesRequest, folder: Path) -> None:
    """Join all parts to one file, and delete them."""
    import polars as pl  # noqa: PLC0415  see frames

    parts = pl.scan_ipc(folder / "*.arrow")
    parts.sink_parquet(folder / "whole.parquet", row_group_size=ROW_GROUP, metadata=dict(table_metadata(request)))
    for part in folder.glob("*.arrow"):
        part.unlink()
