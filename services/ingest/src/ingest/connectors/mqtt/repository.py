"""Storage of readings in the database, from their acknowledgement until all events that need them are over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from flexmodel.time import Instants
from flexstore.series.binary_format import decode_float8, decode_timestamps
from flexstore.store import Connection

from ingest.data.resampling import Values


class ReadingKey(NamedTuple):
    """Key of readings: those of one sensor with the same meaning."""

    sensor: int
    meaning: str


@dataclass(frozen=True, slots=True)
class PendingEvents:
    """Readings whose events are still to be finalized."""

    key: ReadingKey
    since: datetime


ADD = """
insert into reading (connector_id, sensor_id, meaning, at, value)
select $1, incoming.* from unnest($2::int[], $3::text[], $4::timestamptz[], $5::float8[]) as incoming
on conflict (connector_id, sensor_id, meaning, at) do update set value = excluded.value
"""
MARK_DUE = """
insert into reading_due (connector_id, sensor_id, meaning, since)
select $1, incoming.* from unnest($2::int[], $3::text[], $4::timestamptz[]) as incoming
on conflict (connector_id, sensor_id, meaning) do update set since = excluded.since
where reading_due.since > excluded.since
"""
DUE = "select sensor_id, meaning, since from reading_due where connector_id = $1 order by since"
LAST_BEFORE = """
select max(at) from reading
where connector_id = $1 and sensor_id = $2 and meaning = $3 and at < $4 and at >= $4 - $5::interval
"""
LOAD = """
select array_send(array_agg(at order by at)) as times, array_send(array_agg(value order by at)) as readings
from reading where connector_id = $1 and sensor_id = $2 and meaning = $3 and at >= $4
"""
ADVANCE = """
update reading_due set since = $5 where connector_id = $1 and sensor_id = $2 and meaning = $3 and since = $4
"""
DELETE_BEFORE = "delete from reading where connector_id = $1 and sensor_id = $2 and meaning = $3 and at < $4"
DELETE_READINGS = "delete from reading where connector_id = $1 and sensor_id = $2 and meaning = $3"
DELETE_DUE = "delete from reading_due where connector_id = $1 and sensor_id = $2 and meaning = $3"


async def add_readings(con: Connection, connector: int, readings: Mapping[tuple[ReadingKey, datetime], float]) -> None:
    """Store readings and mark their events as pending, in the caller's transaction."""
    since: dict[ReadingKey, datetime] = {}
    for key, at in readings:
        since[key] = min(at, since.get(key, at))
    rows = [(*key, at, value) for (key, at), value in readings.items()]
    await con.execute(ADD, connector, *zip(*rows, strict=True))
    await con.execute(MARK_DUE, connector, *zip(*[(*key, at) for key, at in since.items()], strict=True))


async def load_pending(con: Connection, connector: int) -> Sequence[PendingEvents]:
    return [
        PendingEvents(ReadingKey(sensor, meaning), since) for sensor, meaning, since in await con.fetch(DUE, connector)
    ]


async def load_last_time_before(
    con: Connection, connector: int, key: ReadingKey, time: datetime, gap: timedelta
) -> datetime | None:
    """Load the time of the last reading before a time, within the gap."""
    last_time: datetime | None = await con.fetchval(LAST_BEFORE, connector, *key, time, gap)
    return last_time


async def load_readings(con: Connection, connector: int, key: ReadingKey, start: datetime) -> tuple[Instants, Values]:
    """Load the readings from a time on."""
    row = await con.fetchrow(LOAD, connector, *key, start)
    assert row is not None
    return decode_timestamps(row["times"]), decode_float8(row["readings"])


async def advance_pending(con: Connection, connector: int, pending: PendingEvents, until: datetime) -> None:
    """Record that all events until then are final. An earlier reading that has come meanwhile keeps them pending."""
    await con.execute(ADVANCE, connector, *pending.key, pending.since, until)


async def delete_before(con: Connection, connector: int, key: ReadingKey, before: datetime) -> None:
    await con.execute(DELETE_BEFORE, connector, *key, before)


async def delete_all(con: Connection, connector: int, key: ReadingKey) -> None:
    """Delete all readings of a key, in the caller's transaction."""
    await con.execute(DELETE_READINGS, connector, *key)
    await con.execute(DELETE_DUE, connector, *key)
