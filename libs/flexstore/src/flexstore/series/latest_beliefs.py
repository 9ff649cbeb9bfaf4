"""Series of latest beliefs: of every event, the one belief that takes precedence over the others.

The latest belief takes precedence; of equally recent ones, that of the newest version of a source, then that of the
newest source. Of a probabilistic belief, the value nearest to the median counts. In SQL this rule is
`belief_queries.PRECEDENCE`. `find_latest` and `resolve_ties` apply it to arrays, which is faster than sorting in the
database unless a query matches very many beliefs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flexstore.series.belief_queries import (
    ARRAY_COLUMNS,
    FROM_MATCHING_BELIEFS,
    MATCHES_EVENT,
    PRECEDENCE,
    QUERY_RECORDSET,
    SeriesQuery,
    query_parameters,
)
from flexstore.series.binary_format import (
    DatetimeArray,
    decode_float4,
    decode_float8,
    decode_int4,
    decode_timestamps,
)
from flexstore.store import Connection

MAX_CANDIDATES = 250_000
"""The most beliefs of one series that are loaded to choose from. If there are more, the database chooses, which takes
longer."""

type Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Series:
    """The known events of a sensor in order, with the latest belief about each. Unknown events are absent."""

    sensor_id: int
    event_start: DatetimeArray
    values: NDArray[np.float64]
    belief_time: DatetimeArray
    source: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.values)


class SensorValue(NamedTuple):
    """The value of one event of a sensor, by the latest belief."""

    sensor_id: int
    event_start: datetime
    belief_time: datetime
    source_id: int
    value: float


async def load_series(con: Connection, queries: Sequence[SeriesQuery]) -> list[Series]:
    """Load one series per query, in the order of the queries.

    Raises:
        ValueError: A time of a query has no time zone.
    """
    if not queries:
        return []
    if not any(query.filters_source_attributes for query in queries):
        series = await _load_and_choose(con, queries)
        if series is not None:
            return series
    return [
        Series(
            sensor_id=row["sensor_id"],
            event_start=decode_timestamps(row["event_start"]),
            values=decode_float8(row["event_value"]),
            belief_time=decode_timestamps(row["belief_time"]),
            source=decode_int4(row["source_id"]),
        )
        for row in await con.fetch(SELECT_SERIES, *query_parameters(queries))
    ]


async def load_latest_values(
    con: Connection, sensor_ids: Sequence[int], at: datetime | None = None, prior: datetime | None = None
) -> dict[int, SensorValue]:
    """Load the last known event of each sensor.

    Args:
        con: A connection.
        sensor_ids: The sensors.
        at: Only events that start at this time or before.
        prior: Only beliefs with this belief time or an earlier one.

    Returns:
        The values by sensor id. Sensors without a known event are absent.
    """
    rows = await con.fetch(SELECT_LATEST_VALUES, list(sensor_ids), at, prior)
    return {row["sensor_id"]: SensorValue(*row) for row in rows}


async def load_nearest_value(
    con: Connection, sensor_id: int, at: datetime, radius: timedelta, prior: datetime | None = None
) -> SensorValue | None:
    """Load the known event of a sensor that starts nearest to a time. Of two equally near ones, it is the later.

    Args:
        con: A connection.
        sensor_id: The sensor.
        at: The time.
        radius: The largest distance from `at`.
        prior: Only beliefs with this belief time or an earlier one.
    """
    row = await con.fetchrow(SELECT_NEAREST_VALUE, sensor_id, at, radius, prior)
    return None if row is None else SensorValue(*row)


@dataclass(frozen=True, slots=True)
class CandidateBeliefs:
    """All beliefs that match a query, in order of event, belief time, source and probability."""

    event_start: DatetimeArray
    belief_time: DatetimeArray
    source: NDArray[np.int32]
    probability: NDArray[np.float32]
    values: NDArray[np.float64]


async def _load_and_choose(con: Connection, queries: Sequence[SeriesQuery]) -> list[Series] | None:
    """Load every matching belief and choose among them in arrays. None if there are too many."""
    candidates = [
        CandidateBeliefs(
            event_start=decode_timestamps(row["event_start"]),
            belief_time=decode_timestamps(row["belief_time"]),
            source=decode_int4(row["source_id"]),
            probability=decode_float4(row["cumulative_probability"]),
            values=decode_float8(row["event_value"]),
        )
        for row in await con.fetch(SELECT_CANDIDATES, *query_parameters(queries), MAX_CANDIDATES)
    ]
    if any(len(beliefs.values) == MAX_CANDIDATES for beliefs in candidates):
        return None
    found = [find_latest(beliefs) for beliefs in candidates]
    tied = {
        source for beliefs, (_, ties) in zip(candidates, found, strict=True) for source in beliefs.source[ties].tolist()
    }
    ranks = {row["id"]: row["rank"] for row in await con.fetch(SELECT_SOURCE_RANKS, list(tied))} if tied else {}
    return [
        _to_series(query.sensor_id, beliefs, resolve_ties(beliefs, last, ties, ranks) if len(ties) else last)
        for query, beliefs, (last, ties) in zip(queries, candidates, found, strict=True)
    ]


def _to_series(sensor_id: int, beliefs: CandidateBeliefs, chosen: Indices) -> Series:
    if len(chosen) == len(beliefs.values):
        return Series(sensor_id, beliefs.event_start, beliefs.values, beliefs.belief_time, beliefs.source)
    return Series(
        sensor_id,
        beliefs.event_start[chosen],
        beliefs.values[chosen],
        beliefs.belief_time[chosen],
        beliefs.source[chosen],
    )


def find_latest(beliefs: CandidateBeliefs) -> tuple[Indices, Indices]:
    """Find the latest belief about each event, and ties.

    Returns:
        The index of the last belief about each event, and the indices of all beliefs about events for which several are
        equally recent. There are ties if several sources have the same belief time, or for probabilistic beliefs.
    """
    ends = np.ones(len(beliefs.values), np.bool_)
    ends[:-1] = beliefs.event_start[1:] != beliefs.event_start[:-1]
    last = np.flatnonzero(ends)
    if len(last) == len(ends):
        return last, last[:0]
    event = np.cumsum(ends) - ends
    as_recent = beliefs.belief_time == beliefs.belief_time[last][event]
    tied = np.bincount(event[as_recent], minlength=len(last)) > 1
    return last, np.flatnonzero(as_recent & tied[event])


def resolve_ties(beliefs: CandidateBeliefs, last: Indices, ties: Indices, ranks: dict[int, int]) -> Indices:
    """Choose one belief per event, given ties.

    Args:
        beliefs: The beliefs.
        last: The index of the last belief about each event.
        ties: The indices of equally recent beliefs.
        ranks: The rank of each source among the ties; the highest takes precedence.

    Returns:
        The index of the belief about each event that takes precedence.
    """
    probability = beliefs.probability[ties].astype(np.float64)
    rank = np.array([ranks[source] for source in beliefs.source[ties].tolist()])
    order = ties[np.lexsort((probability, np.abs(probability - 0.5), -rank, beliefs.event_start[ties]))]
    starts = beliefs.event_start[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = starts[1:] != starts[:-1]
    chosen = last.copy()
    chosen[np.searchsorted(beliefs.event_start[last], starts[first])] = order[first]
    return chosen


SELECT_CANDIDATES = f"""
select found.*
from {QUERY_RECORDSET}
cross join lateral (
    select {ARRAY_COLUMNS}
    from (
        select known.* from belief known where {MATCHES_EVENT}
        order by known.event_start, known.belief_time, known.source_id, known.cumulative_probability
        limit $4
    ) known
) found
order by query.number
"""  # noqa: S608 - put together from constants
SELECT_SOURCE_RANKS = """
select id, row_number() over (order by version_order nulls first, id) as rank
from unnest($1::int[]) id left join source using (id)
"""

SELECT_SERIES = f"""
select query.sensor_id, found.*
from {QUERY_RECORDSET}
cross join lateral (
    select
        array_send(array_agg(event_start)) as event_start, array_send(array_agg(event_value)) as event_value,
        array_send(array_agg(belief_time)) as belief_time, array_send(array_agg(source_id)) as source_id
    from (
        select distinct on (known.event_start)
            known.event_start, known.event_value, known.belief_time, known.source_id
        {FROM_MATCHING_BELIEFS}
        order by known.event_start, {PRECEDENCE}
    ) best
) found
order by query.number
"""  # noqa: S608 - put together from constants


def _first_event_sql(sensor: str, prior: str, condition: str, direction: str) -> str:
    """Build SQL for the first event in this direction whose start meets a condition, with its latest belief."""
    return f"""
        select known.sensor_id, known.event_start, known.belief_time, known.source_id, known.event_value
        from belief known left join source on source.id = known.source_id
        where known.sensor_id = {sensor} and known.event_start {condition}
            and known.belief_time <= coalesce({prior}::timestamptz, 'infinity')
        order by known.event_start {direction}, {PRECEDENCE}
        limit 1
    """  # noqa: S608 - put together from constants


SELECT_LATEST_VALUES = f"""
select latest.* from unnest($1::int[]) as requested (sensor_id) cross join lateral (
    {_first_event_sql("requested.sensor_id", "$3", "<= coalesce($2::timestamptz, 'infinity')", "desc")}
) latest
"""  # noqa: S608 - put together from constants

SELECT_NEAREST_VALUE = f"""
select * from (
    ({_first_event_sql("$1", "$4", "between $2::timestamptz - $3::interval and $2", "desc")})
    union all
    ({_first_event_sql("$1", "$4", "between $2 and $2::timestamptz + $3::interval", "asc")})
) nearby
order by greatest(event_start - $2, $2 - event_start), event_start desc
limit 1
"""  # noqa: S608 - put together from constants
