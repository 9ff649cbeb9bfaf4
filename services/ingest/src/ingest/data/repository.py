"""What the database knows of sensors and of the users who send values."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from functools import lru_cache
from time import monotonic

import orjson
from flexmodel.errors import NotFound
from flexmodel.time import zone
from flexstore import sources
from flexstore.store import Connection

SENSORS = """
select sensor.id, sensor.name, sensor.unit, sensor.event_resolution, sensor.timezone, asset.account_id
from sensor join asset on asset.id = sensor.asset_id
where sensor.id = any($1::int[])
"""
SENSOR = SENSORS.replace("any($1::int[])", "$1")
USER = "select username, account_id from users where id = $1"

REMEMBERED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Sensor:
    id: int
    name: str
    unit: str
    resolution: timedelta
    timezone: str
    account: int | None

    @property
    def zone(self) -> tzinfo:
        return zone(self.timezone)


@lru_cache(maxsize=2_000)
def told_sensor(sensor_id: int, told: str) -> Sensor:
    """A sensor as another of our services has just read it: the rest of what `Sensor` has, with seconds for lengths."""
    known = orjson.loads(told)
    return Sensor(
        sensor_id,
        known["name"],
        known["unit"],
        timedelta(seconds=known["resolution"]),
        known["timezone"],
        known["account"],
    )


async def find_sensor(con: Connection, sensor_id: int) -> Sensor:
    row = await con.fetchrow(SENSOR, sensor_id)
    if row is None:
        raise NotFound(f"Sensor {sensor_id} not found")
    return Sensor(*row)


async def find_sensors(con: Connection, sensor_ids: Collection[int]) -> dict[int, Sensor]:
    """Those of the sensors that exist."""
    return {row["id"]: Sensor(*row) for row in await con.fetch(SENSORS, list(sensor_ids))}


class UserSources:
    """The source that stands for each user, remembered for a while because every post needs it."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[float, int]] = {}

    async def of(self, con: Connection, user_id: int) -> int:
        until, source_id = self._known.get(user_id, (0.0, 0))
        if monotonic() >= until:
            source_id = await self._look_up(con, user_id)
            self._known[user_id] = (monotonic() + REMEMBERED_SECONDS, source_id)
        return source_id

    async def _look_up(self, con: Connection, user_id: int) -> int:
        user = await con.fetchrow(USER, user_id)
        if user is None:
            raise NotFound(f"User {user_id} not found")
        return await sources.ensure(
            con, name=user["username"], type="user", user_id=user_id, account_id=user["account_id"]
        )
