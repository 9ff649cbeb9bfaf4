"""Events: what happened, told in the transaction that makes it true, to event streams and to webhooks alike."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any

from flexstore.store import Connection

CHANNEL = "flexmesh_event"
EVERYONE = 0
"""Stands for all accounts in the table `event_interest`."""
AUDIENCE_CACHE_TIME = timedelta(seconds=2)
"""How long a writer may remember whether anyone awaits what it could tell."""


class ActivityType(StrEnum):
    """What events say. Each belongs to an account, or is about something public."""

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
    """SQL for assets and all above them, as an array of ids; `assets` is SQL for an array of their ids."""
    return f"""array(
        with recursive line as (
            select id, parent_asset_id from asset where id = any({assets})
            union select above.id, above.parent_asset_id from asset above join line on above.id = line.parent_asset_id
        )
        select id from line
    )"""  # noqa: S608 - put together from constants


def assets_of(asset: str, sensors: str) -> str:
    """SQL for the asset, or where that is null those of the sensors, as an array of ids; `sensors` is one, too."""
    owned = f"select distinct owned.asset_id from sensor owned where owned.id = any({sensors})"  # noqa: S608 - put together from constants
    of_sensors = f"array({owned})"
    return f"case when {asset} is null then {of_sensors} else array[{asset}] end"


# What is said twice in a transaction is notified once, so `pg_notify` may be called for every row.
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
"""To be used beside a `changed as (… returning …)` that yields rows of the table `job`."""

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
    """Tell of something, as part of the caller's transaction. What belongs to no account is about something public.

    Of the data, `asset`, and `sensor` or `sensors`, say what it is about. `headers` are the W3C trace headers of where
    it happened, with which the delivery to webhooks continues the trace. Events of which there are very many need not
    be passed on at once each, because notifying slows down commits: they are found a little later.
    """
    sensors = sensors_of(data)
    await con.execute(INSERT, account_id, type, dict(data), dict(headers or {}), data.get("asset"), sensors, at_once)


def sensors_of(data: Mapping[str, Any]) -> Sequence[int]:
    return data.get("sensors") or ([data["sensor"]] if data.get("sensor") else [])


async def has_audience(con: Connection, account_id: int | None, type: ActivityType) -> bool:
    """Whether anyone wants to be told of such an event of the account: for events too many to be told to nobody.

    The answer may be remembered for `NOTICED_WITHIN`.
    """
    awaited: bool = await con.fetchval(HAS_AUDIENCE, account_id, type)
    return awaited
