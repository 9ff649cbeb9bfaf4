"""The log of events: numbered in the order in which they can be read, passed on to webhooks, read, and forgotten."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flexstore.store import Connection

from flexwork import outbox
from flexwork.activities import AUDIENCE_CACHE_TIME
from flexwork.contracts import JOB_KEY, Topic

LOCK = 0x666C6578_65766E74  # "flexevnt"
"""Held while positions are given out, until they can be seen: so whoever sees one sees all before it."""
BATCH = 500
PUBLIC_SUBJECTS = frozenset(("data", "asset", "sensor"))
"""What may be public: such events of no account are for everybody, others of no account only for who reads all."""
SETTLES_WITHIN = AUDIENCE_CACHE_TIME + timedelta(seconds=0.5)
INTEREST_LASTS = timedelta(minutes=10)
"""How long stored data still make events after the last who followed them has left."""

MESSAGE_PREFIX = "evt_"
"""With the position of the event behind it: the id of a message to a webhook."""


@dataclass(frozen=True, slots=True)
class Activity:
    """A row of the table `event`, where the columns are explained."""

    position: int
    account_id: int | None
    type: str
    assets: Sequence[int]
    sensors: Sequence[int]
    data: dict[str, Any]
    created_at: datetime

    @property
    def body(self) -> dict[str, Any]:
        """What it looks like to whoever is told, by a stream or a webhook."""
        return {"type": self.type, "timestamp": self.created_at, "data": self.data}


@dataclass(frozen=True, slots=True)
class ActivityFilter:
    """Which events to tell of. Of the filters, what is empty asks for nothing in particular."""

    accounts: Collection[int] | None
    """Those whose events may be read; None: all."""
    types: Collection[str] = ()
    assets: Collection[int] = ()
    sensors: Collection[int] = ()
    jobs: Collection[str] = ()

    def __contains__(self, event: Activity) -> bool:
        """The same that `READ` says in SQL."""
        if self.accounts is not None:
            public = event.account_id is None and event.type.partition(".")[0] in PUBLIC_SUBJECTS
            if not public and event.account_id not in self.accounts:
                return False
        return (
            (not self.types or event.type in self.types)
            and (not self.assets or any(asset in self.assets for asset in event.assets))
            and (not self.sensors or any(sensor in self.sensors for sensor in event.sensors))
            and (not self.jobs or event.data.get(JOB_KEY) in self.jobs)
        )


EVERYTHING = ActivityFilter(None)


@dataclass(frozen=True, slots=True)
class RetainedRange:
    """What there is to read."""

    first: int | None
    """The position of the first event that is kept; None: there is none."""
    last: int
    """The last position that was given out."""


@dataclass(frozen=True, slots=True)
class Interest:
    """Since when the data of an account make events without a gap."""

    since: int
    """Events after this position are complete."""
    seconds: float
    """How long it takes until every writer knows."""


IS_WAITING = "select exists (select from event where position is null)"
ASSIGN_POSITIONS = f"""
with waiting as materialized (
    select id, nextval('event_position') as position
    from (select id from event where position is null order by id limit $1) oldest
), numbered as (
    update event set position = waiting.position from waiting where event.id = waiting.id
    returning event.*
), told as (
    insert into outbox (topic, headers, payload)
    select '{Topic.WEBHOOK}', numbered.headers, jsonb_build_object(
        'id', '{MESSAGE_PREFIX}' || numbered.position, 'webhook', webhook.id, 'type', numbered.type,
        'timestamp', numbered.created_at, 'data', numbered.data
    )
    from numbered join webhook on webhook.account_id = numbered.account_id and webhook.active
        and (webhook.events = '{{}}' or numbered.type = any(webhook.events))
        and (webhook.assets = '{{}}' or webhook.assets && numbered.assets)
        and (webhook.sensors = '{{}}' or webhook.sensors && numbered.sensors)
    order by numbered.position
    returning pg_notify('{outbox.CHANNEL}', '{Topic.WEBHOOK}')
)
select count(*) from numbered
"""  # noqa: S608 - put together from constants
_PUBLIC = ", ".join(f"'{subject}'" for subject in sorted(PUBLIC_SUBJECTS))
LOAD = f"""
select position, account_id, type, assets, sensors, data, created_at from event
where position > $1
    and ($3::int[] is null or account_id = any($3)
        or account_id is null and split_part(type, '.', 1) in ({_PUBLIC}))
    and ($4::text[] = '{{}}' or type = any($4))
    and ($5::int[] = '{{}}' or assets && $5)
    and ($6::int[] = '{{}}' or sensors && $6)
    and ($7::text[] = '{{}}' or data ->> '{JOB_KEY}' = any($7))
order by position
limit $2
"""  # noqa: S608 - put together from constants
GET = "select position, account_id, type, assets, sensors, data, created_at from event where position = $1"
RETAINED_RANGE = (
    "select (select min(position) from event), case when is_called then last_value else 0 end from event_position"
)
NEWEST = "select coalesce(max(position), 0) from event"
FOLLOW = """
insert into event_interest as known (account_id, since, told_from, until)
select account, nextval('event_position'), clock_timestamp() + $2::interval, clock_timestamp() + $3::interval
from unnest($1::int[]) account
on conflict (account_id) do update set
    since = case when known.until < now() then excluded.since else known.since end,
    told_from = case when known.until < now() then excluded.told_from else known.told_from end,
    until = excluded.until
returning account_id, since, greatest(extract(epoch from told_from - clock_timestamp()), 0)::float8 as seconds
"""
# The last of what is too old is kept, so that the first position tells from where on nothing is missing.
DELETE_OLD = """
delete from event where position < greatest(
    (select max(position) from event where created_at < now() - $1::interval),
    (select max(position) from event) - $2::bigint
)
"""


async def assign_positions(con: Connection) -> int:
    """Give positions to events whose transactions are committed, and leave messages for the webhooks that hear of them.

    Returns how many there were. Everybody who reads events calls this before.
    """
    numbered = 0
    while await con.fetchval(IS_WAITING):
        async with con.transaction():
            await con.execute("select pg_advisory_xact_lock($1)", LOCK)
            numbered += await con.fetchval(ASSIGN_POSITIONS, BATCH)
    return numbered


async def load(con: Connection, after: int, wanted: ActivityFilter, limit: int = BATCH) -> list[Activity]:
    """The first events after a position, as far as they are wanted."""
    accounts = None if wanted.accounts is None else list(wanted.accounts)
    filters = (wanted.types, wanted.assets, wanted.sensors, wanted.jobs)
    return [Activity(*row) for row in await con.fetch(LOAD, after, limit, accounts, *map(list, filters))]


async def get(con: Connection, position: int) -> Activity | None:
    row = await con.fetchrow(GET, position)
    return None if row is None else Activity(*row)


async def retained_range(con: Connection) -> RetainedRange:
    row = await con.fetchrow(RETAINED_RANGE)
    assert row is not None
    return RetainedRange(*row)


async def newest_position(con: Connection) -> int:
    """The position of the newest event; 0 if there is none."""
    position: int = await con.fetchval(NEWEST)
    return position


async def follow(con: Connection, accounts: Collection[int]) -> dict[int, Interest]:
    """See to it that data of these accounts make events for a while; to be repeated for as long as anyone follows."""
    async with con.transaction():
        # No position may be given out meanwhile, else an event before `since` could appear after it.
        await con.execute("select pg_advisory_xact_lock($1)", LOCK)
        rows = await con.fetch(FOLLOW, sorted(accounts), SETTLES_WITHIN, INTEREST_LASTS)
    return {row["account_id"]: Interest(row["since"], row["seconds"]) for row in rows}


async def delete_old(con: Connection, older_than: timedelta, most: int) -> None:
    """Drop old events, and what is more than so many."""
    await assign_positions(con)
    await con.execute(DELETE_OLD, older_than, most)
