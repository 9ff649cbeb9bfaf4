"""The activity log: assigns positions, leaves messages for webhooks, and loads and deletes activities."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flexstore.store import Connection

from flexwork import outbox
from flexwork.activities import AUDIENCE_CACHE_TIME
from flexwork.contracts import JOB_KEY, Topic

LOCK = 0x666C6578_65766E74  # "flexevnt"
"""The advisory lock held from assigning positions to their commit, so that a visible position has no gaps before it."""
BATCH = 500
PUBLIC_SUBJECTS = frozenset(("data", "asset", "sensor"))
"""The subjects of public activities. Without an account, these are for everybody, and others for readers of all."""
SETTLES_WITHIN = AUDIENCE_CACHE_TIME + timedelta(seconds=0.5)
"""The time after which all writers know of a new follower."""
INTEREST_LASTS = timedelta(minutes=10)
"""The time for which stored data are still recorded as activities after the last follower has left."""

MESSAGE_PREFIX = "evt_"
"""The prefix of the id of a webhook message; the position of the activity follows."""


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
        """The body of an event in a stream."""
        return {"type": self.type, "timestamp": self.created_at, "data": self.data}


@dataclass(frozen=True, slots=True)
class ActivityFilter:
    """A filter of activities. Empty collections admit everything."""

    accounts: Collection[int] | None
    """The accounts whose activities may be read; None for all."""
    types: Collection[str] = ()
    assets: Collection[int] = ()
    sensors: Collection[int] = ()
    jobs: Collection[str] = ()

    def __contains__(self, event: Activity) -> bool:
        """Apply the filter, as `LOAD` does in SQL."""
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
    """The range of positions in the log."""

    first: int | None
    """The position of the first activity that is kept; None if there is none."""
    last: int
    """The last position that was assigned."""


@dataclass(frozen=True, slots=True)
class Interest:
    """The start of complete activities about stored data of an account."""

    since: int
    """The position after which activities are complete."""
    seconds: float
    """Seconds until every writer knows of the follower."""


IS_WAITING = "select exists (select from event where position is null)"
ASSIGN_POSITIONS = f"""
with waiting as materialized (
    select id, nextval('event_position') as position
    from (select id from event where position is null order by id limit $1) oldest
), numbered as (
    update event set position = waiting.position from waiting where event.id = waiting.id
    returning event.*
), put as (
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
# The last of the old activities is kept: nothing is missing after the first position.
DELETE_OLD = """
delete from event where position < greatest(
    (select max(position) from event where created_at < now() - $1::interval),
    (select max(position) from event) - $2::bigint
)
"""


async def assign_positions(con: Connection) -> int:
    """Assign positions to committed activities, and leave messages for the webhooks that subscribe to them.

    Return the number of activities. Every reader of activities calls this first.
    """
    numbered = 0
    while await con.fetchval(IS_WAITING):
        async with con.transaction():
            await con.execute("select pg_advisory_xact_lock($1)", LOCK)
            numbered += await con.fetchval(ASSIGN_POSITIONS, BATCH)
    return numbered


async def load(con: Connection, after: int, wanted: ActivityFilter, limit: int = BATCH) -> list[Activity]:
    """Return the first activities after a position that pass the filter."""
    accounts = None if wanted.accounts is None else list(wanted.accounts)
    filters = (wanted.types, wanted.assets, wanted.sensors, wanted.jobs)
    return [Activity(*row) for row in await con.fetch(LOAD, after, limit, accounts, *map(list, filters))]


async def get(con: Connection, position: int) -> Activity | None:
    """Return the activity at a position; None if there is none."""
    row = await con.fetchrow(GET, position)
    return None if row is None else Activity(*row)


async def retained_range(con: Connection) -> RetainedRange:
    """Return the range of positions in the log."""
    row = await con.fetchrow(RETAINED_RANGE)
    assert row is not None
    return RetainedRange(*row)


async def newest_position(con: Connection) -> int:
    """Return the position of the newest activity; 0 if there is none."""
    position: int = await con.fetchval(NEWEST)
    return position


async def follow(con: Connection, accounts: Collection[int]) -> dict[int, Interest]:
    """Have stored data of these accounts recorded as activities for a while. Followers repeat this call."""
    async with con.transaction():
        # The lock keeps positions from being assigned, else an activity before `since` could appear after it.
        await con.execute("select pg_advisory_xact_lock($1)", LOCK)
        rows = await con.fetch(FOLLOW, sorted(accounts), SETTLES_WITHIN, INTEREST_LASTS)
    return {row["account_id"]: Interest(row["since"], row["seconds"]) for row in rows}


async def delete_old(con: Connection, older_than: timedelta, most: int) -> None:
    """Delete activities that are older than `older_than`, and the oldest beyond the number `most`."""
    await assign_positions(con)
    await con.execute(DELETE_OLD, older_than, most)
