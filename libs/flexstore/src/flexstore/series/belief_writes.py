"""Writes to the table of beliefs: insert or update, by any number of concurrent writers, and delete."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg
import numpy as np
from flexmodel.time import moment_of
from numpy.typing import NDArray
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from flexstore.series.belief_batch import (
    KEY_COLUMNS,
    BeliefBatch,
    split_by_chunk,
    split_revisions,
    to_datetime64,
    to_rows,
)
from flexstore.series.belief_conflicts import WriteOutcome, classify, delete_replaced, has_probabilistic
from flexstore.series.binary_format import COLUMNS, ROW_DTYPE, BeliefRows, decode_rows, encode_copy, to_datetimes
from flexstore.store import Connection

MAX_INLINE_ROWS = 100
"""Up to this number, one statement with the rows as parameters is faster than COPY."""
MAX_STORED_PER_ROW = 3
MAX_STORED = 200_000
"""The most stored beliefs (per new one, and in total) that are loaded and compared in arrays, which is fastest. If
there are more, the database compares them, which needs less memory."""
TRANSIENT_ERRORS = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
LATE_AFTER = timedelta(days=7)
"""Changes to events older than this may change a day that is already rolled up, see `flexstore.daily_rollups`."""


@dataclass(frozen=True, slots=True)
class WriteCounts:
    """The number of written beliefs by outcome. Each belief is counted once."""

    new: int = 0
    changed: int = 0
    """The same belief was stored with another value, and now has this one."""
    unchanged: int = 0
    """The belief was stored already, or repeats its source's previous belief while no other belief came between."""

    def __add__(self, other: "WriteCounts") -> "WriteCounts":
        return WriteCounts(self.new + other.new, self.changed + other.changed, self.unchanged + other.unchanged)


async def write_beliefs(con: Connection, beliefs: BeliefBatch) -> WriteCounts:
    """Store beliefs, all or none. Within a transaction of the caller, they are part of it.

    A belief whose key is stored already replaces its value. Single values that repeat their source's previous belief
    about the event are not stored again.

    Raises:
        Invalid: A value is larger than `LARGEST_VALUE`.
    """
    rows = to_rows(beliefs)
    if not len(rows):
        return WriteCounts()
    # Only single values can be redundant repetitions. A probabilistic belief is stored as a whole or not at all, and of
    # several sources with the same belief time, one takes precedence.
    probabilistic = has_probabilistic(rows)
    deduplicate = not probabilistic and bool((rows["source_id"] == rows["source_id"][0]).all())
    parts = split_revisions(rows) if deduplicate else [rows]
    one_statement = (
        len(rows) <= MAX_INLINE_ROWS and len(parts) == 1 and not probabilistic and not con.is_in_transaction()
    )

    async def attempt() -> WriteCounts:
        async with nullcontext() if one_statement else con.transaction():
            if probabilistic:
                await delete_replaced(con, rows)
                await _mark_due(con, rows)
            return await _write_parts(con, parts, deduplicate)

    # Rows are written in the order of their key, so that concurrent writers wait for each other instead of deadlocking.
    # The retry is for other causes: locks of the caller, or chunks that TimescaleDB creates.
    try:
        return await attempt()
    except TRANSIENT_ERRORS:
        retry = AsyncRetrying(
            retry=retry_if_exception_type(TRANSIENT_ERRORS),
            wait=wait_random_exponential(0.05, max=1.0),
            stop=stop_after_attempt(4),
            reraise=True,
        )
        return await retry(attempt)


async def delete_beliefs(
    con: Connection,
    sensor_id: int,
    start: datetime | None = None,
    end: datetime | None = None,
    source_id: int | None = None,
) -> int:
    """Delete beliefs about the events of a sensor that start in [start, end), and have their days rolled up again.

    Args:
        con: A connection.
        sensor_id: The sensor.
        start: The start of the period. None: from the first event.
        end: The end of the period. None: to the last event.
        source_id: Only delete beliefs of this source. None: of every source.

    Returns:
        The number of deleted beliefs.
    """
    deleted: int = await con.fetchval(DELETE_BELIEFS, sensor_id, start, end, source_id)
    return deleted


async def delete_all_beliefs(con: Connection, sensor_ids: Sequence[int]) -> None:
    """Delete all beliefs about sensors that are deleted in the same transaction.

    Beliefs have no foreign keys. A trigger on the sensors also deletes their beliefs and rollups; deleting the beliefs
    by id beforehand leaves it little to search for. To delete data of sensors that stay, use `delete_beliefs`, which
    has the days rolled up again.
    """
    await con.execute(DELETE_ALL_BELIEFS, list(sensor_ids))


async def _write_parts(con: Connection, parts: Sequence[BeliefRows], deduplicate: bool) -> WriteCounts:
    written = WriteCounts()
    for part in parts:
        written += await _write_part(con, part, deduplicate)
    return written


async def _write_part(con: Connection, rows: BeliefRows, deduplicate: bool) -> WriteCounts:
    if len(rows) <= MAX_INLINE_ROWS:
        columns = (to_datetimes(rows[name]) if ROW_DTYPE[name].kind == "M" else rows[name].tolist() for name in COLUMNS)
        statement = UPSERT_INLINE_LATE if _has_late(rows) else UPSERT_INLINE
        return _to_counts(await con.fetchrow(statement, deduplicate, *_time_span(rows), *columns))
    written = await _write_many(con, rows, deduplicate)
    if written.new or written.changed:
        await _mark_due(con, rows)
    return written


async def _mark_due(con: Connection, rows: BeliefRows) -> None:
    """Mark the days of late rows as due, because they may be rolled up already."""
    if _has_late(rows):
        await con.execute(INSERT_DUE, *_sensor_spans(rows))


def _has_late(rows: BeliefRows) -> bool:
    return bool(rows["event_start"].min() < to_datetime64(datetime.now(UTC) - LATE_AFTER))


def _time_span(rows: BeliefRows) -> list[datetime]:
    starts = rows["event_start"]
    return to_datetimes(np.array([starts.min(), starts.max()]))


def _sensor_spans(rows: BeliefRows) -> tuple[list[int], list[datetime], list[datetime]]:
    """Return the sensors, and the first and last event of each, of rows in the order of the key."""
    sensors, first = np.unique(rows["sensor_id"], return_index=True)
    last = np.append(first[1:], len(rows)) - 1
    return sensors.tolist(), to_datetimes(rows["event_start"][first]), to_datetimes(rows["event_start"][last])


async def _write_many(con: Connection, rows: BeliefRows, deduplicate: bool) -> WriteCounts:
    span = _time_span(rows)
    stored = await _load_stored(con, rows, span)
    if stored is not None:
        written = await _write_classified(con, rows, classify(rows, stored, deduplicate))
        if written is not None:
            return written
    chunks = split_by_chunk(rows)
    if len(chunks) > 1:
        written = WriteCounts()
        for chunk in chunks:
            written += await _write_many(con, chunk, deduplicate)
        return written
    async with _staging_table(con, rows):
        return _to_counts(await con.fetchrow(UPSERT_STAGED_COMPARED, deduplicate, *span))


async def _load_stored(con: Connection, rows: BeliefRows, span: list[datetime]) -> BeliefRows | None:
    """Load the stored beliefs about the period of the rows, in the order of the key. None if there are too many."""
    limit = min(MAX_STORED_PER_ROW * len(rows), MAX_STORED)
    record = await con.fetchrow(
        SELECT_STORED_IN_SPAN, *_sensor_spans(rows), *span, moment_of(rows["belief_time"].max()), limit
    )
    assert record is not None
    stored = decode_rows(dict(record))
    return stored if len(stored) < limit else None


async def _write_classified(con: Connection, rows: BeliefRows, outcomes: NDArray[np.uint8]) -> WriteCounts | None:
    """Store the new and changed rows. None if another writer stored one of them meanwhile: then compare again."""
    written = WriteCounts(*np.bincount(outcomes, minlength=len(WriteOutcome)).tolist())
    missing = rows[outcomes != WriteOutcome.UNCHANGED]
    if written.changed:
        async with _staging_table(con, missing):
            await con.execute(UPSERT_STAGED)
    elif len(missing) and not await _copy_into_beliefs(con, missing):
        return None
    return written


@asynccontextmanager
async def _staging_table(con: Connection, rows: BeliefRows) -> AsyncIterator[None]:
    """Provide the rows in a temporary table named `incoming`."""
    await con.execute("create temp table incoming (like belief) on commit drop")
    await con.copy_to_table("incoming", source=encode_copy(rows), columns=COLUMNS, format="binary")
    yield
    await con.execute("drop table incoming")


async def _copy_into_beliefs(con: Connection, rows: BeliefRows) -> bool:
    """Copy rows directly into the table, the fastest way. False if another writer has stored one of them."""
    try:
        async with con.transaction():
            await con.copy_to_table("belief", source=encode_copy(rows), columns=COLUMNS, format="binary")
    except asyncpg.UniqueViolationError:
        return False
    return True


def _to_counts(record: asyncpg.Record | None) -> WriteCounts:
    assert record is not None
    return WriteCounts(*record)


MARK_DUE = """
due as (
    insert into belief_day_due (sensor_id, first_event, last_event)
    select sensor_id, min(event_start), max(event_start) from {changed} group by sensor_id
)
"""
"""A subquery that marks the days changed by the same statement as due for rollup."""

# Here and below, the time span of all rows is an additional condition: it lets TimescaleDB exclude chunks early.
SELECT_STORED_IN_SPAN = f"""
select {", ".join(f"array_send(array_agg({name})) as {name}" for name in COLUMNS)}
from (
    select stored.*
    from unnest($1::int[], $2::timestamptz[], $3::timestamptz[]) as span (sensor_id, first, last)
    cross join lateral (
        select {", ".join(COLUMNS)} from belief
        where belief.sensor_id = span.sensor_id and belief.event_start between span.first and span.last
            and belief.event_start between $4 and $5 and belief.belief_time <= $6
        order by {", ".join(KEY_COLUMNS)}
    ) stored
    limit $7
) stored
"""  # noqa: S608 - put together from constants

UPSERT_STAGED = f"""
insert into belief ({", ".join(COLUMNS)}) select {", ".join(COLUMNS)} from incoming
on conflict ({", ".join(KEY_COLUMNS)}) do update set event_value = excluded.event_value
    where belief.event_value is distinct from excluded.event_value
"""  # noqa: S608 - put together from constants

# Each row is compared with the stored beliefs about its event up to its belief time: with the same belief if there is
# one, else with the previous one. Of several previous ones at one belief time, one that cannot be repeated is taken:
# one of another source, or of a probabilistic belief.
UPSERT = """
with compared as materialized (
    select incoming.*,
        case
            when before.same and before.event_value = incoming.event_value then 'unchanged'
            when before.same then 'changed'
            when $1::bool and before.belief_time < incoming.belief_time and before.repeatable
                and before.event_value = incoming.event_value then 'unchanged'
            else 'new'
        end as outcome
    from {incoming}
    left join lateral (
        select stored.belief_time, stored.event_value,
            (stored.belief_time, stored.source_id, stored.cumulative_probability)
                = (incoming.belief_time, incoming.source_id, incoming.cumulative_probability) as same,
            stored.source_id = incoming.source_id and stored.cumulative_probability = 0.5 as repeatable
        from belief stored
        where stored.sensor_id = incoming.sensor_id and stored.event_start = incoming.event_start
            and stored.belief_time <= incoming.belief_time and stored.event_start between $2 and $3
        order by stored.belief_time desc, same desc, repeatable
        limit 1
    ) before on true
),
upserted as (
    insert into belief ({columns})
    select {columns} from compared where outcome <> 'unchanged'
    on conflict ({key}) do update set event_value = excluded.event_value
        where belief.event_value is distinct from excluded.event_value
){due}
select count(*) filter (where outcome = 'new'), count(*) filter (where outcome = 'changed'),
    count(*) filter (where outcome = 'unchanged')
from compared
"""
UPSERT_STAGED_COMPARED = UPSERT.format(
    columns=", ".join(COLUMNS), key=", ".join(KEY_COLUMNS), incoming="incoming", due=""
)
# Arrays from a subquery look the same to the planner, whatever they contain. So it keeps one generic plan instead of
# making a new one each time, which would take longer than everything else together.
INLINE_ROWS = f"""
unnest(
    (select $4::int[]), (select $5::timestamptz[]), (select $6::timestamptz[]), (select $7::int[]), (select $8::real[]),
    (select $9::float8[])
) as incoming ({", ".join(COLUMNS)})
"""
UPSERT_INLINE = UPSERT.format(columns=", ".join(COLUMNS), key=", ".join(KEY_COLUMNS), incoming=INLINE_ROWS, due="")
UPSERT_INLINE_LATE = UPSERT.format(
    columns=", ".join(COLUMNS),
    key=", ".join(KEY_COLUMNS),
    incoming=INLINE_ROWS,
    due=f", {MARK_DUE.format(changed="compared where outcome <> 'unchanged'")}",
)
INSERT_DUE = """
insert into belief_day_due (sensor_id, first_event, last_event)
select * from unnest($1::int[], $2::timestamptz[], $3::timestamptz[])
"""

DELETE_BELIEFS = f"""
with deleted as (
    delete from belief where sensor_id = $1 and event_start >= coalesce($2::timestamptz, '-infinity')
        and event_start < coalesce($3::timestamptz, 'infinity') and ($4::int is null or source_id = $4)
    returning sensor_id, event_start
), {MARK_DUE.format(changed="deleted")}
select count(*) from deleted
"""  # noqa: S608 - put together from constants
DELETE_ALL_BELIEFS = "delete from belief where sensor_id = any($1::int[])"
