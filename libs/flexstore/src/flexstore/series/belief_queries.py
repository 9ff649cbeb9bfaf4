"""Reading series: of every event the belief that counts, for any number of sensors in one query."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flexstore.series.binary_format import DatetimeArray, decode_float4, decode_float8, decode_int4, decode_timestamps
from flexstore.series.counting import CandidateBeliefs, find_latest, resolve_ties
from flexstore.store import Connection

MICROSECOND = timedelta(microseconds=1)
MAX_CANDIDATES = 250_000
"""So many beliefs of one series are read to choose from. Of more, the database chooses, which takes longer."""

SOURCE_PRECEDENCE = "known.belief_time desc, source.version_order desc nulls last, known.source_id desc"
"""Which belief counts: the most recent, then the newest version, then the newest source."""
PRECEDENCE = f"{SOURCE_PRECEDENCE}, abs(known.cumulative_probability - 0.5), known.cumulative_probability"
"""Which value of it counts: of a spread, the middle."""


@dataclass(frozen=True, slots=True)
class SeriesQuery:
    """The events of a sensor that overlap [start, end), as they were known."""

    sensor_id: int
    start: datetime
    end: datetime
    resolution: timedelta = timedelta(0)
    """How long the sensor's events last; zero for decode_timestamps."""
    prior: datetime | None = None
    """Only what was believed at this time or before."""
    horizon: timedelta | None = None
    """Only what was believed at least this long before the end of the event; negative: up to so long after."""
    sources: Sequence[int] | None = None
    types: Sequence[str] | None = None
    excluded_types: Sequence[str] | None = None
    accounts: Sequence[int] | None = None
    """Only beliefs of sources that belong to one of these accounts."""

    @property
    def filters_source_attributes(self) -> bool:
        """Whether more has to be known of the sources than which they are."""
        return (self.types, self.excluded_types, self.accounts) != (None, None, None)

    @property
    def earliest_event_start(self) -> datetime:
        """The earliest start of an event that overlaps."""
        return self.start - self.resolution + MICROSECOND if self.resolution else self.start

    def to_json(self, number: int) -> dict[str, Any]:
        return {
            "number": number,
            "sensor_id": self.sensor_id,
            "after": _to_utc(self.start) - (self.resolution or MICROSECOND),
            "before": _to_utc(self.end),
            "prior": None if self.prior is None else _to_utc(self.prior),
            "lead": None if self.horizon is None else f"{(self.resolution - self.horizon) // MICROSECOND} microseconds",
            "sources": self.sources,
            "types": self.types,
            "excluded_types": self.excluded_types,
            "accounts": self.accounts,
        }


@dataclass(frozen=True, slots=True)
class Series:
    """The known events of a sensor in order, and for each the belief that counts. What is not known is not here."""

    sensor_id: int
    event_start: DatetimeArray
    values: NDArray[np.float64]
    belief_time: DatetimeArray
    source: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.values)


async def load_series(con: Connection, queries: Sequence[SeriesQuery]) -> list[Series]:
    """The series asked for, in the order of the queries."""
    if not queries:
        return []
    if not any(query.filters_source_attributes for query in queries):
        found = await _load_and_choose(con, queries)
        if found is not None:
            return found
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


async def _load_and_choose(con: Connection, queries: Sequence[SeriesQuery]) -> list[Series] | None:
    """Read every belief, and choose here: quicker than letting the database sort. None if that is too many of them."""
    known = [
        CandidateBeliefs(
            event_start=decode_timestamps(row["event_start"]),
            belief_time=decode_timestamps(row["belief_time"]),
            source=decode_int4(row["source_id"]),
            probability=decode_float4(row["cumulative_probability"]),
            values=decode_float8(row["event_value"]),
        )
        for row in await con.fetch(SELECT_CANDIDATES, *query_parameters(queries), MAX_CANDIDATES)
    ]
    if any(len(beliefs.values) == MAX_CANDIDATES for beliefs in known):
        return None
    places = [find_latest(beliefs) for beliefs in known]
    contested = {
        source for beliefs, (_, rivals) in zip(known, places, strict=True) for source in beliefs.source[rivals].tolist()
    }
    ranks = (
        {row["id"]: row["rank"] for row in await con.fetch(SELECT_SOURCE_RANKS, list(contested))} if contested else {}
    )
    return [
        _series(query.sensor_id, beliefs, resolve_ties(beliefs, last, rivals, ranks) if len(rivals) else last)
        for query, beliefs, (last, rivals) in zip(queries, known, places, strict=True)
    ]


def _series(sensor_id: int, known: CandidateBeliefs, places: NDArray[np.intp]) -> Series:
    if len(places) == len(known.values):
        return Series(sensor_id, known.event_start, known.values, known.belief_time, known.source)
    return Series(
        sensor_id, known.event_start[places], known.values[places], known.belief_time[places], known.source[places]
    )


async def find_next_batch(
    con: Connection, sensor_id: int, start: datetime, end: datetime, count: int
) -> tuple[datetime, datetime]:
    """The first stretch of [start, end) in which something is known, with at most `count` beliefs in it.

    It begins with the first known event, and holds more only if that event alone has more. With no event left it is
    empty, at the end.
    """
    row = await con.fetchrow(SELECT_NEXT_BATCH, sensor_id, start, end, count)
    assert row is not None
    first = row["first"] or end
    return first, max(row["beyond"] or end, min(first + MICROSECOND, end))


def query_parameters(queries: Sequence[SeriesQuery]) -> tuple[list[dict[str, Any]], datetime, datetime]:
    """The parameters of the SQL: what is asked, and the span of time of all of it."""
    asked = [query.to_json(number) for number, query in enumerate(queries)]
    return asked, min(query["after"] for query in asked), max(query["before"] for query in asked)


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
# The span of time of all queries is said once more as such, so that TimescaleDB knows at once where to look.
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
"""The beliefs that a query is about."""
ARRAY_COLUMNS = """
array_send(array_agg(event_start)) as event_start, array_send(array_agg(belief_time)) as belief_time,
array_send(array_agg(source_id)) as source_id,
array_send(array_agg(cumulative_probability)) as cumulative_probability,
array_send(array_agg(event_value)) as event_value
"""
"""All that is known of a belief, as arrays."""

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

FROM_EVENTS_IN_PERIOD = (
    "from belief where sensor_id = $1 and event_start >= $2 and event_start < $3 order by event_start"
)
SELECT_NEXT_BATCH = f"""
select
    (select event_start {FROM_EVENTS_IN_PERIOD} limit 1) as first,
    (select event_start {FROM_EVENTS_IN_PERIOD} offset $4 limit 1) as beyond
"""
