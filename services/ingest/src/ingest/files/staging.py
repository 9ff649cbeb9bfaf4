"""Staging table for the rows of a file, which the database sorts so that memory stays bounded."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from io import BytesIO
from typing import Self

import polars as pl
from flexstore.store import Connection

from ingest.data.repository import Sensor
from ingest.files.errors import RowErrors
from ingest.files.event_builder import EventBuilder, RowSpacing

COLUMNS = ("row", "sensor", "wall", "start", "second", "belief", "source", "probability", "value")
TIME_COLUMNS = ("wall", "start", "second", "belief")
ROWS_PER_PART = 10_000
TIMEOUT_SECONDS = 600.0
"""Longest time for sorting millions of rows."""

CREATE_TABLE = """
create temp table staged (
    row bigint, sensor int, wall bigint, start bigint, second bigint, belief bigint, source text,
    probability float8, value float8
) on commit drop
"""
# Of two rows for a time that the clock shows twice, the later one in the file is the second occurrence; in a file in
# descending order, the earlier one.
RESOLVE_AMBIGUOUS = """
update staged set start = second
from (
    select ctid, row_number() over (partition by sensor, start, belief, source, probability order by {order}) as place
    from staged where second is not null
) twin
where staged.ctid = twin.ctid and twin.place > 1
"""
SPACINGS = """
select sensor, (array_agg(gap order by times desc, gap))[1] as common, min(gap) as shortest
from (
    select sensor, gap, count(*) as times
    from (
        select sensor, start - lag(start) over (partition by sensor order by start) as gap from staged
    ) gaps
    where gap > 0
    group by sensor, gap
) counted
group by sensor
"""
DECLARE_CURSOR = """
declare in_order no scroll cursor for select row, sensor, wall, start, belief, source, probability, value
from staged order by sensor, start, belief nulls first, source nulls first, probability, row
"""
SCHEMA = {
    "row": pl.Int64, "sensor": pl.Int32, "wall": pl.Int64, "start": pl.Int64, "belief": pl.Int64,
    "source": pl.String, "probability": pl.Float64, "value": pl.Float64,
}  # fmt: skip
UTC = pl.Datetime("us", "UTC")


class Staging:
    """Temporary table for the rows of one file, in the caller's transaction."""

    def __init__(self, con: Connection) -> None:
        self.con = con
        self.count = 0
        self._ambiguous = False
        self._first: int | None = None
        self._last = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, con: Connection) -> AsyncIterator[Self]:
        """Open a staging table in a nested transaction, so that nothing remains of a file that fails."""
        async with con.transaction():
            await con.execute(f"set local statement_timeout = '{TIMEOUT_SECONDS:.0f}s'")
            await con.execute(CREATE_TABLE)
            yield cls(con)
            await con.execute("drop table staged")

    async def add(self, rows: pl.DataFrame) -> None:
        """Add rows with the columns `COLUMNS`."""
        if rows.is_empty():
            return
        rows = rows.select(pl.col(name).cast(pl.Int64) if name in TIME_COLUMNS else name for name in COLUMNS)
        self.count += rows.height
        self._ambiguous = self._ambiguous or rows["second"].null_count() < rows.height
        self._first = rows["wall"][0] if self._first is None else self._first
        self._last = rows["wall"][-1]
        csv = BytesIO(rows.write_csv(include_header=False).encode())
        await self.con.copy_to_table("staged", source=csv, columns=COLUMNS, format="csv")

    async def resolve_ambiguous_times(self) -> None:
        """Choose between the two occurrences of times that the clock shows twice."""
        if self._ambiguous and self._first is not None:
            order = "row" if self._first <= self._last else "row desc"
            await self.con.execute(RESOLVE_AMBIGUOUS.format(order=order), timeout=TIMEOUT_SECONDS)

    async def _load_spacings(self) -> dict[int, RowSpacing]:
        """Return the spacing of the rows of each sensor that has several events."""
        rows = await self.con.fetch(SPACINGS, timeout=TIMEOUT_SECONDS)
        microsecond = timedelta(microseconds=1)
        return {row["sensor"]: RowSpacing(row["common"] * microsecond, row["shortest"] * microsecond) for row in rows}

    async def build_events(
        self, sensors: Iterable[Sensor], unit: str | None, errors: RowErrors
    ) -> AsyncIterator[tuple[Sensor, pl.DataFrame]]:
        """Yield the events built from the rows, sensor by sensor and in order of time, in parts."""
        by_id = {sensor.id: sensor for sensor in sensors}
        spacings = await self._load_spacings()
        builder: EventBuilder | None = None
        async for rows in self._read_in_order():
            for part in rows.partition_by("sensor", maintain_order=True):
                sensor = by_id[part["sensor"][0]]
                if builder is None or builder.sensor is not sensor:
                    if builder is not None:
                        async for events in iterate_in_thread(builder.add(part.clear(), last=True)):
                            yield builder.sensor, events
                    builder = EventBuilder(sensor, unit, spacings.get(sensor.id), errors)
                async for events in iterate_in_thread(builder.add(part, last=False)):
                    yield sensor, events
        if builder is not None:
            async for events in iterate_in_thread(builder.add(rows.clear(), last=True)):
                yield builder.sensor, events

    async def _read_in_order(self) -> AsyncIterator[pl.DataFrame]:
        """Yield the rows ordered by sensor, time, belief time and source, in parts."""
        await self.con.execute(DECLARE_CURSOR)
        while rows := await self.con.fetch(f"fetch {ROWS_PER_PART} from in_order", timeout=TIMEOUT_SECONDS):
            columns = zip(SCHEMA, zip(*rows, strict=True), strict=True)
            table = pl.DataFrame({name: pl.Series(values, dtype=SCHEMA[name]) for name, values in columns})
            yield table.with_columns(
                pl.col("wall").cast(pl.Datetime("us")), pl.col("start").cast(UTC), pl.col("belief").cast(UTC)
            )
        await self.con.execute("close in_order")


async def iterate_in_thread[T](items: Iterator[T]) -> AsyncIterator[T]:
    """Yield the items of an iterator that is advanced in a thread, so that the event loop is not blocked."""
    while (item := await asyncio.to_thread(next, items, None)) is not None:
        yield item
