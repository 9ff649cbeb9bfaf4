"""Storing beliefs, few or millions, from any number of writers at once."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg
import numpy as np
from flexmodel.time import moment_of
from numpy.typing import NDArray
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from flexstore.series.belief_batch import (
    KEY_COLUMNS,
    LATE_AFTER,
    MARK_DUE,
    BeliefBatch,
    split_by_chunk,
    split_revisions,
    to_datetime64,
    to_rows,
)
from flexstore.series.belief_conflicts import WriteOutcome, classify
from flexstore.series.binary_format import COLUMNS, ROW_DTYPE, BeliefRows, decode_rows, encode_copy, to_datetimes
from flexstore.series.taking_back import delete_replaced, has_distributions
from flexstore.store import Connection

MAX_INLINE_ROWS = 100
"""Up to here one statement with the rows in it is quicker than COPY."""
MAX_STORED_PER_ROW = 3
MAX_STORED = 200_000
"""So many known beliefs (per new one, and in all) are read and compared here, the quickest way. Of more, in less
memory, the database finds those that matter."""
TRANSIENT_ERRORS = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)


@dataclass(frozen=True, slots=True)
class WriteCounts:
    """What became of the beliefs that were written, each counted once."""

    new: int = 0
    changed: int = 0
    """The same belief was there with another value, and now has this one."""
    unchanged: int = 0
    """Nothing new: it was there, or repeats what its source said before while nobody has said otherwise since."""

    def __add__(self, other: "WriteCounts") -> "WriteCounts":
        return WriteCounts(self.new + other.new, self.changed + other.changed, self.unchanged + other.unchanged)


async def write_beliefs(con: Connection, beliefs: BeliefBatch) -> WriteCounts:
    """Store beliefs, all or none. Inside a transaction of the caller's they are part of it."""
    rows = to_rows(beliefs)
    if not len(rows):
        return WriteCounts()
    # Only a single value that repeats what was believed last is superfluous. A spread of values is one belief, whole or
    # not at all; and of several sources that speak at the same time one counts more than the other.
    spread = has_distributions(rows)
    plain = not spread and bool((rows["source_id"] == rows["source_id"][0]).all())
    parts = split_revisions(rows) if plain else [rows]
    alone = len(rows) <= MAX_INLINE_ROWS and len(parts) == 1 and not spread and not con.is_in_transaction()

    async def attempt() -> WriteCounts:
        async with nullcontext() if alone else con.transaction():
            if spread:
                await delete_replaced(con, rows)
                await _mark_due(con, rows)
            return await _write_parts(con, parts, plain)

    # Rows are written in the order of their key, so that writers wait for one another rather than lock up. The retry is
    # for what else a transaction does: a caller's own locks, or chunks that TimescaleDB makes on the way.
    try:
        return await attempt()
    except TRANSIENT_ERRORS:
        again = AsyncRetrying(
            retry=retry_if_exception_type(TRANSIENT_ERRORS),
            wait=wait_random_exponential(0.05, max=1.0),
            stop=stop_after_attempt(4),
            reraise=True,
        )
        return await again(attempt)


async def _write_parts(con: Connection, parts: Sequence[BeliefRows], plain: bool) -> WriteCounts:
    written = WriteCounts()
    for part in parts:
        written += await _write_part(con, part, plain)
    return written


async def _write_part(con: Connection, rows: BeliefRows, plain: bool) -> WriteCounts:
    if len(rows) <= MAX_INLINE_ROWS:
        columns = (to_datetimes(rows[name]) if ROW_DTYPE[name].kind == "M" else rows[name].tolist() for name in COLUMNS)
        statement = UPSERT_FEW_LATE if _is_late(rows) else UPSERT_FEW
        return _to_counts(await con.fetchrow(statement, plain, *_time_span(rows), *columns))
    written = await _write_many(con, rows, plain)
    if written.new or written.changed:
        await _mark_due(con, rows)
    return written


async def _mark_due(con: Connection, rows: BeliefRows) -> None:
    """These days may be summed up already, and have to be again."""
    if _is_late(rows):
        await con.execute(INSERT_DUE, *_sensor_spans(rows))


def _is_late(rows: BeliefRows) -> bool:
    return bool(rows["event_start"].min() < to_datetime64(datetime.now(UTC) - LATE_AFTER))


def _time_span(rows: BeliefRows) -> list[datetime]:
    starts = rows["event_start"]
    return to_datetimes(np.array([starts.min(), starts.max()]))


def _sensor_spans(rows: BeliefRows) -> tuple[list[int], list[datetime], list[datetime]]:
    """The sensors and for each its first and last event, of rows in the order of the key."""
    sensors, first = np.unique(rows["sensor_id"], return_index=True)
    last = np.append(first[1:], len(rows)) - 1
    return sensors.tolist(), to_datetimes(rows["event_start"][first]), to_datetimes(rows["event_start"][last])


async def _write_many(con: Connection, rows: BeliefRows, plain: bool) -> WriteCounts:
    span = _time_span(rows)
    known = await _load_stored(con, rows, span)
    if known is not None:
        written = await _write_classified(con, rows, classify(rows, known, plain))
        if written is not None:
            return written
    chunks = split_by_chunk(rows)
    if len(chunks) > 1:
        written = WriteCounts()
        for chunk in chunks:
            written += await _write_many(con, chunk, plain)
        return written
    async with _staging_table(con, rows):
        return _to_counts(await con.fetchrow(UPSERT_MANY, plain, *span))


async def _load_stored(con: Connection, rows: BeliefRows, span: list[datetime]) -> BeliefRows | None:
    """What is known of the time that the rows span, in the order of the key. None if that is too much to look at."""
    most = min(MAX_STORED_PER_ROW * len(rows), MAX_STORED)
    found = await con.fetchrow(STORED_IN_SPAN, *_sensor_spans(rows), *span, moment_of(rows["belief_time"].max()), most)
    assert found is not None
    known = decode_rows(dict(found))
    return known if len(known) < most else None


async def _write_classified(con: Connection, rows: BeliefRows, verdicts: NDArray[np.uint8]) -> WriteCounts | None:
    """Store what is not yet there. None when another writer has just been quicker, so that we have to look again."""
    written = WriteCounts(*np.bincount(verdicts, minlength=len(WriteOutcome)).tolist())
    missing = rows[verdicts != WriteOutcome.UNCHANGED]
    if written.changed:
        async with _staging_table(con, missing):
            await con.execute(UPSERT_STAGED)
    elif len(missing) and not await _copy_into_beliefs(con, missing):
        return None
    return written


@asynccontextmanager
async def _staging_table(con: Connection, rows: BeliefRows) -> AsyncIterator[None]:
    """The rows in a table of their own, named incoming."""
    await con.execute("create temp table incoming (like belief) on commit drop")
    await con.copy_to_table("incoming", source=encode_copy(rows), columns=COLUMNS, format="binary")
    yield
    await con.execute("drop table incoming")


async def _copy_into_beliefs(con: Connection, rows: BeliefRows) -> bool:
    """Copy right into the table, the quickest way. False when another writer got there first with one of the rows."""
    try:
        async with con.transaction():
            await con.copy_to_table("belief", source=encode_copy(rows), columns=COLUMNS, format="binary")
    except asyncpg.UniqueViolationError:
        return False
    return True


def _to_counts(counts: asyncpg.Record | None) -> WriteCounts:
    assert counts is not None
    return WriteCounts(*counts)


# Here and below, the span of time of all rows is said once more as such: it tells TimescaleDB at once where to look.
STORED_IN_SPAN = f"""
select {", ".join(f"array_send(array_agg({name})) as {name}" for name in COLUMNS)}
from (
    select known.*
    from unnest($1::int[], $2::timestamptz[], $3::timestamptz[]) as span (sensor_id, first, last)
    cross join lateral (
        select {", ".join(COLUMNS)} from belief
        where belief.sensor_id = span.sensor_id and belief.event_start between span.first and span.last
            and belief.event_start between $4 and $5 and belief.belief_time <= $6
        order by {", ".join(KEY_COLUMNS)}
    ) known
    limit $7
) known
"""  # noqa: S608 - put together from constants

UPSERT_STAGED = f"""
insert into belief ({", ".join(COLUMNS)}) select {", ".join(COLUMNS)} from incoming
on conflict ({", ".join(KEY_COLUMNS)}) do update set event_value = excluded.event_value
    where belief.event_value is distinct from excluded.event_value
"""  # noqa: S608 - put together from constants

# Each row is compared with what was believed of the event until then: with the same belief if it is there, else with
# the one before it. Of several before it at one time, one that cannot be repeated is taken: another source's, or one of
# a spread of values.
UPSERT = """
with compared as materialized (
    select incoming.*,
        case
            when before.same and before.event_value = incoming.event_value then 'unchanged'
            when before.same then 'changed'
            when $1::bool and before.belief_time < incoming.belief_time and before.repeatable
                and before.event_value = incoming.event_value then 'unchanged'
            else 'new'
        end as verdict
    from {incoming}
    left join lateral (
        select known.belief_time, known.event_value,
            (known.belief_time, known.source_id, known.cumulative_probability)
                = (incoming.belief_time, incoming.source_id, incoming.cumulative_probability) as same,
            known.source_id = incoming.source_id and known.cumulative_probability = 0.5 as repeatable
        from belief known
        where known.sensor_id = incoming.sensor_id and known.event_start = incoming.event_start
            and known.belief_time <= incoming.belief_time and known.event_start between $2 and $3
        order by known.belief_time desc, same desc, repeatable
        limit 1
    ) before on true
),
stored as (
    insert into belief ({columns})
    select {columns} from compared where verdict <> 'unchanged'
    on conflict ({key}) do update set event_value = excluded.event_value
        where belief.event_value is distinct from excluded.event_value
){due}
select count(*) filter (where verdict = 'new'), count(*) filter (where verdict = 'changed'),
    count(*) filter (where verdict = 'unchanged')
from compared
"""
UPSERT_MANY = UPSERT.format(columns=", ".join(COLUMNS), key=", ".join(KEY_COLUMNS), incoming="incoming", due="")
# Arrays that come from a subquery look the same to the planner whatever they hold. So it keeps one plan for all, and
# does not make a new one each time, which would take longer than all else together.
FEW_ROWS = f"""
unnest(
    (select $4::int[]), (select $5::timestamptz[]), (select $6::timestamptz[]), (select $7::int[]), (select $8::real[]),
    (select $9::float8[])
) as incoming ({", ".join(COLUMNS)})
"""
UPSERT_FEW = UPSERT.format(columns=", ".join(COLUMNS), key=", ".join(KEY_COLUMNS), incoming=FEW_ROWS, due="")
UPSERT_FEW_LATE = UPSERT.format(
    columns=", ".join(COLUMNS),
    key=", ".join(KEY_COLUMNS),
    incoming=FEW_ROWS,
    due=f", {MARK_DUE.format(changed="compared where verdict <> 'unchanged'")}",
)
INSERT_DUE = """
insert into belief_day_due (sensor_id, first_event, last_event)
select * from unnest($1::int[], $2::timestamptz[], $3::timestamptz[])
"""
