"""Reading beliefs one by one: who believed what, when, with all of a spread of values."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flexstore.series.belief_queries import (
    ARRAY_COLUMNS,
    FROM_MATCHING_BELIEFS,
    QUERY_RECORDSET,
    SOURCE_PRECEDENCE,
    SeriesQuery,
    query_parameters,
)
from flexstore.series.binary_format import DatetimeArray, decode_float4, decode_float8, decode_int4, decode_timestamps
from flexstore.store import Connection

PROBABILITY_DIGITS = 7
"""Digits of a probability."""


@dataclass(frozen=True, slots=True)
class BeliefSet:
    """Beliefs about a sensor, in order of event, time of belief, source and probability."""

    sensor_id: int
    event_start: DatetimeArray
    belief_time: DatetimeArray
    source: NDArray[np.int32]
    probability: NDArray[np.float64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, which: NDArray[np.bool_] | slice) -> "BeliefSet":
        """Some of the beliefs."""
        return BeliefSet(
            self.sensor_id,
            self.event_start[which],
            self.belief_time[which],
            self.source[which],
            self.probability[which],
            self.values[which],
        )


async def load_beliefs(con: Connection, queries: Sequence[SeriesQuery], *, latest: bool) -> list[BeliefSet]:
    """The beliefs asked for, in the order of the queries: all, or of each event the latest, with its whole spread."""
    if not queries:
        return []
    rows = await con.fetch(SELECT_LATEST_BELIEFS if latest else SELECT_ALL_BELIEFS, *query_parameters(queries))
    return [
        BeliefSet(
            sensor_id=row["sensor_id"],
            event_start=decode_timestamps(row["event_start"]),
            belief_time=decode_timestamps(row["belief_time"]),
            source=decode_int4(row["source_id"]),
            # Kept in single precision: this is the number that was said.
            probability=decode_float4(row["cumulative_probability"]).astype(np.float64).round(PROBABILITY_DIGITS),
            values=decode_float8(row["event_value"]),
        )
        for row in rows
    ]


SELECT_BELIEFS = f"""
select query.sensor_id, found.*
from {QUERY_RECORDSET}
cross join lateral (
    select {ARRAY_COLUMNS}
    from (
        select * from (
            select known.*, {{rank}} as rank {FROM_MATCHING_BELIEFS}
        ) ranked
        where rank = 1
        order by event_start, belief_time, source_id, cumulative_probability
    ) chosen
) found
order by query.number
"""  # noqa: S608 - put together from constants
SELECT_ALL_BELIEFS = SELECT_BELIEFS.format(rank="1")
SELECT_LATEST_BELIEFS = SELECT_BELIEFS.format(
    rank=f"rank() over (partition by known.event_start order by {SOURCE_PRECEDENCE})"
)
