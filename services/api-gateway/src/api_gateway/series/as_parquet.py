"""Series as Parquet.

The index of a Parquet file is at its end and tells of all that came before, and Polars writes files whole. So what is
read is first put aside on disk, and then made one file a group of rows at a time: memory does not grow with the file.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

from api_gateway.series.asking import Asked
from api_gateway.series.frames import frame_of
from api_gateway.series.tables import Table, facts

MAGIC = b"PAR1"
"""How every Parquet file begins: said at once, so that nobody takes us for dead while the rest is being read."""
ROW_GROUP = 1 << 16
PART = 1 << 18
"""Bytes that are sent at a time."""


async def written(asked: Asked, tables: AsyncIterator[Table]) -> AsyncIterator[bytes]:
    with TemporaryDirectory(prefix="flexmesh-series-") as name:
        folder = Path(name)
        number = 0
        async for table in tables:
            frame_of(asked, table).write_ipc(folder / f"{number:09}.arrow")
            if number == 0:
                yield MAGIC
            number += 1
        await asyncio.to_thread(join, asked, folder)
        with (folder / "whole.parquet").open("rb") as whole:
            whole.seek(len(MAGIC))
            while part := whole.read(PART):
                yield part


def join(asked: Asked, folder: Path) -> None:
    """One file of all parts, which are deleted."""
    import polars as pl  # noqa: PLC0415  see frames

    parts = pl.scan_ipc(folder / "*.arrow")
    parts.sink_parquet(folder / "whole.parquet", row_group_size=ROW_GROUP, metadata=dict(facts(asked)))
    for part in folder.glob("*.arrow"):
        part.unlink()
