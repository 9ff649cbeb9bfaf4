"""Rows on their way from a file to the events they make, put in order by the database: memory stays bounded."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from io import BytesIO
from typing import Self

import polars as pl
from flexstore.store import Connection

from ingest.data.repository import Sensor
from ingest.files.events import Events, Spacing
from ingest.files.problems import Problems

COLUMNS = ("row", "sensor", "wall", "start", "second", "belief", "source", "probability", "value")
MOMENTS = ("wall", "start", "second", "belief")
AT_A_TIME = 10_000
PATIENCE = 600.0
"""Seconds that putting millions of rows in order may take."""

CREATE = """
create temp table staged (
    row bigint, sensor int, wall bigint, start bigint, second bigint, belief bigint, source text,
    probability float8, value float8
) on commit drop
"""
# Of two rows for one time that the clock shows twice, the later one in the file means the second; the earlier one
# in a file that runs backwards.
SETTLE_TWICE = """
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
IN_ORDER = """
declare in_order no scroll cursor for select row, sensor, wall, start, belief, source, probability, value
from staged order by sensor, start, belief nulls first, source nulls first, probability, row
"""
SCHEMA = {
    "row": pl.Int64, "sensor": pl.Int32, "wall": pl.Int64, "start": pl.Int64, "belief": pl.Int64,
    "source": pl.String, "probability": pl.Float64, "value": pl.Float64,
}  # fmt: skip
UTC = pl.Datetime("us", "UTC")


class Staging:
    """A table for the rows of one file, in the caller's transaction."""

    def __init__(self, con: Connection) -> None:
        self.con = con
        self.count = 0
        self._ambiguous = False
        self._first: int | None = None
        self._last = 0

    @classmethod
    @asynccontextmanager
    async def opened(cls, con: Connection) -> AsyncIterator[Self]:
        """In a transaction within the caller's, so that nothing stays of a file that fails."""
        async with con.transaction():
            await con.execute(f"set local statement_timeout = '{PATIENCE:.0f}s'")
            await con.execute(CREATE)
            yield cls(con)
            await con.execute("drop table staged")

    async def add(self, rows: pl.DataFrame) -> None:
        if rows.is_empty():
            return
        rows = rows.select(pl.col(name).cast(pl.Int64) if name in MOMENTS else name for name in COLUMNS)
        self.count += rows.height
        self._ambiguous = self._ambiguous or rows["second"].null_count() < rows.height
        self._first = rows["wall"][0] if self._first is None else self._first
        self._last = rows["wall"][-1]
        packed = BytesIO(rows.write_csv(include_header=False).encode())
        await self.con.copy_to_table("staged", source=packed, columns=COLUMNS, format="csv")

    async def settle(self) -> None:
        """Decide between the two moments that a time in the night of a clock change can mean."""
        if self._ambiguous and self._first is not None:
            order = "row" if self._first <= self._last else "row desc"
            await self.con.execute(SETTLE_TWICE.format(order=order), timeout=PATIENCE)

    async def _spacings(self) -> dict[int, Spacing]:
        """How far apart the rows of each sensor are: most of them, and the closest two. Not of those with one event."""
        rows = await self.con.fetch(SPACINGS, timeout=PATIENCE)
        microsecond = timedelta(microseconds=1)
        return {row["sensor"]: Spacing(row["common"] * microsecond, row["shortest"] * microsecond) for row in rows}

    async def events(
        self, sensors: Iterable[Sensor], unit: str | None, problems: Problems
    ) -> AsyncIterator[tuple[Sensor, pl.DataFrame]]:
        """The events that the rows make, sensor after sensor and in order of time, some at a time."""
        by_id = {sensor.id: sensor for sensor in sensors}
        spacings = await self._spacings()
        making: Events | None = None
        async for rows in self._in_order():
            for part in rows.partition_by("sensor", maintain_order=True):
                sensor = by_id[part["sensor"][0]]
                if making is None or making.sensor is not sensor:
                    if making is not None:
                        async for events in beside(making.add(part.clear(), last=True)):
                            yield making.sensor, events
                    making = Events(sensor, unit, spacings.get(sensor.id), problems)
                async for events in beside(making.add(part, last=False)):
                    yield sensor, events
        if making is not None:
            async for events in beside(making.add(rows.clear(), last=True)):
                yield making.sensor, events

    async def _in_order(self) -> AsyncIterator[pl.DataFrame]:
        """The rows by sensor, time, belief time and source, some at a time."""
        await self.con.execute(IN_ORDER)
        while rows := await self.con.fetch(f"fetch {AT_A_TIME} from in_order", timeout=PATIENCE):
            columns = zip(SCHEMA, zip(*rows, strict=True), strict=True)
            table = pl.DataFrame({name: pl.Series(values, dtype=SCHEMA[name]) for name, values in columns})
            yield table.with_columns(
                pl.col("wall").cast(pl.Datetime("us")), pl.col("start").cast(UTC), pl.col("belief").cast(UTC)
            )
        await self.con.execute("close in_order")


async def beside[T](steps: Iterator[T]) -> AsyncIterator[T]:
    """What the steps give, each taken in a thread so that the event loop goes on meanwhile."""
    while (found := await asyncio.to_thread(next, steps, None)) is not None:
        yield found
