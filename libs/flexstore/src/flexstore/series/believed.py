"""Reading beliefs one by one: who believed what, when, with all of a spread of values."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flexstore.series.reading import ASKED, COLUMNS, KNOWN, RECENCY, SeriesQuery, asked_of
from flexstore.series.wire import Moments, floats, integers, moments, reals
from flexstore.store import Connection

DIGITS = 7
"""Digits of a probability."""


@dataclass(frozen=True, slots=True)
class Believed:
    """Beliefs about a sensor, in order of event, time of belief, source and probability."""

    sensor_id: int
    event_start: Moments
    belief_time: Moments
    source: NDArray[np.int32]
    probability: NDArray[np.float64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, which: NDArray[np.bool_] | slice) -> "Believed":
        """Some of the beliefs."""
        return Believed(
            self.sensor_id,
            self.event_start[which],
            self.belief_time[which],
            self.source[which],
            self.probability[which],
            self.values[which],
        )


async def read_beliefs(con: Connection, queries: Sequence[SeriesQuery], *, latest: bool) -> list[Believed]:
    """The beliefs asked for, in the order of the queries: all, or of each event the latest, with its whole spread."""
    if not queries:
        return []
    rows = await con.fetch(LATEST if latest else ALL, *asked_of(queries))
    return [
        Believed(
            sensor_id=row["sensor_id"],
            event_start=moments(row["event_start"]),
            belief_time=moments(row["belief_time"]),
            source=integers(row["source_id"]),
            # Kept in single precision: this is the number that was said.
            probability=reals(row["cumulative_probability"]).astype(np.float64).round(DIGITS),
            values=floats(row["event_value"]),
        )
        for row in rows
    ]


SELECT = f"""
select query.sensor_id, found.*
from {ASKED}
cross join lateral (
    select {COLUMNS}
    from (
        select * from (
            select known.*, {{rank}} as rank {KNOWN}
        ) ranked
        where rank = 1
        order by event_start, belief_time, source_id, cumulative_probability
    ) chosen
) found
order by query.number
"""  # noqa: S608 - put together from constants
ALL = SELECT.format(rank="1")
LATEST = SELECT.format(rank=f"rank() over (partition by known.event_start order by {RECENCY})")
