"""Activities: recorded in the transaction of their change, for event streams and webhooks alike."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any

from flexstore.store import Connection

CHANNEL = "flexmesh_event"
EVERYONE = 0
"""The account id that stands for all accounts in the table `event_interest`."""
AUDIENCE_CACHE_TIME = timedelta(seconds=2)
"""The time for which a writer may remember the result of `has_audience`."""


class ActivityType(StrEnum):
    """The types of activities. Each activity belongs to an account, or is about something public."""

    JOB_QUEUED = "job.queued"
    JOB_STARTED = "job.started"
    JOB_PROGRESS = "job.progress"
    JOB_FINISHED = "job.finished"
    JOB_FAILED = "job.failed"
    SCHEDULE_FINISHED = "schedule.finished"
    SCHEDULE_FAILED = "schedule.failed"
    DATA_STORED = "data.stored"
    DATA_DELETED = "data.deleted"
    ASSET_CREATED = "asset.created"
    ASSET_UPDATED = "asset.updated"
    ASSET_DELETED = "asset.deleted"
    SENSOR_CREATED = "sensor.created"
    SENSOR_UPDATED = "sensor.updated"
    SENSOR_DELETED = "sensor.deleted"
    WEBHOOK_DISABLED = "webhook.disabled"


def ancestors_of(assets: str) -> str:
    """Return SQL for the ids of assets and all above them, as an array; `assets` is SQL for an array of ids."""
    return f"""array(
        with recursive line as (
            select id, parent_asset_id from asset where id = any({assets})
            union select above.id, above.parent_asset_id from asset above join line on above.id = line.parent_asset_id
        )
        select id from line
    )"""  # noqa: S608 - put together from constants


def assets_of(asset: str, sensors: str) -> str:
    """Return SQL for the id of the asset, or if null for those of the sensors, as an array.

    `asset` is SQL for an id, `sensors` for an array of ids.
    """
    owned = f"select distinct owned.asset_id from sensor owned where owned.id = any({sensors})"  # noqa: S608 - put together from constants
    of_sensors = f"array({owned})"
    return f"case when {asset} is null then {of_sensors} else array[{asset}] end"


# PostgreSQL sends equal notifications of a transaction once, so `pg_notify` may be called for every row.
INSERT = f"""
insert into event (account_id, type, assets, sensors, data, headers)
values ($1, $2, {ancestors_of(assets_of("$5::int", "$6::int[]"))}, $6, $3, $4)
returning case when $7 then pg_notify('{CHANNEL}', '') end
"""  # noqa: S608 - put together from constants
INSERT_FOR_CHANGED_JOBS = f"""
insert into event (account_id, type, assets, sensors, data, headers)
select account_id, 'job.' || lower(status), {ancestors_of(assets_of("asset_id", "array[sensor_id]"))},
    array_remove(array[sensor_id], null),
    jsonb_build_object('job', id, 'queue', queue, 'asset', asset_id, 'sensor', sensor_id)
        || case when status = 'FAILED' then jsonb_build_object('error', error) else '{{}}' end,
    trace_context
from changed
returning pg_notify('{CHANNEL}', '')
"""  # noqa: S608 - put together from constants
"""Follows a `changed as (… returning …)` that yields rows of the table `job`."""

HAS_AUDIENCE = f"""
select exists (
    select from event_interest where until > now() and ($1::int is null or account_id in ($1, {EVERYONE}))
) or exists (
    select from webhook where account_id = $1 and active and (events = '{{}}' or $2 = any(events))
)
"""  # noqa: S608 - put together from constants


async def record(
    con: Connection,
    account_id: int | None,
    type: ActivityType,
    data: Mapping[str, Any],
    headers: Mapping[str, str] | None = None,
    *,
    at_once: bool = True,
) -> None:
    """Record an activity, as part of the caller's transaction.

    Args:
        con: A connection in a transaction.
        account_id: The account of the activity; None if it is about something public.
        type: The type.
        data: The data. The entries `asset`, and `sensor` or `sensors`, are the subject of the activity.
        headers: W3C trace headers, with which the delivery to webhooks continues the trace.
        at_once: True to notify readers at the commit. Very frequent activities do without, because notifying slows
            down commits: readers find them a little later.
    """
    sensors = sensors_of(data)
    await con.execute(INSERT, account_id, type, dict(data), dict(headers or {}), data.get("asset"), sensors, at_once)


def sensors_of(data: Mapping[str, Any]) -> Sequence[int]:
    """Return the ids of the sensors in the data of an activity."""
    return data.get("sensors") or ([data["sensor"]] if data.get("sensor") else [])


async def has_audience(con: Connection, account_id: int | None, type: ActivityType) -> bool:
    """Return whether anyone follows activities of this type and account.

    Very frequent activities are recorded only for an audience. The result may be kept for `AUDIENCE_CACHE_TIME`.
    """
    found: bool = await con.fetchval(HAS_AUDIENCE, account_id, type)
    return found
