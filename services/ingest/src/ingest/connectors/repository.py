"""The rows of connectors: which are due, who runs them, and how it went. One run of a connector at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from flexstore.store import Connection

from ingest.connectors.kinds import Place
from ingest.data.repository import Sensor

RESEND = timedelta(minutes=1)
"""A connector that is due and has not run so long after it was announced is announced again."""


@dataclass(frozen=True, slots=True)
class Connector:
    """A row of the table `connector`, where the columns are explained."""

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

ADD = """
insert into connector (account_id, kind, name, config, secrets, every) values ($1, $2, $3, $4, $5, $6) returning id
"""
EDIT = """
update connector set name = $2, config = $3, secrets = $4, every = $5, next_run_at = now(), sent_at = null
where id = $1 returning id
"""
SWITCH = "update connector set enabled = $2, next_run_at = now(), sent_at = null where id = $1"
DELETE = "delete from connector where id = $1"
UNSET_SENSORS = "delete from connector_sensor where connector_id = $1"
SET_SENSORS = "insert into connector_sensor (connector_id, series, sensor_id) values ($1, $2, $3)"

DUE = """
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
KEEP = "update connector set claimed_until = now() + $3::interval where id = $1 and claim = $2 returning id"
FREE = "update connector set claim = null, claimed_until = null, sent_at = null where id = $1 and claim = $2"
SUCCEED = """
update connector set
    claim = null, claimed_until = null, sent_at = null, last_run_at = now(), last_success_at = now(),
    last_error = null, failures = 0, data_until = greatest(data_until, $3),
    next_run_at = case when next_run_at > now() then next_run_at
        else next_run_at + every * (floor(extract(epoch from now() - next_run_at) / extract(epoch from every)) + 1)
    end
where id = $1 and claim = $2
"""
FAIL = """
update connector set
    claim = null, claimed_until = null, sent_at = null, last_run_at = now(), last_error = $3, failures = failures + 1,
    next_run_at = now() + $4::interval
where id = $1 and claim = $2
"""
HEAR = """
update connector set
    last_run_at = now(), last_success_at = now(), last_error = null, failures = 0, data_until = greatest(data_until, $3)
where id = $1 and claim = $2
"""
LISTENING = """
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

PLACES = """
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


async def find(con: Connection, number: int) -> Connector | None:
    row = await con.fetchrow(f"select {COLUMNS} from connector where id = $1", number)  # noqa: S608 - put together from constants
    return None if row is None else Connector(*row)


async def all_of(con: Connection, account: int | None = None) -> list[Connector]:
    """All connectors, or those of an account."""
    select = f"select {COLUMNS} from connector where $1::int is null or account_id = $1 order by id"  # noqa: S608 - put together from constants
    return [Connector(*row) for row in await con.fetch(select, account)]


async def sensors_of(con: Connection, number: int) -> dict[str, Sensor]:
    """The sensors that it fills, by series."""
    return {series: Sensor(*sensor) for series, *sensor in await con.fetch(SENSORS, number)}


async def places_of(con: Connection, number: int) -> dict[str, Place]:
    """Where the assets of its sensors are, or the nearest above them of which it is known, by series."""
    rows = await con.fetch(PLACES, number)
    return {series: Place(latitude, longitude) for series, latitude, longitude in rows}


async def due(con: Connection, kinds: Sequence[str], most: int = 100) -> list[int]:
    """The connectors whose time has come, marked as announced: of several that ask at once, one gets each."""
    return [row["id"] for row in await con.fetch(DUE, list(kinds), RESEND, most)]


async def listening(con: Connection, kinds: Sequence[str]) -> dict[int, str]:
    """The connectors that should be listening, each with a version of what it is told."""
    return {row["id"]: row["version"] for row in await con.fetch(LISTENING, list(kinds))}


async def claim(con: Connection, number: int, lease: timedelta, *, forced: bool) -> Connector | None:
    """Begin a run; None if one is under way, or unless `forced` if it is not due."""
    row = await con.fetchrow(CLAIM, number, uuid4(), lease, forced)
    return None if row is None else Connector(*row)


async def keep(con: Connection, connector: Connector, lease: timedelta) -> bool:
    """Whether the run still is the one, which it now is for another while."""
    return await con.fetchval(KEEP, connector.id, connector.claim, lease) is not None


async def free(con: Connection, connector: Connector) -> None:
    """End a run that says nothing about how the connector does."""
    await con.execute(FREE, connector.id, connector.claim)


async def succeed(con: Connection, connector: Connector, data_until: datetime | None) -> None:
    await con.execute(SUCCEED, connector.id, connector.claim, data_until)


async def hear(con: Connection, connector: Connector, data_until: datetime | None) -> None:
    """Note that values come."""
    await con.execute(HEAR, connector.id, connector.claim, data_until)


async def fail(con: Connection, connector: Connector, reason: str, wait: timedelta) -> None:
    await con.execute(FAIL, connector.id, connector.claim, reason, wait)


async def set_sensors(con: Connection, number: int, sensors: Mapping[str, int]) -> None:
    """Have it fill these sensors, and no others."""
    await con.execute(UNSET_SENSORS, number)
    await con.executemany(SET_SENSORS, [(number, series, sensor) for series, sensor in sensors.items()])


async def switch(con: Connection, number: int, *, on: bool) -> None:
    await con.execute(SWITCH, number, on)


async def delete(con: Connection, number: int) -> None:
    await con.execute(DELETE, number)
