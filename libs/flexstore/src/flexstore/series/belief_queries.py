"""Queries of beliefs, and the matching beliefs one by one: of all sources and belief times, with all quantiles."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from flexstore.series.binary_format import (
    DatetimeArray,
    decode_float4,
    decode_float8,
    decode_int4,
    decode_timestamps,
)
from flexstore.store import Connection

MICROSECOND = timedelta(microseconds=1)
PROBABILITY_DIGITS = 7
"""The significant digits of a probability, which is stored in single precision."""

SOURCE_PRECEDENCE = "known.belief_time desc, source.version_order desc nulls last, known.source_id desc"
"""The order in which beliefs take precedence: the latest, then the newest version, then the newest source."""
PRECEDENCE = f"{SOURCE_PRECEDENCE}, abs(known.cumulative_probability - 0.5), known.cumulative_probability"
"""The same for single values: of a probabilistic belief, the value nearest to the median."""


@dataclass(frozen=True, slots=True)
class SeriesQuery:
    """A query of the events of a sensor that overlap [start, end), as they were known at some time to some sources."""

    sensor_id: int
    start: datetime
    end: datetime
    resolution: timedelta = timedelta(0)
    """The duration of the sensor's events; zero for instantaneous ones."""
    prior: datetime | None = None
    """Only beliefs with this belief time or an earlier one."""
    horizon: timedelta | None = None
    """Only beliefs formed at least this long before the end of their event. Negative: at most so long after it."""
    sources: Sequence[int] | None = None
    types: Sequence[str] | None = None
    excluded_types: Sequence[str] | None = None
    accounts: Sequence[int] | None = None
    """Only beliefs of sources that belong to one of these accounts."""

    @property
    def filters_source_attributes(self) -> bool:
        """True if the query depends on attributes of the sources, not only on their ids."""
        return (self.types, self.excluded_types, self.accounts) != (None, None, None)

    @property
    def earliest_event_start(self) -> datetime:
        """The earliest start of an event that overlaps the period."""
        return self.start - self.resolution + MICROSECOND if self.resolution else self.start

    def to_json(self, number: int) -> dict[str, object]:
        """Build the row of `QUERY_RECORDSET` for this query, the `number`-th one of a request."""
        after, before = self.exclusive_bounds()
        return {
            "number": number,
            "sensor_id": self.sensor_id,
            "after": after,
            "before": before,
            "prior": None if self.prior is None else _to_utc(self.prior),
            "lead": None if self.horizon is None else f"{(self.resolution - self.horizon) // MICROSECOND} microseconds",
            "sources": self.sources,
            "types": self.types,
            "excluded_types": self.excluded_types,
            "accounts": self.accounts,
        }

    def exclusive_bounds(self) -> tuple[datetime, datetime]:
        """Return times such that the overlapping events are those that start between them, in UTC."""
        return _to_utc(self.start) - (self.resolution or MICROSECOND), _to_utc(self.end)


@dataclass(frozen=True, slots=True)
class BeliefSet:
    """Stored beliefs about a sensor, in order of event, belief time, source and probability."""

    sensor_id: int
    event_start: DatetimeArray
    belief_time: DatetimeArray
    source: NDArray[np.int32]
    probability: NDArray[np.float64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, selection: NDArray[np.bool_] | slice) -> "BeliefSet":
        """Return a subset of the beliefs."""
        return BeliefSet(
            self.sensor_id,
            self.event_start[selection],
            self.belief_time[selection],
            self.source[selection],
            self.probability[selection],
            self.values[selection],
        )


async def load_beliefs(con: Connection, queries: Sequence[SeriesQuery], *, latest: bool) -> list[BeliefSet]:
    """Load the beliefs that match each query, in the order of the queries.

    Args:
        con: A connection.
        queries: The queries, for any number of sensors.
        latest: Only load the latest belief about each event, with all its quantiles. Else load every belief.

    Raises:
        ValueError: A time of a query has no time zone.
    """
    if not queries:
        return []
    rows = await con.fetch(SELECT_LATEST_BELIEFS if latest else SELECT_ALL_BELIEFS, *query_parameters(queries))
    return [
        BeliefSet(
            sensor_id=row["sensor_id"],
            event_start=decode_timestamps(row["event_start"]),
            belief_time=decode_timestamps(row["belief_time"]),
            source=decode_int4(row["source_id"]),
            probability=decode_float4(row["cumulative_probability"]).astype(np.float64).round(PROBABILITY_DIGITS),
            values=decode_float8(row["event_value"]),
        )
        for row in rows
    ]


async def find_next_batch(
    con: Connection, sensor_id: int, start: datetime, end: datetime, max_beliefs: int
) -> tuple[datetime, datetime]:
    """Find the first part of [start, end) with known events whose beliefs can be loaded at once.

    Args:
        con: A connection.
        sensor_id: The sensor.
        start: The start of the period that is still to be loaded.
        end: Its end.
        max_beliefs: The most beliefs in the batch. It contains more only if its first event alone has more.

    Returns:
        The start and the end of the batch. It starts with the first known event; without one, it is empty and at `end`.
    """
    row = await con.fetchrow(SELECT_NEXT_BATCH, sensor_id, start, end, max_beliefs)
    assert row is not None
    first = row["first"] or end
    return first, max(row["beyond"] or end, min(first + MICROSECOND, end))


def query_parameters(queries: Sequence[SeriesQuery]) -> tuple[list[dict[str, object]], datetime, datetime]:
    """Build the first three parameters of the SQL: the queries, and the bounds of all of them together."""
    bounds = [query.exclusive_bounds() for query in queries]
    recordset = [query.to_json(number) for number, query in enumerate(queries)]
    return recordset, min(after for after, _ in bounds), max(before for _, before in bounds)


def _to_utc(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise ValueError(f"{time.isoformat()} has no time zone, so it is no moment in time.")
    return time.astimezone(UTC)


QUERY_RECORDSET = """
jsonb_to_recordset($1) as query (
    number int, sensor_id int, after timestamptz, before timestamptz, prior timestamptz, lead interval,
    sources int[], types text[], excluded_types text[], accounts int[]
)
"""
# The bounds of all queries together are an additional condition, so that TimescaleDB can exclude chunks early.
MATCHES_EVENT = """
known.sensor_id = query.sensor_id
    and known.event_start > query.after and known.event_start < query.before
    and known.event_start > $2 and known.event_start < $3
    and known.belief_time <= coalesce(query.prior, 'infinity')
    and (query.lead is null or known.belief_time <= known.event_start + query.lead)
    and (query.sources is null or known.source_id = any(query.sources))
"""
FROM_MATCHING_BELIEFS = f"""
from belief known left join source on source.id = known.source_id
where {MATCHES_EVENT}
    and (query.types is null or source.type = any(query.types))
    and (query.excluded_types is null or source.type <> all(query.excluded_types))
    and (query.accounts is null or source.account_id = any(query.accounts))
"""
"""The beliefs that match a query."""
ARRAY_COLUMNS = """
array_send(array_agg(event_start)) as event_start, array_send(array_agg(belief_time)) as belief_time,
array_send(array_agg(source_id)) as source_id,
array_send(array_agg(cumulative_probability)) as cumulative_probability,
array_send(array_agg(event_value)) as event_value
"""
"""All columns of beliefs, as arrays."""

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

FROM_EVENTS_IN_PERIOD = (
    "from belief where sensor_id = $1 and event_start >= $2 and event_start < $3 order by event_start"
)
SELECT_NEXT_BATCH = f"""
select
    (select event_start {FROM_EVENTS_IN_PERIOD} limit 1) as first,
    (select event_start {FROM_EVENTS_IN_PERIOD} offset $4 limit 1) as beyond
"""
