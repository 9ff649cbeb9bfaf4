"""Queries about connectors: due ones, claims, and outcomes. A connector has one run at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from flexstore.store import Connection

from ingest.connectors.connector_kind import Location
from ingest.data.repository import Sensor

REANNOUNCE_AFTER = timedelta(minutes=1)
"""A due connector that has not run after this time is announced again."""


@dataclass(frozen=True, slots=True)
class Connector:
    """Row of the table `connector`, which documents the columns."""

    id: int
    account_id: int | None
    kind: str
    name: str
    config: Mapping[str, Any]
    secrets: Mapping[str, Any] = field(repr=False)
    every: timedelta
    enabled: bool
    next_run_at: datetime
    claim: UUID | None
    last_run_at: datetime | None
    last_success_at: datetime | None
    last_error: str | None
    failures: int
    data_until: datetime | None
    created_at: datetime


COLUMNS = ", ".join(f"connector.{name}" for name in Connector.__slots__)

INSERT = """
insert into connector (account_id, kind, name, config, secrets, every) values ($1, $2, $3, $4, $5, $6) returning id
"""
UPDATE = """
update connector set name = $2, config = $3, secrets = $4, every = $5, next_run_at = now(), sent_at = null
where id = $1 returning id
"""
SET_ENABLED = "update connector set enabled = $2, next_run_at = now(), sent_at = null where id = $1"
DELETE = "delete from connector where id = $1"
UNSET_SENSORS = "delete from connector_sensor where connector_id = $1"
SET_SENSORS = "insert into connector_sensor (connector_id, series, sensor_id) values ($1, $2, $3)"

ANNOUNCE_DUE = """
update connector set sent_at = now()
where id in (
    select id from connector
    where enabled and next_run_at <= now() and kind = any($1::text[])
        and (claimed_until is null or claimed_until < now()) and (sent_at is null or sent_at < now() - $2::interval)
    order by next_run_at
    limit $3
    for update skip locked
)
returning id
"""
CLAIM = f"""
update connector set claim = $2, claimed_until = now() + $3::interval
where id = $1 and (claimed_until is null or claimed_until < now()) and ($4 or (enabled and next_run_at <= now()))
returning {COLUMNS}
"""  # noqa: S608 - put together from constants
EXTEND_CLAIM = "update connector set claimed_until = now() + $3::interval where id = $1 and claim = $2 returning id"
RELEASE = "update connector set claim = null, claimed_until = null, sent_at = null where id = $1 and claim = $2"
RECORD_SUCCESS = """
update connector set
    claim = null, claimed_until = null, sent_at = null, last_run_at = now(), last_success_at = now(),
    last_error = null, failures = 0, data_until = greatest(data_until, $3),
    next_run_at = case when next_run_at > now() then next_run_at
        else next_run_at + every * (floor(extract(epoch from now() - next_run_at) / extract(epoch from every)) + 1)
    end
where id = $1 and claim = $2
"""
RECORD_FAILURE = """
update connector set
    claim = null, claimed_until = null, sent_at = null, last_run_at = now(), last_error = $3, failures = failures + 1,
    next_run_at = now() + $4::interval
where id = $1 and claim = $2
"""
RECORD_VALUES = """
update connector set
    last_run_at = now(), last_success_at = now(), last_error = null, failures = 0, data_until = greatest(data_until, $3)
where id = $1 and claim = $2
"""
LISTENING_VERSIONS = """
select connector.id, md5(concat(connector.name, connector.config, connector.secrets, (
    select string_agg(concat(series, ' ', sensor_id), ',' order by series) from connector_sensor
    where connector_id = connector.id
))) as version
from connector where enabled and kind = any($1::text[])
"""
SENSORS = """
select link.series, sensor.id, sensor.name, sensor.unit, sensor.event_resolution, sensor.timezone, asset.account_id
from connector_sensor link join sensor on sensor.id = link.sensor_id join asset on asset.id = sensor.asset_id
where link.connector_id = $1 order by link.series
"""

LOCATIONS = """
with recursive above as (
    select link.series, 0 as height, asset.parent_asset_id, asset.latitude, asset.longitude
    from connector_sensor link join sensor on sensor.id = link.sensor_id join asset on asset.id = sensor.asset_id
    where link.connector_id = $1
    union all
    select above.series, above.height + 1, asset.parent_asset_id, asset.latitude, asset.longitude
    from above join asset on asset.id = above.parent_asset_id
)
select distinct on (series) series, latitude, longitude from above
where latitude is not null and longitude is not null
order by series, height
"""


async def load(con: Connection, number: int) -> Connector | None:
    row = await con.fetchrow(f"select {COLUMNS} from connector where id = $1", number)  # noqa: S608 - put together from constants
    return None if row is None else Connector(*row)


async def load_all(con: Connection, account: int | None = None) -> list[Connector]:
    """Load all connectors, or those of an account."""
    select = f"select {COLUMNS} from connector where $1::int is null or account_id = $1 order by id"  # noqa: S608 - put together from constants
    return [Connector(*row) for row in await con.fetch(select, account)]


async def load_sensors(con: Connection, number: int) -> dict[str, Sensor]:
    """Load the sensors of a connector, by series."""
    return {series: Sensor(*sensor) for series, *sensor in await con.fetch(SENSORS, number)}


async def load_locations(con: Connection, number: int) -> dict[str, Location]:
    """Load the location of the asset of each sensor, or of its nearest ancestor that has one, by series."""
    rows = await con.fetch(LOCATIONS, number)
    return {series: Location(latitude, longitude) for series, latitude, longitude in rows}


async def announce_due(con: Connection, kinds: Sequence[str], most: int = 100) -> list[int]:
    """Mark due connectors as announced and return their ids. Of concurrent callers, one gets each connector."""
    return [row["id"] for row in await con.fetch(ANNOUNCE_DUE, list(kinds), REANNOUNCE_AFTER, most)]


async def load_listening_versions(con: Connection, kinds: Sequence[str]) -> dict[int, str]:
    """Load the ids of the connectors that should listen, each with a version of its settings."""
    return {row["id"]: row["version"] for row in await con.fetch(LISTENING_VERSIONS, list(kinds))}


async def claim(con: Connection, number: int, lease: timedelta, *, forced: bool) -> Connector | None:
    """Claim a connector for a run; None if it is running, or if it is not due and `forced` is false."""
    row = await con.fetchrow(CLAIM, number, uuid4(), lease, forced)
    return None if row is None else Connector(*row)


async def extend_claim(con: Connection, connector: Connector, lease: timedelta) -> bool:
    """Extend the claim of a run. Returns false if the claim is lost."""
    return await con.fetchval(EXTEND_CLAIM, connector.id, connector.claim, lease) is not None


async def release(con: Connection, connector: Connector) -> None:
    """Release the claim without recording an outcome."""
    await con.execute(RELEASE, connector.id, connector.claim)


async def record_success(con: Connection, connector: Connector, data_until: datetime | None) -> None:
    await con.execute(RECORD_SUCCESS, connector.id, connector.claim, data_until)


async def record_values(con: Connection, connector: Connector, data_until: datetime | None) -> None:
    """Record that a listener has received values."""
    await con.execute(RECORD_VALUES, connector.id, connector.claim, data_until)


async def record_failure(con: Connection, connector: Connector, reason: str, wait: timedelta) -> None:
    await con.execute(RECORD_FAILURE, connector.id, connector.claim, reason, wait)


async def set_sensors(con: Connection, number: int, sensors: Mapping[str, int]) -> None:
    """Replace the sensors of a connector."""
    await con.execute(UNSET_SENSORS, number)
    await con.executemany(SET_SENSORS, [(number, series, sensor) for series, sensor in sensors.items()])


async def set_enabled(con: Connection, number: int, *, on: bool) -> None:
    await con.execute(SET_ENABLED, number, on)


async def delete(con: Connection, number: int) -> None:
    await con.execute(DELETE, number)
