"""Readings in the database: kept from when they are acknowledged until all events that need them are over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from flexmodel.time import Instants
from flexstore.series.binary_format import decode_float8, decode_timestamps
from flexstore.store import Connection

from ingest.data.rules import Values


class Key(NamedTuple):
    """Whose readings: those of one sensor that mean the same."""

    sensor: int
    meaning: str


@dataclass(frozen=True, slots=True)
class Due:
    """Readings of which events are still to be made."""

    key: Key
    since: datetime


ADD = """
insert into reading (connector_id, sensor_id, meaning, at, value)
select $1, incoming.* from unnest($2::int[], $3::text[], $4::timestamptz[], $5::float8[]) as incoming
on conflict (connector_id, sensor_id, meaning, at) do update set value = excluded.value
"""
REMIND = """
insert into reading_due (connector_id, sensor_id, meaning, since)
select $1, incoming.* from unnest($2::int[], $3::text[], $4::timestamptz[]) as incoming
on conflict (connector_id, sensor_id, meaning) do update set since = excluded.since
where reading_due.since > excluded.since
"""
DUE = "select sensor_id, meaning, since from reading_due where connector_id = $1 order by since"
BEFORE = """
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
FORGET = "delete from reading where connector_id = $1 and sensor_id = $2 and meaning = $3 and at < $4"
DROP = "delete from reading where connector_id = $1 and sensor_id = $2 and meaning = $3"
DROP_DUE = "delete from reading_due where connector_id = $1 and sensor_id = $2 and meaning = $3"


async def add(con: Connection, connector: int, readings: Mapping[tuple[Key, datetime], float]) -> None:
    """Keep readings, and remember since when there is something to do. In the caller's transaction."""
    since: dict[Key, datetime] = {}
    for key, at in readings:
        since[key] = min(at, since.get(key, at))
    rows = [(*key, at, value) for (key, at), value in readings.items()]
    await con.execute(ADD, connector, *zip(*rows, strict=True))
    await con.execute(REMIND, connector, *zip(*[(*key, at) for key, at in since.items()], strict=True))


async def due(con: Connection, connector: int) -> Sequence[Due]:
    return [Due(Key(sensor, meaning), since) for sensor, meaning, since in await con.fetch(DUE, connector)]


async def last_before(con: Connection, connector: int, key: Key, time: datetime, gap: timedelta) -> datetime | None:
    """When the last reading before a time was, if it was not longer before than the gap."""
    found: datetime | None = await con.fetchval(BEFORE, connector, *key, time, gap)
    return found


async def load(con: Connection, connector: int, key: Key, start: datetime) -> tuple[Instants, Values]:
    """The readings from a time on."""
    row = await con.fetchrow(LOAD, connector, *key, start)
    assert row is not None
    return decode_timestamps(row["times"]), decode_float8(row["readings"])


async def advance(con: Connection, connector: int, done: Due, until: datetime) -> None:
    """All events until then are made; an earlier reading that has come in between keeps them due."""
    await con.execute(ADVANCE, connector, *done.key, done.since, until)


async def forget(con: Connection, connector: int, key: Key, before: datetime) -> None:
    await con.execute(FORGET, connector, *key, before)


async def drop(con: Connection, connector: int, key: Key) -> None:
    """Nothing is to be made of these any more. In the caller's transaction."""
    await con.execute(DROP, connector, *key)
    await con.execute(DROP_DUE, connector, *key)
